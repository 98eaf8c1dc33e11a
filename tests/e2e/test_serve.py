"""The schedules as a team meets them: processes that are started, killed, and taken over."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from pipelines.journal import Entry, Journal
from pipelines.providers import find
from pipelines.simulation import Clock, serve
from pipelines.world import World, make_world

KEY = "CANARY-4711-key"
ENDS_AT = datetime(2026, 3, 20, 21, tzinfo=UTC)
PATIENCE = 240.0
"""Not a measure: two cores may have a lot to do."""


def until(what: Callable[[], Any], *, process: subprocess.Popen[bytes] | None = None) -> Any:
    """What comes back, as soon as it is something."""
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        if found := what():
            return found
        assert process is None or process.poll() is None, "the process ended"
        time.sleep(0.1)
    raise AssertionError("it never came")


@dataclass
class Place:
    """A folder with a configuration, and what runs in it."""

    folder: Path
    worlds: dict[str, World]
    clock: Clock
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command of this environment's Python; what it says goes to `<name>.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env={**clean_environment(), **environment},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def serve(self, name: str) -> subprocess.Popen[bytes]:
        return self.start(name, "pipelines.cli", "serve")

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def api(self, name: str) -> httpx.Client:
        """Prefect's API of the process that serves."""
        found = until(lambda: re.search(r"Prefect is at (\S+)", self.said(name)))
        return httpx.Client(base_url=f"{found[1]}/api", timeout=30)

    def runs(self, kind: str = "run") -> list[Entry]:
        """What the log of runs tells, the oldest first."""
        return [e for e in reversed(Journal(self.folder / "data").last(100)) if e.kind == kind]

    def ended(self, outcome: str = "ok") -> list[Entry]:
        return [entry for entry in self.runs() if entry.outcome == outcome]

    def messages(self) -> int:
        with duckdb.connect(self.folder / "data" / "analytics.duckdb", read_only=True) as snapshot:
            row = snapshot.execute("select count(*) from marts.fct_messages").fetchone()
        assert row is not None
        return int(row[0])


def clean_environment() -> dict[str, str]:
    ours = ("DOBLECHECK_", "KAPSO_", "WASPY_", "PREFECT_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("served")
    world = make_world(seed=5, ends_at=ENDS_AT, days=3, conversations_per_day=3)
    clock = Clock(now=ENDS_AT - timedelta(days=1))
    worlds, accounts = {}, []
    with ExitStack() as stack:
        for i, room in enumerate(find()):
            part = world.only(channels=[channel.id for channel in world.channels[i::2]])
            url = stack.enter_context(serve(room.simulate(part, api_key=KEY, clock=clock)))
            worlds[room.name] = part
            accounts.append(
                f'[[accounts]]\nprovider = "{room.name}"\napi_key = "{KEY}"\nbase_url = "{url}"\n'
            )
        schedule = '[schedule]\nevery = "2 s"\ningest_every = "1 hour"\nport = 0\n'
        (folder / "doblecheck.toml").write_text("".join(accounts) + schedule)
        found = Place(folder, worlds, clock)
        try:
            yield found
        finally:
            for process in found.processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in found.processes:
                process.wait(60)


@pytest.fixture(scope="module")
def taken_over(place: Place) -> str:
    """Two processes serve, and the first is killed in the middle of a run: the second's name."""
    first = place.serve("first")
    until(lambda: len(place.ended()) >= 2, process=first)
    place.serve("second")
    until(lambda: "waiting to take over" in place.said("second"))
    done = len(place.ended())
    place.clock.now = ENDS_AT
    until(lambda: place.ended("running"), process=first)
    first.kill()
    first.wait()
    assert "killed" in [entry.outcome for entry in place.runs()]
    until(lambda: len(place.ended()) >= done + 2)
    return "second"


def test_who_takes_over_completes_what_a_killed_one_left(place: Place, taken_over: str) -> None:
    assert place.messages() == sum(len(world.messages) for world in place.worlds.values())
    assert "Prefect is at" in place.said(taken_over)


def test_no_run_of_the_killed_process_stays_open(place: Place, taken_over: str) -> None:
    with place.api(taken_over) as api:
        crashed = runs(api, "CRASHED")
        assert len(crashed) == 1
        assert "is gone" in crashed[0]["state"]["message"]
        tasks = api.post(
            "/task_runs/filter",
            json={"flow_runs": {"id": {"any_": [crashed[0]["id"]]}}},
        ).json()
        assert {task["state_type"] for task in tasks} <= {"COMPLETED", "CRASHED"}
        assert len(runs(api, "RUNNING", "PENDING", "CANCELLING")) <= 1


def test_one_run_at_a_time_and_missed_ones_collapse(place: Place, taken_over: str) -> None:
    both = list(itertools.pairwise(place.runs()))
    assert len(both) >= 4
    for entry, following in both:
        assert entry.ended_at is None or following.started_at >= entry.ended_at
    with place.api(taken_over) as api:
        skipped = [run for run in runs(api, "CANCELLED") if run["state"]["name"] == "Skipped"]
    assert skipped
    assert {run["state"]["message"] for run in skipped} <= {
        "missed; one run stands for all that were",
        "the run before it was still going on",
    }


def test_a_run_leaves_tables_to_look_at(place: Place, taken_over: str) -> None:
    with place.api(taken_over) as api:
        found = api.post("/artifacts/latest/filter", json={}).json()
    tables = {artifact["key"]: json.loads(artifact["data"]) for artifact in found}
    assert {"accounts", "freshness", "slowest-models"} <= tables.keys()
    assert {row["account"] for row in tables["accounts"]} == {
        f"{name}:default" for name in place.worlds
    }
    assert all(row["quarantined"] == 0 for row in tables["freshness"])


def test_status_tells_the_last_runs_without_asking_prefect(place: Place, taken_over: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "status", "--json"],
        cwd=place.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [run["outcome"] for run in json.loads(done.stdout)["runs"]]
    assert "killed" in outcomes
    assert "ok" in outcomes


def test_prefect_holds_nothing_of_a_customer_and_no_key(place: Place, taken_over: str) -> None:
    phones = {
        contact.phone.encode()
        for world in place.worlds.values()
        for contact in world.contacts
        if contact.phone
    }
    secrets = {KEY.encode(), *phones}
    files = [path for path in (place.folder / "data" / "prefect").rglob("*") if path.is_file()]
    looked = [path for path in [*files, *place.folder.glob("*.log")] if "ui" not in path.parts]
    assert any(path.name == "prefect.db" for path in looked)
    for path in looked:
        content = path.read_bytes()
        assert [secret for secret in secrets if secret in content] == [], path.name


def test_files_of_prefect_are_for_their_owner_only(place: Place, taken_over: str) -> None:
    modes = {
        stat.S_IMODE(path.stat().st_mode) & 0o077
        for path in (place.folder / "data").rglob("*")
        if not path.is_symlink()
        and path.exists()
        and "ui" not in path.parts  # copies of files that anybody can download
    }
    assert modes == {0}


def runs(api: httpx.Client, *states: str) -> list[dict[str, Any]]:
    """The flow runs in one of these states."""
    found = api.post(
        "/flow_runs/filter", json={"flow_runs": {"state": {"type": {"any_": list(states)}}}}
    )
    return list(found.json())
