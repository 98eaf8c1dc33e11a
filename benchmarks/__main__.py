"""Measure a sync and a build on a made-up year, and write `results.md`.

    make bench

The providers' APIs are served by a process of their own.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from pipelines import run
from pipelines.demo import ENDS_AT, KEY, settings_of
from pipelines.provider import Provider
from pipelines.providers import find
from pipelines.warehouse import at

DAYS = 365
PORT = 8470
ROUNDS = 3
RESULTS = Path(__file__).with_name("results.md")


@dataclass(frozen=True)
class Figure:
    """One line of the report; seconds are medians."""

    what: str
    wall: float
    cpu: float
    note: str


def serve_forever(name: str, port: int, ready: Any) -> None:
    """Serve the made-up year through one provider's API until the process is ended."""
    from pipelines.simulation import serve
    from pipelines.world import make_world

    room = next(room for room in find() if room.name == name)
    world = make_world(seed=7, ends_at=ENDS_AT, days=DAYS)
    with serve(room.simulate(world, api_key=KEY), port=port):
        ready.set()
        time.sleep(3600)


@contextmanager
def served(room: Provider) -> Iterator[str]:
    """A simulator in a process of its own; yields its base URL."""
    context = get_context("fork")
    ready = context.Event()
    process = context.Process(target=serve_forever, args=(room.name, PORT, ready), daemon=True)
    process.start()
    ready.wait(60)
    try:
        yield f"http://127.0.0.1:{PORT}"
    finally:
        process.terminate()
        process.join()


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds of this process, and what came back."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def sync(room: Provider, url: str, folder: Path) -> Any:
    warehouse = at(folder / "warehouse.duckdb", folder)
    settings = settings_of(folder, {room.name: url})
    with warehouse.lock():
        return run.sync(warehouse, find(), run.targets(settings, find()))[0]


def syncs(room: Provider, url: str) -> Iterator[Figure]:
    first, idle = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            first.append(timed(lambda f=folder: sync(room, url, Path(f))))  # type: ignore[misc]
            idle.append(timed(lambda f=folder: sync(room, url, Path(f))))  # type: ignore[misc]
    for what, runs in (("first sync", first), ("sync without news", idle)):
        report = runs[0][2]
        note = f"{report.requests:,} requests, {report.changed:,} rows"
        yield Figure(
            f"{room.title}: {what}", median(r[0] for r in runs), median(r[1] for r in runs), note
        )


def builds(url: str, room: Provider) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = sync(room, url, folder)
        warehouse = at(folder / "warehouse.duckdb", folder)
        settings = settings_of(folder, {room.name: url})
        for what in ("first build and publish in a process", "next one"):
            wall, cpu, _ = timed(lambda: run.build(warehouse, find(), settings, as_of=ENDS_AT))
            messages = report.outcomes["messages"].changed
            yield Figure(what, wall, cpu, f"{messages:,} messages")


def start_up() -> Figure:
    command = [sys.executable, "-m", "pipelines.cli", "--help"]
    walls = [timed(lambda: subprocess.run(command, capture_output=True, check=True))[0]
             for _ in range(ROUNDS)]  # fmt: skip
    return Figure("doblecheck --help", median(walls), median(walls), "")


def report(figures: list[Figure]) -> str:
    rows = [f"| {f.what} | {f.wall:.2f} | {f.cpu:.2f} | {f.note} |" for f in figures]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "\n".join(
        [
            "# Figures",
            "",
            f"`make bench` on {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"{datetime.now(UTC):%Y-%m-%d}. A made-up year of {DAYS} days, served on loopback by "
            "a process that shares the cores; medians of "
            f"{ROUNDS} runs. Peak memory of all of it: {peak:.0f} MB.",
            "",
            "| what | wall s | CPU s | |",
            "| --- | ---: | ---: | --- |",
            *rows,
            "",
        ]
    )


def main() -> None:
    figures = [start_up()]
    for room in find():
        with served(room) as url:
            figures += syncs(room, url)
            if room is find()[0]:
                figures += builds(url, room)
    text = report(figures)
    RESULTS.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
