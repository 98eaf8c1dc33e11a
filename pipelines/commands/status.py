"""How fresh and how complete the warehouse is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.errors import LogError
from pipelines.journal import Entry, Journal
from pipelines.provider import Provider
from pipelines.reading.quota import told
from pipelines.receiver.log import DeliveryLog, open_log
from pipelines.settings import Settings
from pipelines.times import age_seconds
from pipelines.warehouse import Connection, Warehouse, all_sync_states
from pipelines.webhooks import status as hook_status
from pipelines.webhooks.status import HookStatus


@dataclass(frozen=True)
class ResourceStatus:
    """One resource of one account.

    Attributes:
        account: `<provider>:<name>`.
        rows: rows in the raw table.
        rejected: rows that could not be landed; `raw_<provider>.rejected` keeps them.
        is_complete: everything the provider lists is there.
        open_gaps: stretches of the list that the next sync goes on with.
        last_synced_at: start of the last sync without an error, UTC; None before the first.
        age_seconds: since then.
        last_error: why the last sync did not read all of it; None when it did.
    """

    account: str
    resource: str
    rows: int
    rejected: int
    is_complete: bool
    open_gaps: int
    last_synced_at: datetime | None
    age_seconds: float | None
    last_error: str | None


@dataclass(frozen=True)
class BudgetStatus:
    """What an account may ask its provider, and what it still has to.

    Attributes:
        account: `<provider>:<name>`.
        per_minute: requests that it may make in a minute.
        last_minute: requests that it made in the last one.
        left: requests that the last sync left to the next, estimated; None when that can't be told.
        left_seconds: what they take at best.
    """

    account: str
    per_minute: int
    last_minute: int
    left: int | None
    left_seconds: float | None


@dataclass(frozen=True)
class LogStatus:
    """The log of webhook deliveries.

    Attributes:
        deliveries: ever stored.
        not_ingested: those that the warehouse does not have yet.
        oldest_at: when the first of them was received, UTC.
        age_seconds: since then.
        problem: why nothing is known; None when it is.
    """

    deliveries: int = 0
    not_ingested: int = 0
    oldest_at: datetime | None = None
    age_seconds: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Status:
    """The warehouse, its newest snapshot, every resource that was ever synced, the webhooks and the
    budget of each account, the log of deliveries, and the last runs, the newest first."""

    warehouse: str
    snapshot: str | None
    published_at: datetime | None
    is_running: bool
    resources: tuple[ResourceStatus, ...]
    webhooks: tuple[HookStatus, ...]
    budgets: tuple[BudgetStatus, ...]
    log: LogStatus
    runs: tuple[Entry, ...]


def read(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    log: DeliveryLog,
    *,
    now: datetime | None,
    silent_after: timedelta = timedelta(0),
) -> Status:
    """The status as of `now`, by default the current time.

    Args:
        silent_after: how far webhooks may be behind the API's messages; zero: as far as they like.
    """
    now = now or datetime.now(UTC)
    with warehouse.watch() as seen:
        resources = tuple(_resources(seen.connection, rooms, now))
        webhooks = _webhooks(seen.connection, rooms, now, silent_after)
    published = warehouse.newest()
    return Status(
        warehouse=warehouse.name,
        snapshot=published.place if published else None,
        published_at=published.at if published else None,
        is_running=seen.is_running,
        resources=resources,
        webhooks=webhooks,
        budgets=tuple(_budgets(warehouse)),
        log=_log(log, now),
        runs=tuple(Journal(warehouse.data_dir).last()),
    )


def if_readable(
    warehouse: Warehouse, rooms: Sequence[Provider], settings: Settings
) -> Status | None:
    """The status now; None while the warehouse is away, or damaged."""
    try:
        with closing(open_log(settings)) as log:
            return read(warehouse, rooms, log, now=None)
    except Exception:  # noqa: BLE001 - of either engine; the run that met it tells it
        return None


def _webhooks(
    connection: Connection | None, rooms: Sequence[Provider], now: datetime, after: timedelta
) -> tuple[HookStatus, ...]:
    if connection is None:
        return ()
    return hook_status.read(connection, rooms, now=now, silent_after=after)


def _budgets(warehouse: Warehouse) -> Iterator[BudgetStatus]:
    for left, last_minute in told(warehouse.data_dir):
        seconds = None if left.requests is None else left.requests * 60 / max(1, left.per_minute)
        yield BudgetStatus(left.account, left.per_minute, last_minute, left.requests, seconds)


def _log(log: DeliveryLog, now: datetime) -> LogStatus:
    try:
        backlog = log.backlog()
    except LogError as error:
        return LogStatus(problem=str(error))
    return LogStatus(
        deliveries=backlog.last_sequence,
        not_ingested=backlog.records,
        oldest_at=backlog.oldest_at,
        age_seconds=backlog.age_seconds(now),
    )


def _resources(
    connection: Connection | None, rooms: Sequence[Provider], now: datetime
) -> Iterator[ResourceStatus]:
    if connection is None:
        return
    for room, state in all_sync_states(connection, rooms):
        synced = state.last_synced_at
        yield ResourceStatus(
            account=f"{room.name}:{state.account}",
            resource=state.resource,
            rows=_rows(connection, room, state.resource, state.account),
            rejected=_rejected(connection, room, state.resource, state.account),
            is_complete=state.is_complete,
            open_gaps=len(state.position.get("gaps", ())),
            last_synced_at=synced.astimezone(UTC) if synced else None,
            age_seconds=age_seconds(synced, now),
            last_error=state.last_error,
        )


def _rows(connection: Connection, room: Provider, resource: str, account: str) -> int:
    sql = f'select count(*) from {room.schema}."{resource}" where account = $1'
    counted = connection.execute(sql, [account]).fetchone()
    return int(counted[0]) if counted else 0


def _rejected(connection: Connection, room: Provider, resource: str, account: str) -> int:
    sql = f"select count(*) from {room.schema}.rejected where account = $1 and resource = $2"
    counted = connection.execute(sql, [account, resource]).fetchone()
    return int(counted[0]) if counted else 0
