"""SIGTERM and two runs at once (EXT-24, LOAD-12, CUR-06, CUR-07)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_bench import (
    ENDS_AT,
    KEY,
    NOTHING,
    SYNC_LOCKED,
    Bench,
    Difference,
    copied,
    in_process,
    start,
    sync,
    warehouse,
)
from starlette.applications import Starlette
from waiting import wait_until

from pipelines.providers import find
from pipelines.simulation import Change, Fault, dripping, serve, too_many

from .conftest import Figures


@dataclass
class Command:
    """`doblecheck sync` of one room as a process, and the folder it works in."""

    process: subprocess.Popen[str]
    folder: Path

    def end(self, *, seconds: float = 30.0) -> tuple[int, str, float]:
        """Exit code, stderr and seconds until it ended."""
        began = time.monotonic()
        _, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, err, time.monotonic() - began


@contextmanager
def syncing(folder: Path, url: str, name: str, *, per_minute: int = 1_000_000) -> Iterator[Command]:
    folder.mkdir(exist_ok=True)
    (folder / "doblecheck.toml").write_text(
        f'[[accounts]]\nprovider = "{name}"\napi_key = "{KEY}"\nbase_url = "{url}"\n'
        f"requests_per_minute = {per_minute}\n"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DOBLECHECK_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "sync"],
        cwd=folder,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Command(process, folder)
    finally:
        process.kill()
        process.wait()


SLOW: dict[str, tuple[Change | None, int]] = {
    "waits for Retry-After": (too_many(retry_after=100), 1_000_000),
    "waits for a slow answer": (dripping(100), 1_000_000),
    "waits for its quota": (None, 3),
}


def slow_app(simulators: Bench, name: str, change: Change | None) -> Starlette:
    room = next(room for room in find() if room.name == name)
    faults = [Fault(change, path="/messages", times=None)] if change else []
    return room.simulate(simulators.world, api_key=KEY, faults=faults)


QUICKEST, *OTHERS = SLOW


@pytest.mark.parametrize(
    "slow", [QUICKEST, *(pytest.param(slow, marks=pytest.mark.matrix) for slow in OTHERS)]
)
def test_a_stopped_sync_ends_in_order_and_the_next_is_whole(
    simulators: Bench, tmp_path: Path, figures: Figures, slow: str
) -> None:
    change, per_minute = SLOW[slow]
    app = slow_app(simulators, "waspy", change)
    with serve(app) as url, syncing(tmp_path, url, "waspy", per_minute=per_minute) as command:
        asked = app.state.requests
        wait_until(lambda: len(asked) >= 3 and _is_waiting(asked, change))
        command.process.terminate()
        code, err, seconds = command.end()
    assert (code, seconds < 10) == (1, True), err
    assert "stopped as asked" in err
    whole = slow_app(simulators, "waspy", None)
    with serve(whole) as url, syncing(tmp_path, url, "waspy") as command:
        assert command.end()[0] == 0
    assert _messages(tmp_path) == len(simulators.world.messages)
    figures.add("stop", f"SIGTERM while it {slow}", note="ended in under 10 s, nothing lost")


def _is_waiting(asked: list[Any], change: Change | None) -> bool:
    return change is None or any(seen.path.endswith("/messages") for seen in asked)


def _messages(folder: Path) -> int:
    with warehouse(folder / "data").connect() as connection:
        return int(connection.execute("select count(*) from raw_waspy.messages").fetchall()[0][0])


def test_ctrl_c_stops_a_sync_as_a_signal_does(simulators: Bench, tmp_path: Path) -> None:
    app = slow_app(simulators, "waspy", too_many(retry_after=100))
    with serve(app) as url, syncing(tmp_path, url, "waspy") as command:
        wait_until(lambda: _is_waiting(app.state.requests, dripping(100)))
        command.process.send_signal(signal.SIGINT)
        code, err, seconds = command.end()
    assert (code, seconds < 10) == (1, True), err
    assert "stopping; Ctrl-C again ends it at once" in err
    assert "stopped as asked" in err
    assert "error" not in err


def test_a_second_signal_ends_it_at_once(simulators: Bench, tmp_path: Path) -> None:
    app = slow_app(simulators, "waspy", dripping(100))
    with serve(app) as url, syncing(tmp_path, url, "waspy") as command:
        wait_until(lambda: _is_waiting(app.state.requests, dripping(100)))
        command.process.terminate()
        time.sleep(0.5)  # two signals at the same moment are one
        command.process.terminate()
        code, _, seconds = command.end()
    assert code == -signal.SIGTERM
    assert seconds < 1


def test_of_two_runs_at_once_one_runs_and_one_says_so(
    simulators: Bench, template: Path, expected: Any, tmp_path: Path
) -> None:
    assert _race(simulators, template, expected, tmp_path) == NOTHING


@pytest.mark.matrix
@pytest.mark.parametrize("turn", range(20))
def test_of_two_runs_at_once_twenty_times(
    simulators: Bench,
    template: Path,
    expected: Any,
    tmp_path: Path,
    figures: Figures,
    turn: int,
) -> None:
    found = _race(simulators, template, expected, tmp_path)
    figures.add("lock", "two runs at once", found, note="one runs, the other exits 1")
    assert found == NOTHING


def _race(simulators: Bench, template: Path, expected: Any, tmp_path: Path) -> Difference:
    folder = copied(template, tmp_path / "shop")
    work = partial(sync, folder, simulators.urls, ENDS_AT, "")
    racers = [start(work), start(work)]
    for racer in racers:
        racer.join(60)
    assert sorted(racer.exitcode for racer in racers) == [0, 1]
    assert (folder / SYNC_LOCKED).exists()
    return Difference.between(folder, expected)


def test_a_killed_holder_lets_go_at_once(simulators: Bench, template: Path, tmp_path: Path) -> None:
    folder = copied(template, tmp_path / "shop")
    assert in_process(partial(sync, folder, simulators.urls, ENDS_AT, "pull.page=kill")) == -9
    with warehouse(folder).lock():  # does not wait
        pass
