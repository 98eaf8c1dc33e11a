"""From raw rows to marts: prepare what SQL can't know, then let dbt build and test the models.

Python contributes four things: raw tables that exist even for a resource nobody synced, what was
loaded since the last build, canonical phone keys, and the business clock. Everything else is SQL,
in `models/`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.building import changes
from pipelines.building.changes import Made
from pipelines.building.dbt_runner import Dbt, count, names, slowest
from pipelines.business_time import BusinessHours, clock
from pipelines.errors import BuildFailed, DoblecheckError
from pipelines.events import webhook_tables
from pipelines.failpoint import failpoint
from pipelines.phones import phone_key
from pipelines.providers import find
from pipelines.warehouse import Connection, Warehouse

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

PREPARED = {
    "phone_keys": "phone text primary key, phone_key text, phone_e164 text, country_code text",
    "build_settings": "as_of timestamptz, timezone text",
    "business_policies": "policy text, timezone text",
    "sla_policies": (
        "policy text, first_response_seconds double precision, response_seconds double precision,"
        " clock text"
    ),
    "business_clock": (
        "policy text, utc_day date, starts_at timestamptz, ends_at timestamptz,"
        " open_seconds double precision, is_open boolean"
    ),
    **changes.TABLES,
}
"""Tables of the intermediate schema that no model makes → their columns."""

FIRST_DAY = datetime(2009, 1, 1, tzinfo=UTC)
"""Before it there was no WhatsApp."""


@dataclass(frozen=True)
class Sla:
    """How fast an answer should be: targets in seconds of the calendar or of business hours."""

    first_response_seconds: float | None = None
    response_seconds: float | None = None
    clock: str = "calendar"


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        is_full: it built everything.
        warnings: tests that found rows and don't stop a build.
        slowest: the models that took longest, with their seconds.
    """

    as_of: datetime
    is_full: bool
    models: int
    tests: int
    seconds: float
    warnings: tuple[str, ...] = field(default=())
    slowest: tuple[tuple[str, float], ...] = field(default=())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for garbage: a tenth of dbt's CPU goes into looking through what it
    keeps to the end anyway, and what it leaves is some megabytes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_uncollected()
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
    rules = _Rules(timezone, business_hours or {}, sla or {})
    made = Made(changes.version(), rules.text() + warehouse.fingerprint)
    dbt = Dbt(warehouse.dbt_output(), warehouse.data_dir, threads=threads, version=made.version)
    failpoint("build.begin")
    dbt.get_ready()
    with warehouse.building():
        work = _find_work(warehouse, made, rules, as_of=as_of, full=full)
        failpoint("build.prepared")
        built = [_build_rows(dbt, full=work.is_full)] if work.has_news else []
        failpoint("build.staged")
        work = _follow_rows(warehouse, work, rules, as_of=as_of)
        failpoint("build.clocked")
        built.append(_build_marts(dbt, work))
        failpoint("build.tested")
        with _prepared(warehouse) as connection:
            changes.passed(
                connection, find(), warehouse.fingerprint, made, as_of=as_of, full=work.is_full
            )
        failpoint("build.built")
    return _result(built, work, as_of=as_of, seconds=time.monotonic() - started)


@dataclass(frozen=True)
class _Rules:
    """What the settings say of days, hours and goals."""

    timezone: str
    hours: Mapping[str, BusinessHours]
    goals: Mapping[str, Sla]

    def text(self) -> str:
        """Another text where they are others."""
        return repr((self.timezone, sorted(self.hours.items()), sorted(self.goals.items())))


@dataclass(frozen=True)
class _Work:
    """What there is to do: everything, or what came, changed or went; or only what time moves."""

    is_full: bool
    has_news: bool


def _find_work(
    warehouse: Warehouse, made: Made, rules: _Rules, *, as_of: datetime, full: bool
) -> _Work:
    """Read new deliveries, and look what changed since the last build that passed."""
    warehouse.ensure_raw_tables(find())
    with _prepared(warehouse) as connection:
        webhook_tables.understand(warehouse, connection, find())
        warehouse.prepare_build(connection)
        for name, columns in PREPARED.items():
            connection.execute(
                f"create {warehouse.scratch} if not exists intermediate.{name} ({columns})"
            )
        changes.note_the_clock(connection, as_of)
        _write(warehouse, connection, "build_settings", [(as_of, rules.timezone)])
        full = full or changes.is_first(connection, made)
        if full:
            changes.begin_anew(connection)
            warehouse.forget_models(connection, kept=PREPARED)
        else:
            changes.find_touched(connection, find(), warehouse.fingerprint)
            warehouse.look_at(connection, "intermediate.touched")
        return _Work(is_full=full, has_news=full or changes.is_touched(connection))


def _follow_rows(warehouse: Warehouse, work: _Work, rules: _Rules, *, as_of: datetime) -> _Work:
    """Write what SQL can't know of the rows: phone keys and the clock, which may touch more."""
    with _prepared(warehouse) as connection:
        write_phone_keys(warehouse, connection)
        failpoint("build.keyed")
        write_business_clock(warehouse, connection, rules.hours, as_of=as_of)
        write_sla_policies(warehouse, connection, rules.goals)
        if work.is_full:
            return work
        changes.touch_edges_of_the_clock(connection)
        return _Work(is_full=False, has_news=changes.is_touched(connection))


def _result(
    built: Sequence[dbtRunnerResult], work: _Work, *, as_of: datetime, seconds: float
) -> BuildResult:
    return BuildResult(
        as_of=as_of,
        is_full=work.is_full,
        models=sum(count(result, "model") for result in built),
        tests=sum(count(result, "test") for result in built),
        seconds=seconds,
        warnings=tuple(sorted(name for result in built for name in names(result, {"warn"}))),
        slowest=tuple(slowest(built)),
    )


def _build_rows(dbt: Dbt, *, full: bool) -> dbtRunnerResult:
    """The models that phone keys and the business clock are made from."""
    if full:
        return dbt.run("run", "--full-refresh", "--select", "path:staging", "tag:rows")
    return dbt.run("run", "--select", "tag:rows", "--exclude", "config.materialized:view")


def _build_marts(dbt: Dbt, work: _Work) -> dbtRunnerResult:
    """The other models, and the tests: everything, what was touched, or what the clock moves."""
    # Of the tests only those go with what is left out that look at nothing else.
    rest = ("--exclude", "path:staging", "tag:rows", "--indirect-selection", "cautious")
    if work.is_full:
        return dbt.run("build", "--full-refresh", *rest)
    if work.has_news:  # seeds and views are as they were
        kinds = (
            "config.materialized:incremental",
            "config.materialized:table",
            "resource_type:test",
        )
        return dbt.run("build", "--select", *kinds, *rest)
    return dbt.run("build", "--select", "tag:clock")


def write_phone_keys(warehouse: Warehouse, connection: Connection) -> None:
    """Add the canonical key of every phone that has none yet."""
    missing = connection.execute(
        "select phone from intermediate.int_phones__written"
        " where phone not in (select phone from intermediate.phone_keys)"
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
    _write(warehouse, connection, "business_policies", policies)
    first, last = _days_of_events(connection, as_of)
    segments = [
        (name, *segment)
        for name, hours in business_hours.items()
        for segment in clock(hours, first=first, last=last)
    ]
    _write(warehouse, connection, "business_clock", segments)


def write_sla_policies(
    warehouse: Warehouse, connection: Connection, sla: Mapping[str, Sla]
) -> None:
    """Write the targets of each policy."""
    rows = [
        (name, goal.first_response_seconds, goal.response_seconds, goal.clock)
        for name, goal in sla.items()
    ]
    _write(warehouse, connection, "sla_policies", rows)


@contextmanager
def _prepared(warehouse: Warehouse) -> Iterator[Connection]:
    """A connection whose errors are told without the rows that databases put in them."""
    with warehouse.connect() as connection:
        try:
            yield connection
        except DoblecheckError:
            raise
        except Exception as error:  # noqa: BLE001 - of either engine
            raise warehouse.explain(error) or BuildFailed(
                f"the build could not be prepared: {type(error).__name__}",
                hint="a raw table or a view of the staging schema is not what the models expect",
            ) from None


def _write(
    warehouse: Warehouse, connection: Connection, table: str, rows: Sequence[Sequence[Any]]
) -> None:
    """Put rows in the place of what a prepared table held."""
    connection.execute(f"delete from intermediate.{table}")
    warehouse.insert(connection, f"intermediate.{table}", rows)


def _days_of_events(connection: Connection, as_of: datetime) -> tuple[date, date]:
    """The UTC days from a day before the first event to a few after the last one or `as_of`.

    A provider's nonsense date makes no clock of a thousand years: outside, business time is null.
    """
    # As of an earlier time, too, it is known of everything that there is.
    believable = (FIRST_DAY, max(as_of, datetime.now(UTC)) + timedelta(days=366))
    ends = connection.execute(
        "select min(instant), max(instant) from intermediate.int_threads__instants"
        " where instant between $1 and $2",
        believable,
    ).fetchall()[0]
    days = [instant.astimezone(UTC).date() for instant in (as_of, *ends) if instant is not None]
    return min(days) - timedelta(days=1), max(days) + timedelta(days=3)
