"""From raw rows to marts: prepare what SQL can't know, then let dbt build and test the models.

Python contributes three things: raw tables that exist even for a resource nobody synced, canonical
phone keys, and the business clock. Everything else is SQL, in `models/`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from pipelines.business_time import BusinessHours, clock
from pipelines.errors import BuildFailed
from pipelines.phones import phone_key
from pipelines.provider import COMMON_COLUMNS, Table

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

Rooms = Mapping[str, Sequence[Table]]
"""Room → its raw tables."""

SYNC_STATE = """
create table if not exists {schema}.sync_state (
    account text not null,
    resource text not null,
    "cursor" text,
    is_complete boolean,
    first_synced_at timestamptz,
    last_synced_at timestamptz,
    last_error text,
    primary key (account, resource)
)
"""

PREPARED = """
create schema if not exists staging;
create schema if not exists intermediate;
create schema if not exists marts;
create table if not exists intermediate.phone_keys (
    phone text primary key, phone_key text, phone_e164 text, country_code text
);
create or replace table intermediate.build_settings (as_of timestamptz, timezone text);
create or replace table intermediate.business_policies (policy text, timezone text);
create or replace table intermediate.sla_policies (
    policy text,
    first_response_seconds double precision,
    response_seconds double precision,
    clock text
);
create or replace table intermediate.business_clock (
    policy text,
    utc_day date,
    starts_at timestamptz,
    ends_at timestamptz,
    open_seconds double precision,
    is_open boolean
);
"""

FIRST_DAY = datetime(2009, 1, 1, tzinfo=UTC)
"""Before it there was no WhatsApp."""

EVENT_TIMES = {
    "messages": "occurred_at",
    "calls": "started_at",
    "conversation_closes": "occurred_at",
}
"""The staging models whose times the business clock has to cover."""


@dataclass(frozen=True)
class Sla:
    """How fast an answer should be: targets in seconds of the calendar or of business hours."""

    first_response_seconds: float | None = None
    response_seconds: float | None = None
    clock: str = "calendar"


@dataclass(frozen=True)
class BuildResult:
    """What a build did. `warnings` names tests that found rows and don't stop a build."""

    as_of: datetime
    models: int
    tests: int
    seconds: float
    warnings: tuple[str, ...] = field(default=())


def build(
    database: Path | str,
    *,
    data_dir: Path,
    as_of: datetime | None = None,
    timezone: str = "UTC",
    business_hours: Mapping[str, BusinessHours] | None = None,
    sla: Mapping[str, Sla] | None = None,
    full: bool = False,
    threads: int | None = None,
) -> BuildResult:
    """Build and test every model in the DuckDB file `database`.

    Args:
        database: the writer's file; created when missing. No connection to it may be open.
        data_dir: where dbt keeps its own files.
        as_of: the clock of the columns that depend on "now"; default: now.
        timezone: IANA zone of the days of channels that have no business hours.
        business_hours, sla: policy → rule. Policies are named `default`, `<account>` and
            `<account>/<channel id>`; the most specific one applies.
        full: forget what earlier builds left behind.

    Raises:
        BuildFailed: a model or a test failed; its message names them and shows no rows.
    """
    started = time.monotonic()
    as_of = (as_of or datetime.now(UTC)).astimezone(UTC)
    with _prepared(database) as connection:
        ensure_raw_tables(connection, rooms())
        connection.execute(PREPARED)
        _insert(connection, "intermediate.build_settings", [(as_of, timezone)])
    dbt = _Dbt(Path(database), data_dir, threads=threads)
    dbt.run("run", "--select", "path:staging")
    with _prepared(database) as connection:
        write_phone_keys(connection)
        write_business_clock(connection, business_hours or {}, as_of=as_of)
        write_sla_policies(connection, sla or {})
    built = dbt.run("build", "--exclude", "path:staging", *(["--full-refresh"] if full else []))
    return BuildResult(
        as_of=as_of,
        models=_count(built, "model"),
        tests=_count(built, "test"),
        seconds=time.monotonic() - started,
        warnings=tuple(sorted(_names(built, {"warn"}))),
    )


def rooms() -> dict[str, tuple[Table, ...]]:
    """Every room's raw tables, found by folder."""
    folders = resources.files("pipelines.providers").iterdir()
    names = sorted(folder.name for folder in folders if (folder / "tables.py").is_file())
    return {name: import_module(f"pipelines.providers.{name}.tables").TABLES for name in names}


def ensure_raw_tables(connection: duckdb.DuckDBPyConnection, rooms: Rooms) -> None:
    """Create the raw tables and columns that are missing, empty, and each room's `sync_state`.

    The models can then read a resource that was never synced, or a column that is new.
    """
    for room, tables in rooms.items():
        schema = _quoted(f"raw_{room}")
        connection.execute(f"create schema if not exists {schema}")
        connection.execute(SYNC_STATE.format(schema=schema))
        for table in tables:
            _ensure_table(connection, schema, table)


def write_phone_keys(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the canonical key of every phone in staging that has none yet."""
    union = " union ".join(f"select phone from staging.{_quoted(view)}" for view in _phone_views())
    missing = connection.execute(
        f"select phone from ({union}) where phone is not null"
        " and phone not in (select phone from intermediate.phone_keys)"
    ).fetchall()
    keys = [(phone, *phone_key(phone)) for (phone,) in missing]
    _insert(connection, "intermediate.phone_keys", keys)


def write_business_clock(
    connection: duckdb.DuckDBPyConnection,
    business_hours: Mapping[str, BusinessHours],
    *,
    as_of: datetime,
) -> None:
    """Write the policies and, for each, the clock over all the days that have events."""
    policies = [(name, hours.timezone) for name, hours in business_hours.items()]
    _insert(connection, "intermediate.business_policies", policies)
    first, last = _days_of_events(connection, as_of)
    segments = [
        (name, *segment)
        for name, hours in business_hours.items()
        for segment in clock(hours, first=first, last=last)
    ]
    _insert(connection, "intermediate.business_clock", segments)


def write_sla_policies(connection: duckdb.DuckDBPyConnection, sla: Mapping[str, Sla]) -> None:
    """Write the targets of each policy."""
    rows = [
        (name, goal.first_response_seconds, goal.response_seconds, goal.clock)
        for name, goal in sla.items()
    ]
    _insert(connection, "intermediate.sla_policies", rows)


@contextmanager
def _prepared(database: Path | str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose errors are told without the rows that DuckDB puts in them."""
    with duckdb.connect(str(database)) as connection:
        try:
            connection.execute("set TimeZone = 'UTC'")  # at connect time it would need a download
            yield connection
        except duckdb.Error as error:
            raise BuildFailed(
                f"the build could not be prepared: {type(error).__name__}",
                hint="a raw table or a view of the staging schema is not what the models expect",
            ) from error


def _ensure_table(connection: duckdb.DuckDBPyConnection, schema: str, table: Table) -> None:
    columns = dict.fromkeys(table.columns, "text") | dict(COMMON_COLUMNS)
    name = f"{schema}.{_quoted(table.name)}"
    declared = ", ".join(f"{_quoted(column)} {kind}" for column, kind in columns.items())
    connection.execute(f"create table if not exists {name} ({declared})")
    there = connection.execute(f"select * from {name} limit 0").description or []
    for column in [column for column in columns if column not in {entry[0] for entry in there}]:
        connection.execute(f"alter table {name} add column {_quoted(column)} {columns[column]}")


def _phone_views() -> list[str]:
    return [f"stg_{room}__phones" for room in rooms()]


def _days_of_events(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> tuple[date, date]:
    """The UTC days from a day before the first event to a few after the last one or `as_of`.

    A provider's nonsense date makes no clock of a thousand years: outside, business time is null.
    """
    believable = (FIRST_DAY, as_of + timedelta(days=366))
    times = " union all ".join(
        f"select {instant} as instant from staging.{_quoted(f'stg_{room}__{things}')}"
        for room in rooms()
        for things, instant in EVENT_TIMES.items()
    )
    ends = connection.execute(
        f"select min(instant), max(instant) from ({times}) where instant between ? and ?",
        believable,
    ).fetchall()[0]
    days = [instant.astimezone(UTC).date() for instant in (as_of, *ends) if instant is not None]
    return min(days) - timedelta(days=1), max(days) + timedelta(days=3)


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows by column lists: a thousand times faster than row by row."""
    if not rows:
        return
    columns = [list(column) for column in zip(*rows, strict=True)]
    unnested = ", ".join("unnest(?)" for _ in columns)
    connection.execute(f"insert into {table} select {unnested}", columns)


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


class _Dbt:
    """dbt in this process: its files in `data_dir`, its project inside this package."""

    def __init__(self, database: Path, data_dir: Path, *, threads: int | None) -> None:
        self._home = data_dir / "dbt"
        self._home.mkdir(parents=True, exist_ok=True)
        self._write_profile(database, threads or os.cpu_count() or 1)
        self._manifest: Any = None

    def run(self, command: str, *arguments: str) -> dbtRunnerResult:
        """Run one command.

        Raises:
            BuildFailed: with the names of what failed.
        """
        from dbt.cli.main import dbtRunner

        runner = dbtRunner(manifest=self._manifest)
        result = runner.invoke([*_QUIET, command, *arguments, *self._flags(command)])
        self._manifest = runner.manifest
        if not result.success:
            raise BuildFailed(
                f"dbt {command} failed: {_reason(result)}",
                hint=f"details are in {self._home / 'logs' / 'dbt.log'}",
            )
        return result

    def _flags(self, command: str) -> list[str]:
        flags = [
            *("--project-dir", str(resources.files("models"))),
            *("--profiles-dir", str(self._home)),
            *("--target-path", str(self._home / "target")),
            *("--log-path", str(self._home / "logs")),
        ]
        return flags + (["--exclude-resource-type", "unit_test"] if command == "build" else [])

    def _write_profile(self, database: Path, threads: int) -> None:
        output = {
            "type": "duckdb",
            "path": str(database),
            "threads": threads,
            "settings": {"TimeZone": "UTC"},
        }
        profile = {"doblecheck": {"target": "duckdb", "outputs": {"duckdb": output}}}
        (self._home / "profiles.yml").write_text(json.dumps(profile))  # JSON is YAML


_QUIET = (
    *("--quiet", "--log-level", "none", "--no-use-colors"),  # stdout is for data
    *("--log-level-file", "error"),
    *("--no-send-anonymous-usage-stats", "--no-version-check", "--no-write-json"),
)


def _count(result: dbtRunnerResult, kind: str) -> int:
    return sum(run.node.resource_type == kind for run in _runs(result))


def _names(result: dbtRunnerResult, statuses: Iterable[str]) -> list[str]:
    return [run.node.name for run in _runs(result) if run.status in statuses]


def _runs(result: dbtRunnerResult) -> list[Any]:
    return list(getattr(result.result, "results", None) or [])


def _reason(result: dbtRunnerResult) -> str:
    """The failing models and tests; without any, the kind of error. Never their messages: rows."""
    failed = sorted(_names(result, {"error", "fail"}))
    return ", ".join(failed) or type(result.exception).__name__
