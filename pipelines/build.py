"""From raw rows to marts: prepare what SQL can't know, then let dbt build and test the models.

Python contributes three things: raw tables that exist even for a resource nobody synced, canonical
phone keys, and the business clock. Everything else is SQL, in `models/`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from pipelines import hooks
from pipelines.business_time import BusinessHours, clock
from pipelines.dbt_runner import Dbt, count, names, slowest
from pipelines.errors import BuildFailed, DoblecheckError
from pipelines.failpoint import failpoint
from pipelines.phones import phone_key
from pipelines.providers import find
from pipelines.warehouse import Connection, Warehouse

PREPARED = """
create table if not exists intermediate.phone_keys (
    phone text primary key, phone_key text, phone_e164 text, country_code text
);
drop table if exists intermediate.build_settings cascade;
create table intermediate.build_settings (as_of timestamptz, timezone text);
drop table if exists intermediate.business_policies cascade;
create table intermediate.business_policies (policy text, timezone text);
drop table if exists intermediate.sla_policies cascade;
create table intermediate.sla_policies (
    policy text,
    first_response_seconds double precision,
    response_seconds double precision,
    clock text
);
drop table if exists intermediate.business_clock cascade;
create table intermediate.business_clock (
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
HOOK_TIMES = {
    "stg_webhooks__messages": "occurred_at",
    "stg_webhooks__calls": "started_at",
    "stg_webhooks__conversation_events": "occurred_at",
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
    """What a build did. `warnings` names tests that found rows and don't stop a build, `slowest`
    the models that took longest, with their seconds."""

    as_of: datetime
    models: int
    tests: int
    seconds: float
    warnings: tuple[str, ...] = field(default=())
    slowest: tuple[tuple[str, float], ...] = field(default=())


def build(
    warehouse: Warehouse,
    *,
    as_of: datetime | None = None,
    timezone: str = "UTC",
    business_hours: Mapping[str, BusinessHours] | None = None,
    sla: Mapping[str, Sla] | None = None,
    full: bool = False,
    threads: int | None = None,
) -> BuildResult:
    """Build and test every model.

    Args:
        warehouse: where; no connection to a DuckDB file may be open.
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
    failpoint("build.begin")
    warehouse.ensure_raw_tables(find())
    with _prepared(warehouse) as connection:
        hooks.understand(warehouse, connection, find())
        full = full or hooks.is_redone(connection)
        warehouse.prepare_build(connection)
        connection.execute(PREPARED)
        warehouse.insert(connection, "intermediate.build_settings", [(as_of, timezone)])
    failpoint("build.prepared")
    dbt = Dbt(warehouse.dbt_output(), warehouse.data_dir, threads=threads)
    dbt.run("run", "--select", "path:staging")
    failpoint("build.staged")
    with _prepared(warehouse) as connection:
        write_phone_keys(warehouse, connection)
        failpoint("build.keyed")
        write_business_clock(warehouse, connection, business_hours or {}, as_of=as_of)
        write_sla_policies(warehouse, connection, sla or {})
    failpoint("build.clocked")
    built = dbt.run("build", "--exclude", "path:staging", *(["--full-refresh"] if full else []))
    failpoint("build.built")
    with _prepared(warehouse) as connection:
        hooks.forget_redone(connection)
    return BuildResult(
        as_of=as_of,
        models=count(built, "model"),
        tests=count(built, "test"),
        seconds=time.monotonic() - started,
        warnings=tuple(sorted(names(built, {"warn"}))),
        slowest=tuple(slowest(built)),
    )


def write_phone_keys(warehouse: Warehouse, connection: Connection) -> None:
    """Add the canonical key of every phone in staging that has none yet."""
    union = " union ".join(f"select phone from staging.{_quoted(view)}" for view in _phone_views())
    missing = connection.execute(
        f"select phone from ({union}) as phones where phone is not null"
        " and phone not in (select phone from intermediate.phone_keys)"
    ).fetchall()
    keys = [(phone, *phone_key(phone)) for (phone,) in missing]
    warehouse.insert(connection, "intermediate.phone_keys", keys)


def write_business_clock(
    warehouse: Warehouse,
    connection: Connection,
    business_hours: Mapping[str, BusinessHours],
    *,
    as_of: datetime,
) -> None:
    """Write the policies and, for each, the clock over all the days that have events."""
    policies = [(name, hours.timezone) for name, hours in business_hours.items()]
    warehouse.insert(connection, "intermediate.business_policies", policies)
    first, last = _days_of_events(connection, as_of)
    segments = [
        (name, *segment)
        for name, hours in business_hours.items()
        for segment in clock(hours, first=first, last=last)
    ]
    warehouse.insert(connection, "intermediate.business_clock", segments)


def write_sla_policies(
    warehouse: Warehouse, connection: Connection, sla: Mapping[str, Sla]
) -> None:
    """Write the targets of each policy."""
    rows = [
        (name, goal.first_response_seconds, goal.response_seconds, goal.clock)
        for name, goal in sla.items()
    ]
    warehouse.insert(connection, "intermediate.sla_policies", rows)


@contextmanager
def _prepared(warehouse: Warehouse) -> Iterator[Connection]:
    """A connection whose errors are told without the rows that databases put in them."""
    with warehouse.connect() as connection:
        try:
            yield connection
        except DoblecheckError:
            raise
        except Exception as error:  # noqa: BLE001 - of either engine
            raise BuildFailed(
                f"the build could not be prepared: {type(error).__name__}",
                hint="a raw table or a view of the staging schema is not what the models expect",
            ) from None


def _phone_views() -> list[str]:
    return [*(f"stg_{room.name}__phones" for room in find()), "stg_webhooks__phones"]


def _event_times() -> Iterator[tuple[str, str]]:
    """The staging views that have times the business clock has to cover, and their column."""
    for things, instant in EVENT_TIMES.items():
        for room in find():
            yield f"stg_{room.name}__{things}", instant
    yield from HOOK_TIMES.items()


def _days_of_events(connection: Connection, as_of: datetime) -> tuple[date, date]:
    """The UTC days from a day before the first event to a few after the last one or `as_of`.

    A provider's nonsense date makes no clock of a thousand years: outside, business time is null.
    """
    believable = (FIRST_DAY, as_of + timedelta(days=366))
    times = " union all ".join(
        f"select {instant} as instant from staging.{_quoted(view)}"
        for view, instant in _event_times()
    )
    ends = connection.execute(
        f"select min(instant), max(instant) from ({times}) as t where instant between $1 and $2",
        believable,
    ).fetchall()[0]
    days = [instant.astimezone(UTC).date() for instant in (as_of, *ends) if instant is not None]
    return min(days) - timedelta(days=1), max(days) + timedelta(days=3)


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
