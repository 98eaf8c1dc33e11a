"""How fresh and how complete the warehouse is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.journal import Entry, Journal
from pipelines.provider import Provider
from pipelines.warehouse import Connection, Warehouse, sync_states


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
        last_error: what ended or narrowed the last sync; None when nothing did.
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
class Status:
    """The warehouse, its newest snapshot, every resource that was ever synced, and the last runs,
    the newest first."""

    warehouse: str
    snapshot: str | None
    published_at: datetime | None
    is_running: bool
    resources: tuple[ResourceStatus, ...]
    runs: tuple[Entry, ...]


def read(warehouse: Warehouse, rooms: Sequence[Provider], *, now: datetime | None) -> Status:
    """The status as of `now`, by default the current time."""
    with warehouse.watch() as seen:
        resources = tuple(_resources(seen.connection, rooms, now or datetime.now(UTC)))
    published = warehouse.newest()
    return Status(
        warehouse=warehouse.name,
        snapshot=published.place if published else None,
        published_at=published.at if published else None,
        is_running=seen.is_running,
        resources=resources,
        runs=tuple(Journal(warehouse.data_dir).last()),
    )


def _resources(
    connection: Connection | None, rooms: Sequence[Provider], now: datetime
) -> Iterator[ResourceStatus]:
    there = _schemas(connection)
    for room in rooms:
        if connection is None or room.schema not in there:
            continue
        for state in sync_states(connection, room):
            synced = state.last_synced_at
            yield ResourceStatus(
                account=f"{room.name}:{state.account}",
                resource=state.resource,
                rows=_rows(connection, room, state.resource, state.account),
                rejected=_rejected(connection, room, state.resource, state.account),
                is_complete=state.is_complete,
                open_gaps=len(state.position.get("gaps", ())),
                last_synced_at=synced.astimezone(UTC) if synced else None,
                age_seconds=(now - synced).total_seconds() if synced else None,
                last_error=state.last_error,
            )


def _schemas(connection: Connection | None) -> set[str]:
    if connection is None:
        return set()
    sql = "select schema_name from information_schema.schemata"
    return {name for (name,) in connection.execute(sql).fetchall()}


def _rows(connection: Connection, room: Provider, resource: str, account: str) -> int:
    sql = f'select count(*) from {room.schema}."{resource}" where account = $1'
    counted = connection.execute(sql, [account]).fetchone()
    return int(counted[0]) if counted else 0


def _rejected(connection: Connection, room: Provider, resource: str, account: str) -> int:
    sql = f"select count(*) from {room.schema}.rejected where account = $1 and resource = $2"
    counted = connection.execute(sql, [account, resource]).fetchone()
    return int(counted[0]) if counted else 0
