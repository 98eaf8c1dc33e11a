"""What every warehouse can do, and the SQL that DuckDB and PostgreSQL both understand.

Statements take `$1`, `$2`, …; lists are cast to arrays where they are used.
"""

from __future__ import annotations

import errno
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipelines.errors import DiskFull, WarehouseError
from pipelines.events import webhook_tables
from pipelines.failpoint import failpoint
from pipelines.provider import COMMON_COLUMNS, SHARED_TABLES, Provider
from pipelines.warehouse.stored import StoredRows

if TYPE_CHECKING:
    from polars import DataFrame

KEYS = ("id", "account")
"""What makes a row of a raw table one of a kind; an index by them finds a row by its id alone."""

BUILT_SCHEMAS = ("staging", "intermediate", "marts")
"""The schemas of the models."""

KEYED = ("sync_state", "positions", "people")
"""Tables that are written by `on conflict`, so that their keys are needed in any warehouse."""

SYNC_STATE_COLUMNS: Mapping[str, str] = {
    "account": "text",
    "resource": "text",
    "cursor": "text",
    "is_complete": "boolean",
    "first_synced_at": "timestamptz",
    "last_synced_at": "timestamptz",
    "last_error": "text",
}


ERASED_COLUMNS: Mapping[str, str] = {
    "token": "text",
    "pseudonym": "text",
    "key_id": "text",
    "erased_at": "timestamptz",
}
"""Who was erased, by keyed hashes: see `erasure`."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def description(self) -> Sequence[Any] | None: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...

    def fetchone(self) -> tuple[Any, ...] | None: ...


class Connection(Protocol):
    """A connection of either engine, as far as the rest of the code needs to know."""

    def execute(self, sql: str, values: Sequence[Any] | None = None, /) -> Cursor: ...


@dataclass(frozen=True)
class SyncState:
    """What is known of one resource of one account.

    Attributes:
        position: what the room keeps to go on from, as JSON types.
        is_complete: everything the provider listed is there.
        last_synced_at: start of the last sync that ended without an error.
        last_error: what ended the last one, or what it left out; None when nothing.
    """

    account: str
    resource: str
    position: Mapping[str, Any]
    is_complete: bool
    first_synced_at: datetime | None = None
    last_synced_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True)
class Published:
    """What readers see.

    Attributes:
        place: where it is, as people name it.
        at: when it was published, UTC.
    """

    place: str
    at: datetime


@dataclass(frozen=True)
class Watched:
    """The warehouse as a command sees it that only looks.

    Attributes:
        connection: what the writer wrote, or the newest snapshot while a run goes on; None when
            nothing was ever written.
        is_running: a run goes on.
    """

    connection: Connection | None
    is_running: bool


class Warehouse(ABC):
    """Where rows are kept, built into marts, and read.

    Attributes:
        name: where it is, without a password.
        data_dir: where working files go.
    """

    name: str
    data_dir: Path

    fingerprint: str
    """SQL of a 64-bit number that is another one once a row of a table, `raw_row`, is changed."""

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Hold the warehouse for one run. It is free again when the holder dies.

        Raises:
            WarehouseBusy: another run holds it.
        """

    @abstractmethod
    def connect(self) -> AbstractContextManager[Connection]:
        """A connection that writes. Every statement stands for itself.

        Threads that connect at the same time do so within `side_by_side`.
        """

    def side_by_side(self) -> AbstractContextManager[None]:
        """Within it, threads of this process may connect at the same time."""
        return nullcontext()

    @abstractmethod
    def reader(self) -> AbstractContextManager[Connection]:
        """A connection that sees what is published and can change nothing.

        Raises:
            NotPublished: nothing is.
        """

    @abstractmethod
    def watch(self) -> AbstractContextManager[Watched]:
        """The warehouse for a look at it, also while a run goes on."""

    @abstractmethod
    def publish(self) -> Path | str:
        """Show readers what was built, in one step; return where it is.

        Raises:
            WarehouseError: it could not be shown; they see what they saw.
        """

    @abstractmethod
    def newest(self) -> Published | None:
        """What readers see; None before the first publication."""

    @abstractmethod
    def compact(self) -> None:
        """Write what is stored anew, so that the bytes of what was deleted are gone, from what is
        published too."""

    @abstractmethod
    def answer(self, sql: str) -> DataFrame:
        """The rows of one statement, for readers.

        Raises:
            NotPublished: nothing is published.
            UsageError: the statement is refused.
        """

    @abstractmethod
    def insert(self, connection: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows of all columns, fast."""

    @abstractmethod
    def dlt_destination(self) -> Any:
        """The destination that dlt loads into."""

    @abstractmethod
    def dbt_output(self) -> dict[str, Any]:
        """How dbt connects: one output of its profile."""

    @abstractmethod
    def forget_models(self, connection: Connection, kept: Collection[str]) -> None:
        """Before a full build: make room for it, where readers don't see what is dropped.

        Args:
            kept: tables in the models' schemas that no model makes.
        """

    def explain(self, error: BaseException) -> WarehouseError | None:
        """Our error for one that time or the reader can mend; None for others."""
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        return disk_full() if is_full else None

    def expect_long_rows(self) -> None:  # noqa: B027 - PostgreSQL has memory of its own
        """Be prepared to load rows of many kilobytes: called within `side_by_side`."""

    def lacked_memory(self, error: BaseException) -> bool:
        """Whether something failed for want of the memory that a sync may use."""
        return False

    def more_memory(self) -> AbstractContextManager[None]:
        """Within it, a sync may use as much memory as a build."""
        return nullcontext()

    def give_more_memory(self) -> None:  # noqa: B027
        """Let all later runs have it."""

    def shares(self, count: Callable[[], int]) -> Sequence[str]:
        """Conditions on `{column}` that divide rows into as many as a sync's memory can join; how
        many there are is asked only where it matters."""
        return ["true"]

    scratch = "table"
    """How a table is made that nobody misses after a crash: the next build makes everything."""

    has_row_keys = False
    """Whether raw tables have a unique index on their keys: a merge needs it, or does not."""

    merge_strategy: Literal["upsert", "delete-insert"] = "upsert"
    """How dlt merges what it loads."""

    load_format: Literal["csv"] | None = None
    """The file format that dlt loads by; None for its own choice."""

    def ensure_raw_tables(self, rooms: Iterable[Provider]) -> None:
        """Make the raw tables and columns that are not there yet."""
        with self.connect() as connection:
            ensure_raw_tables(connection, rooms, has_keys=self.has_row_keys)

    def sync_states(self, room: Provider, account: str | None = None) -> list[SyncState]:
        """What is known of the resources of one account, or of all."""
        with self.connect() as connection:
            return sync_states(connection, room, account)

    def save_sync_states(self, room: Provider, states: Sequence[SyncState]) -> None:
        """Remember how far each resource was read, of all or of none. Called after the rows are in.

        A commit for each would write to disk as often.
        """
        sql = f"""
            insert into {room.schema}.sync_state values ($1, $2, $3, $4, $5, $6, $7)
            on conflict (account, resource) do update set
                "cursor" = excluded."cursor",
                is_complete = excluded.is_complete,
                first_synced_at = coalesce(sync_state.first_synced_at, excluded.first_synced_at),
                last_synced_at = coalesce(excluded.last_synced_at, sync_state.last_synced_at),
                last_error = excluded.last_error
        """
        with self.connect() as connection, webhook_tables.transaction(connection):
            for state in states:
                connection.execute(sql, _row(state))
                failpoint("sync.position")

    @contextmanager
    def stored(self, room: Provider, account: str) -> Iterator[StoredRows]:
        """What the warehouse holds of one account."""
        with self.connect() as connection:
            yield StoredRows(connection, room.schema, account, self)

    def building(self) -> AbstractContextManager[None]:
        """Within it, models are built."""
        return nullcontext()

    def prepare_build(self, connection: Connection) -> None:
        """Make the schemas of the models, and what their macros need."""
        for schema in BUILT_SCHEMAS:
            make_schema(connection, schema)

    def look_at(self, connection: Connection, table: str) -> None:  # noqa: B027 - DuckDB knows
        """Let the planner know what a table holds by now."""

    def make_folders(self) -> None:
        """Make the folders of working files, for their owner only."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def ensure_raw_tables(
    connection: Connection, rooms: Iterable[Provider], *, has_keys: bool = False
) -> None:
    """Make the raw tables and columns that are not there yet, by any connection.

    The models read them all, also those of a resource that was never synced, and a newer version
    may have columns that an older warehouse lacks. Nothing is asked for that is there: a role that
    may only read needs no more.
    """
    wanted = {room.schema: list(_raw_tables(room)) for room in rooms}
    wanted[webhook_tables.SCHEMA] = list(_hook_tables())
    wanted["erasure"] = [("people", ERASED_COLUMNS, ("token",))]
    there = _columns(connection, wanted)
    for schema, tables in wanted.items():
        if schema not in there:
            make_schema(connection, schema)
        for name, columns, keys in tables:
            keyed = keys if has_keys or name in KEYED else ()
            have = there.get(schema, {}).get(name)
            if have is None:
                connection.execute(_create(f'{schema}."{name}"', columns, keyed))
            for column in columns.keys() - (have or columns.keys()):
                connection.execute(
                    f'alter table {schema}."{name}" add column "{column}" {columns[column]}'
                )


def sync_states(
    connection: Connection, room: Provider, account: str | None = None
) -> list[SyncState]:
    """What is known of the resources of one account, or of all, by any connection."""
    rows = connection.execute(
        'select account, resource, "cursor", is_complete, first_synced_at, last_synced_at, '
        f"last_error from {room.schema}.sync_state where $1::text is null or account = $1 "
        "order by account, resource",
        [account],
    ).fetchall()
    return [SyncState(row[0], row[1], json.loads(row[2] or "{}"), *row[3:]) for row in rows]


def all_sync_states(
    connection: Connection, rooms: Iterable[Provider]
) -> Iterator[tuple[Provider, SyncState]]:
    """What is known of the resources of every account; of a room that was never read, nothing:
    its schema may be there all the same, from `init-db`."""
    sql = "select table_schema from information_schema.tables where table_name = 'sync_state'"
    there = {name for (name,) in connection.execute(sql).fetchall()}
    for room in rooms:
        if room.schema in there:
            yield from ((room, state) for state in sync_states(connection, room))


def disk_full() -> DiskFull:
    """The error for a disk without room. What was loaded until then stays loaded."""
    return DiskFull(
        "there is no room left on the disk",
        hint="make room in data_dir, then run again: nothing is lost",
    )


def _raw_tables(room: Provider) -> Iterator[tuple[str, Mapping[str, str], tuple[str, ...]]]:
    """Name, columns with their types, and keys of each raw table."""
    yield "sync_state", SYNC_STATE_COLUMNS, ("account", "resource")
    for table in (*room.tables, *SHARED_TABLES):
        yield table.name, {**dict.fromkeys(table.columns, "text"), **COMMON_COLUMNS}, KEYS


def _hook_tables() -> Iterator[tuple[str, Mapping[str, str], tuple[str, ...]]]:
    for name, columns in webhook_tables.COLUMNS.items():
        yield name, columns, webhook_tables.KEYS.get(name, ())


def _columns(connection: Connection, schemas: Iterable[str]) -> dict[str, dict[str, set[str]]]:
    """Schema → table → its columns, asked for once: DuckDB looks at every column of the file."""
    found: dict[str, dict[str, set[str]]] = {}
    rows = connection.execute(
        "select table_schema, table_name, column_name from information_schema.columns "
        "where table_schema = any ($1::text[])",
        [list(schemas)],
    ).fetchall()
    for schema, table, column in rows:
        found.setdefault(schema, {}).setdefault(table, set()).add(column)
    return found


def make_schema(connection: Connection, schema: str) -> None:
    """Make a schema that is not there yet."""
    sql = "select 1 from information_schema.schemata where schema_name = $1"
    if not connection.execute(sql, [schema]).fetchall():
        connection.execute(f"create schema if not exists {schema}")


def _create(name: str, columns: Mapping[str, str], keys: Sequence[str]) -> str:
    required = {*KEYS, *keys}
    lines = [f'"{n}" {t}{" not null" if n in required else ""}' for n, t in columns.items()]
    lines += [f"primary key ({', '.join(keys)})"] if keys else []
    return f"create table if not exists {name} ({', '.join(lines)})"


def _row(state: SyncState) -> list[Any]:
    return [
        state.account,
        state.resource,
        json.dumps(state.position, sort_keys=True),
        state.is_complete,
        state.first_synced_at,
        state.last_synced_at,
        state.last_error,
    ]
