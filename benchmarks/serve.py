"""Measure what a cycle without news costs `doblecheck serve`, and where the time goes.

    python -m benchmarks.serve [--days 90] [--cycles 5]

Both providers' APIs answer after 20 ms, from a process of their own. The first cycle reads
everything and is not counted, nor is the second, which imports the last of what is needed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.report import Figure, Run, tell
from pipelines.commands.demo import ENDS_AT, KEY
from pipelines.journal import Journal
from pipelines.providers import find

LATENCY = 0.02
PORT = 8480
EVERY = "8 s"
PATIENCE = 900.0
PARTS = {
    "whole": ("the whole cycle", "<= 4"),
    "accounts": ("reading the accounts", ""),
    "webhooks": ("taking in webhooks", ""),
    "build": ("build and publish", ""),
    "rest": ("Prefect, tables, alerts", ""),
    "outside": ("before the first and after the last task", ""),
}
"""Part of a cycle → its name on the page and its target."""


def late(app: Any) -> Any:
    """The same application, that much later."""

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(LATENCY)
        await app(scope, receive, send)

    return asked


def serve_forever(days: int, ready: Any) -> None:
    """Serve each provider's API until the process is ended."""
    from pipelines.simulation import serve
    from pipelines.world import make_world

    world = make_world(seed=7, ends_at=ENDS_AT, days=days)
    servers = [
        serve(late(room.simulate(world, api_key=KEY)), port=PORT + i)
        for i, room in enumerate(find())
    ]
    for server in servers:
        server.__enter__()
    ready.set()
    time.sleep(3600)


@contextmanager
def providers(days: int) -> Iterator[None]:
    """The simulators in a process of their own."""
    context = get_context("fork")
    ready = context.Event()
    process = context.Process(target=serve_forever, args=(days, ready), daemon=True)
    process.start()
    ready.wait(120)
    try:
        yield
    finally:
        process.terminate()
        process.join()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`doblecheck serve` in a folder; yields Prefect's API."""
    accounts = [
        f'[[accounts]]\nprovider = "{room.name}"\napi_key = "{KEY}"\n'
        f'base_url = "http://127.0.0.1:{PORT + i}"\nrequests_per_minute = 100000\n'
        for i, room in enumerate(find())
    ]
    schedule = f'[schedule]\nevery = "{EVERY}"\ningest_every = "1 day"\nport = 0\n'
    (folder / "doblecheck.toml").write_text("".join(accounts) + schedule)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "serve"], cwd=folder, stdout=log, stderr=log
        )
    try:
        while not (said := re.search(r"Prefect is at (\S+)", (folder / "log").read_text())):
            time.sleep(0.2)
        yield f"{said[1]}/api"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@dataclass(frozen=True)
class Cycle:
    """Seconds of one cycle and of its parts."""

    whole: float
    accounts: float
    webhooks: float
    build: float
    outside: float

    @property
    def rest(self) -> float:
        """What is neither reading nor building: Prefect, tables, alerts."""
        return self.whole - self.accounts - self.webhooks - self.build


def cycles(api: str, folder: Path, count: int) -> list[Cycle]:
    """The cycles after the second, once there are enough."""
    journal = Journal(folder / "data")
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        ended = [entry for entry in journal.last(100) if entry.outcome == "ok"]
        if len(ended) >= count + 2:
            break
        time.sleep(0.5)
    inside = {entry.started_at: entry.seconds or 0 for entry in ended}
    with httpx.Client(base_url=api, timeout=30) as client:
        time.sleep(10)  # the last states are on their way
        asked = {
            "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
            "sort": "START_TIME_ASC",
        }
        found = client.post("/flow_runs/filter", json=asked).json()
        return [_cycle(client, run, inside) for run in found if run["name"] == "sync and build"][2:]


def _cycle(client: httpx.Client, run: dict[str, Any], inside: dict[datetime, float]) -> Cycle:
    only = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = client.post("/task_runs/filter", json=only).json()
    took = {task["name"].split("-")[0]: task["total_run_time"] for task in tasks}
    began = _time(run["start_time"])
    nearest = min(inside, key=lambda at: abs(at - began))
    return Cycle(
        whole=run["total_run_time"],
        accounts=max(seconds for name, seconds in took.items() if name.startswith("sync ")),
        webhooks=took.get("take in webhooks", 0),
        build=took["build and publish"],
        outside=run["total_run_time"] - inside[nearest],
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, providers(given.days), serving(Path(name)) as api:
        found = cycles(api, Path(name), given.cycles)
    figures = [
        Figure(name, median(getattr(cycle, part) for cycle in found), "s", target)
        for part, (name, target) in PARTS.items()
    ]
    command = f"python -m benchmarks.serve --days {given.days} --cycles {given.cycles}"
    note = (
        f"A cycle without news of a warm `doblecheck serve`, {given.days} days of a made-up shop, "
        f"providers answer after {LATENCY * 1000:.0f} ms; medians of {len(found)}."
    )
    tell(Run("Serve", command, figures, note), is_kept=given.keep)


if __name__ == "__main__":
    main()
