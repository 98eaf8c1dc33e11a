"""What the fault tests work with: both rooms' simulators, runs in processes of their own that can
be killed, and the oracle that says what was lost and what is there twice."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial, wraps
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, TypeVar

import dlt.destinations.impl.duckdb.duck
import dlt.load.load
import dlt.normalize.normalize  # noqa: F401
import pyarrow.parquet  # noqa: F401
from real_postgres import copied_database

from pipelines import run
from pipelines.errors import WarehouseBusy
from pipelines.failpoint import arm, failpoint
from pipelines.loading.sync import Order, Report, sync_account
from pipelines.provider import REJECTED, Provider
from pipelines.providers import find
from pipelines.settings import Account, Settings
from pipelines.simulation import Clock, serve
from pipelines.warehouse import Warehouse, at
from pipelines.warehouse.postgres import PostgresWarehouse
from pipelines.world import World, make_world

for _room in find():  # imported once, before the forks
    importlib.import_module(f"{_room.package}.source")

T = TypeVar("T")
R = TypeVar("R")

KEY = "CANARY-key-of-the-shop"
ENDS_AT = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)
BEFORE = ENDS_AT - timedelta(days=2)
CHUNK_ROWS = 60

SYNC_LOCKED = "busy"

NOT_COMPARED = {
    "fetched_at",
    "_dlt_load_id",
    # When a state was first seen depends on when somebody looked.
    "observed_from",
}


@dataclass
class Bench:
    """Both rooms' simulators over one small shop, and its clock."""

    world: World
    clock: Clock
    urls: dict[str, str] = field(default_factory=dict)
    apps: dict[str, Any] = field(default_factory=dict)

    def begin(self, folder: Path) -> None:
        """A warehouse that was synced two days ago; the clock then shows today."""
        self.clock.now = BEFORE
        assert self.run(folder) == 0
        self.clock.now = ENDS_AT

    def run(self, folder: Path, armed: str = "") -> int:
        """One sync of both accounts in a process of its own; return its exit code."""
        return in_process(partial(sync, folder, self.urls, self.clock.now, armed))


@cache
def small_world() -> World:
    return make_world(seed=11, ends_at=ENDS_AT, days=5, conversations_per_day=9)


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench with its simulators served."""
    world = small_world()
    made = Bench(world, Clock(now=ENDS_AT))
    with ExitStack() as stack:
        for room in find():
            made.apps[room.name] = room.simulate(world, api_key=KEY, clock=made.clock)
            made.urls[room.name] = stack.enter_context(serve(made.apps[room.name]))
        yield made


def account(provider: str, url: str, **settings: Any) -> Account:
    given = {
        "provider": provider,
        "name": "shop",
        "api_key": KEY,
        "base_url": url,
        "requests_per_minute": 1_000_000,
        "concurrency": 4,
        "retry_seconds": 0.01,
    }
    return Account.model_validate(given | settings)


URL = "url"
"""A folder with this file has its warehouse in PostgreSQL, and the file says where."""


def warehouse(folder: Path) -> Warehouse:
    if (folder / URL).exists():
        return PostgresWarehouse((folder / URL).read_text(), folder)
    return at(folder / "warehouse.duckdb", folder)


# In the forked process.


def sync(folder: Path, urls: Mapping[str, str], now: datetime, armed: str) -> int:
    """Sync both accounts as the command does; the exit code it would have."""
    _arm(armed)
    place = warehouse(folder)
    rooms = {room.name: room for room in find()}
    try:
        with place.lock():
            failpoint("sync.begin")
            place.ensure_raw_tables(find())
            reports = [
                _synced(place, rooms[name], account(name, url), now) for name, url in urls.items()
            ]
    except WarehouseBusy:
        (folder / SYNC_LOCKED).touch()
        return 1
    told = [str(r.error or r.problems) for r in reports if not r.is_ok]
    (folder / "report.json").write_text(json.dumps(told))
    return 0 if all(report.error is None for report in reports) else 1


def _synced(place: Warehouse, room: Provider, found: Account, now: datetime) -> Report:
    order = Order(resources=frozenset(room.resources), now=now, chunk_rows=CHUNK_ROWS)
    report = sync_account(place, room, found, order)
    failpoint("sync.end")
    return report


def build(folder: Path, armed: str) -> int:
    """Build and publish."""
    _arm(armed)
    settings = Settings.model_construct(folder=folder, data_dir=folder, accounts=[])
    with warehouse(folder).lock():
        run.build(warehouse(folder), find(), settings, as_of=ENDS_AT)
    return 0


def publish(folder: Path, version: int, armed: str) -> int:
    """Write a version into two tables of the writer's file, then publish it."""
    with warehouse(folder).connect() as connection:
        for table in ("a", "b"):
            connection.execute(
                f"create or replace table {table} as select {version} as v from range(20000)"
            )
    _arm(armed)
    warehouse(folder).publish()
    return 0


def _arm(armed: str) -> None:
    """Arm a place of ours, or one inside dlt: `dlt:<before|after>:<module>:<class>.<method>`."""
    if not armed.startswith("dlt:"):
        arm(armed)
        return
    _, when, module, path, *_ = armed.split(":")
    owner_name, name = path.split(".")
    owner = getattr(importlib.import_module(module), owner_name)
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        if when == "before":
            _die()
        result = original(*arguments, **keywords)
        _die()
        return result

    setattr(owner, name, wrapped)


def _die() -> None:
    arm("sync.end=kill")
    failpoint("sync.end")


DLT_PLACES = tuple(
    f"dlt:{when}:{place}"
    for place in (
        "dlt.normalize.normalize:Normalize.spool_schema_files",
        "dlt.common.storages.load_package:PackageStorage.start_job",
        "dlt.common.storages.load_package:PackageStorage.complete_job",
        "dlt.load.load:Load.create_followup_jobs",
        "dlt.load.load:Load.complete_package",
        "dlt.common.storages.load_package:PackageStorage.complete_loading_package",
        "dlt.destinations.job_client_impl:SqlJobClientBase.update_stored_schema",
        "dlt.destinations.job_client_impl:SqlJobClientBase.complete_load",
    )
    for when in ("before", "after")
)


# In the test's process.

_forks = multiprocessing.get_context("forkserver")


@cache
def _start_the_server() -> None:
    """Start the process that the others are forked from, with everything imported.

    Python 3.11 does not tell it our path, and then it imports nothing, without a word.
    """
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    os.environ["FAULTS_WARM"] = "1"
    _forks.set_forkserver_preload(["fault_kinds"])
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("FAULTS_WARM")
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def in_process(work: Callable[[], int], *, seconds: float = 120.0) -> int:
    """Call something in a process of its own; its exit code, negative for a signal."""
    process = start(work)
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise AssertionError("it did not end")
    return process.exitcode


def start(work: Callable[[], int]) -> Any:
    _start_the_server()
    process = _forks.Process(target=_exit_with, args=(work,))
    process.start()
    return process


def _exit_with(work: Callable[[], int]) -> None:
    raise SystemExit(work())


def on_both_cores(case: Callable[[T], R], cases: Iterable[T]) -> list[R]:
    """Try cases two at a time; each spends its time in processes of its own."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(case, cases))


def copied(template: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, symlinks=True)
    if (template / URL).exists():
        (folder / URL).write_text(copied_database((template / URL).read_text()))
    return folder


def contents(folder: Path) -> dict[str, Counter[tuple[Any, ...]]]:
    """Table → its rows, without what tells only when they were read."""
    found = {}
    with warehouse(folder).connect() as connection:
        for room in find():
            for table in (*room.tables, REJECTED):
                columns = [*table.columns, "account", "payload", "row_hash"]
                kept = [name for name in columns if name not in NOT_COMPARED]
                if "observed_from" in columns:  # so do the id and the digest made with it
                    kept = [name for name in kept if name not in ("id", "row_hash")]
                names = ", ".join(f'"{name}"' for name in kept)
                sql = f'select {names} from {room.schema}."{table.name}"'
                found[f"{room.schema}.{table.name}"] = Counter(connection.execute(sql).fetchall())
    return found


def twice(folder: Path) -> int:
    """Rows that share their key with another."""
    with warehouse(folder).connect() as connection:
        sql = 'select count(*) - count(distinct (account, id)) from {}."{}"'
        return sum(
            connection.execute(sql.format(room.schema, table.name)).fetchall()[0][0]
            for room in find()
            for table in room.tables
        )


@dataclass(frozen=True)
class Difference:
    """How a warehouse differs from one that nothing disturbed."""

    lost: int
    duplicated: int
    tables: tuple[str, ...] = ()

    @classmethod
    def between(cls, folder: Path, expected: Mapping[str, Counter[tuple[Any, ...]]]) -> Difference:
        there = contents(folder)
        lost = sum((expected[name] - there[name]).total() for name in expected)
        more = sum((there[name] - expected[name]).total() for name in expected)
        differing = tuple(name for name in expected if there[name] != expected[name])
        return cls(lost, max(more, twice(folder)), differing)


NOTHING = Difference(0, 0)
