"""The warehouse: where it is, who may write, what it holds, and how readers get to see it.

The writer's file is private: while a process has a DuckDB file open for writing, no other can read
it. Readers get a snapshot, a copy under a name that is new each time (DuckDB hands out its cached
instance for a path that is still open), and a link that always names the newest.

    <data_dir>/warehouse.duckdb                     the writer's
    <data_dir>/published/analytics-<time>.duckdb    the last two snapshots
    <data_dir>/analytics.duckdb                     a link to the newest
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import duckdb

from pipelines.errors import (
    ConfigError,
    DiskFull,
    NotPublished,
    WarehouseBusy,
    WarehouseError,
)
from pipelines.failpoint import failpoint
from pipelines.provider import COMMON_COLUMNS, SHARED_TABLES, Provider, Table

if TYPE_CHECKING:
    from pipelines.settings import Settings

SNAPSHOTS_KEPT = 2

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

SANDBOX = """
set global TimeZone = 'UTC';
set enable_external_access = false;
set autoinstall_known_extensions = false;
set autoload_known_extensions = false;
set lock_configuration = true;
"""


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


class Warehouse:
    """A DuckDB warehouse and its snapshots.

    Args:
        path: the writer's file.
        data_dir: where snapshots and working files go.
    """

    def __init__(self, path: Path, data_dir: Path) -> None:
        self.path, self.data_dir = path, data_dir
        self.link = data_dir / "analytics.duckdb"
        self.published = data_dir / "published"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the warehouse for one run. The operating system frees it when the holder dies.

        Raises:
            WarehouseBusy: another run holds it.
        """
        self._make_folders()
        with Path(f"{self.path}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WarehouseBusy(
                    "another run holds the warehouse", hint="wait until it ends, then try again"
                ) from None
            yield

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the writer's file. One at a time: dlt and dbt open it themselves."""
        self._make_folders()
        with _opened(self.path) as connection:
            connection.execute("set TimeZone = 'UTC'")
            yield connection

    def ensure_raw_tables(self, rooms: Iterable[Provider]) -> None:
        """Make the raw tables and columns that are not there yet."""
        with self.connect() as connection:
            ensure_raw_tables(connection, rooms)

    def sync_states(self, room: Provider, account: str | None = None) -> list[SyncState]:
        """What is known of the resources of one account, or of all."""
        with self.connect() as connection:
            return sync_states(connection, room, account)

    def save_sync_states(self, room: Provider, states: Sequence[SyncState]) -> None:
        """Remember how far each resource was read. Called after its rows are in."""
        sql = f"""
            insert into {room.schema}.sync_state values ($1, $2, $3, $4, $5, $6, $7)
            on conflict (account, resource) do update set
                "cursor" = excluded."cursor",
                is_complete = excluded.is_complete,
                first_synced_at = coalesce(sync_state.first_synced_at, excluded.first_synced_at),
                last_synced_at = coalesce(excluded.last_synced_at, sync_state.last_synced_at),
                last_error = excluded.last_error
        """
        with self.connect() as connection:
            for state in states:
                connection.execute(sql, _row(state))
                failpoint("sync.position")

    def publish(self) -> Path:
        """Make what the writer's file holds the newest snapshot; return its path.

        A reader sees the old snapshot or the new one: the link changes in one step, after the
        copy is on disk.

        Raises:
            WarehouseError: the copy could not be written; the old snapshot stays.
        """
        self._make_folders()
        failpoint("publish.checkpoint")
        with self.connect() as connection:
            connection.execute("checkpoint")
        name = f"analytics-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.duckdb"
        target, partial = self.published / name, self.published / f"{name}.part"
        try:
            failpoint("publish.copy")
            shutil.copyfile(self.path, partial)
            failpoint("publish.copied")
            _flush(partial)
            failpoint("publish.flushed")
            partial.rename(target)
            failpoint("publish.renamed")
            self._point_to(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            kind = DiskFull if is_disk_full(error) else WarehouseError
            raise kind(
                f"the snapshot could not be written ({error.strerror})",
                hint="make room on the disk, then: doblecheck build",
            ) from None
        failpoint("publish.forget")
        self._forget_old()
        failpoint("publish.end")
        return target

    def _point_to(self, target: Path) -> None:
        link = self.data_dir / f"{self.link.name}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(target.relative_to(self.data_dir))
        failpoint("publish.linked")
        link.replace(self.link)
        failpoint("publish.pointed")
        _flush(self.data_dir)

    def _forget_old(self) -> None:
        snapshots = sorted(self.published.glob("analytics-*.duckdb"))
        for old in snapshots[:-SNAPSHOTS_KEPT]:
            old.unlink(missing_ok=True)
        for left in self.published.glob("*.part"):
            left.unlink(missing_ok=True)

    def snapshot(self) -> Path:
        """The newest snapshot.

        Raises:
            NotPublished: there is none.
        """
        if not self.link.exists():
            raise NotPublished(
                f"nothing is published in {self.data_dir}", hint="run: doblecheck run"
            )
        return self.link.resolve()

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the newest snapshot that can read nothing else and change nothing.

        `read_only` alone still lets SQL read any file of this user and write new ones.
        """
        with _opened(self.snapshot(), read_only=True) as connection:
            _close_off(connection)
            yield connection

    @contextmanager
    def stored(self, room: Provider, account: str) -> Iterator[StoredRows]:
        """What the warehouse holds of one account."""
        with self.connect() as connection:
            yield StoredRows(connection, room.schema, account)

    def _make_folders(self) -> None:
        for folder in (self.data_dir, self.published, self.path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


class StoredRows:
    """What a DuckDB warehouse holds of one account: see `pull.Stored`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: str, account: str) -> None:
        self._connection, self._schema, self._account = connection, schema, account
        self._empty: dict[str, bool] = {}

    def hashes(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
        """id → row_hash of the rows that are there."""
        if not ids or self._is_empty(table):
            return {}
        rows = self._all(
            f"select id, row_hash from {self._schema}.{table.name} "
            "where account = $1 and id in (select unnest($2))",
            [self._account, list(ids)],
        )
        return dict(rows)

    def rows(
        self, table: Table, columns: Sequence[str], *, of: tuple[str, Sequence[str]] | None = None
    ) -> list[tuple[Any, ...]]:
        """Columns of every row of the account, or of those with one of some values in a column."""
        names = ", ".join(f'"{name}"' for name in columns)
        sql = f"select {names} from {self._schema}.{table.name} where account = $1"
        if of is None:
            return self._all(sql, [self._account])
        return self._all(
            f'{sql} and "{of[0]}" in (select unnest($2))', [self._account, list(of[1])]
        )

    def cursors(self, table: Table) -> Mapping[str, Mapping[str, str | None]]:
        """id → row, of loads that were completed only: dlt notes those in `_dlt_loads`."""
        if self._is_empty(table):
            return {}
        names = ", ".join(f'"{name}"' for name in table.columns)
        rows = self._all(
            f"select {names} from {self._schema}.{table.name} where account = $1 "
            f"and _dlt_load_id in (select load_id from {self._schema}._dlt_loads where status = 0)",
            [self._account],
        )
        return {
            str(row[table.columns.index("id")]): dict(zip(table.columns, row, strict=True))
            for row in rows
        }

    def earliest(
        self, table: Table, column: str, *, per: str, among: Mapping[str, Sequence[str]], since: str
    ) -> Mapping[str, str]:
        """Value of `per` → the lowest text of `column` that is `since` or more, among some rows."""
        conditions = "".join(
            f' and lower("{name}") in (select unnest(${i}))' for i, name in enumerate(among, 3)
        )
        rows = self._all(
            f'select "{per}", min("{column}") from {self._schema}.{table.name} '
            f'where account = $1 and "{column}" >= $2 and "{per}" is not null{conditions} '
            f'group by "{per}"',
            [self._account, since, *map(list, among.values())],
        )
        return dict(rows)

    def _is_empty(self, table: Table) -> bool:
        if table.name not in self._empty:
            sql = f"select 1 from {self._schema}.{table.name} where account = $1 limit 1"
            self._empty[table.name] = not self._all(sql, [self._account])
        return self._empty[table.name]

    def _all(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse that the settings name.

    Raises:
        ConfigError: its URL is of a kind that this version can't use.
    """
    parts = urlsplit(settings.warehouse_url)
    if parts.scheme != "duckdb" or parts.netloc or not parts.path.strip("/"):
        raise ConfigError(
            f"warehouse.url: {parts.scheme or 'no'} URLs are not supported",
            hint="duckdb:///data/warehouse.duckdb, four slashes for an absolute path",
        )
    return Warehouse(settings.path(parts.path[1:]), settings.data_path)


def ensure_raw_tables(connection: duckdb.DuckDBPyConnection, rooms: Iterable[Provider]) -> None:
    """Make the raw tables and columns that are not there yet, by any connection.

    The models read them all, also those of a resource that was never synced, and a newer version
    may have columns that an older warehouse lacks.
    """
    for room in rooms:
        connection.execute(f"create schema if not exists {room.schema}")
        connection.execute(SYNC_STATE.format(schema=room.schema))
        for table in (*room.tables, *SHARED_TABLES):
            _ensure_table(connection, room.schema, table)


def sync_states(
    connection: duckdb.DuckDBPyConnection, room: Provider, account: str | None = None
) -> list[SyncState]:
    """What is known of the resources of one account, or of all, by any connection."""
    rows = connection.execute(
        'select account, resource, "cursor", is_complete, first_synced_at, last_synced_at, '
        f"last_error from {room.schema}.sync_state where $1 is null or account = $1 "
        "order by account, resource",
        [account],
    ).fetchall()
    return [SyncState(row[0], row[1], json.loads(row[2] or "{}"), *row[3:]) for row in rows]


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that there is no room left, in the system's words or in DuckDB's."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, duckdb.Error) and "No space left" in str(error)


def disk_full() -> DiskFull:
    """The error for a disk without room. What was loaded until then stays loaded."""
    return DiskFull(
        "there is no room left on the disk",
        hint="make room in data_dir, then run again: nothing is lost",
    )


def is_held(error: BaseException) -> bool:
    """Whether another process has the DuckDB file open."""
    return isinstance(error, duckdb.IOException) and "set lock" in str(error)


@contextmanager
def _opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        connection = duckdb.connect(path, read_only=read_only)
    except duckdb.Error as error:
        raise _not_opened(path, error) from None
    with connection:
        try:
            yield connection
        except (OSError, duckdb.Error) as error:
            if is_disk_full(error):
                raise disk_full() from None
            raise


def _close_off(connection: duckdb.DuckDBPyConnection) -> None:
    """Lock a reader in. Readers of one process share an instance: the first one does it for all."""
    try:
        connection.execute(SANDBOX)
    except duckdb.InvalidInputException:
        if connection.execute("select current_setting('lock_configuration')").fetchone() != (True,):
            raise


def _not_opened(path: Path, error: duckdb.Error) -> WarehouseError:
    if is_disk_full(error):
        return disk_full()
    if "replaying WAL" in str(error):
        # Moving it away by ourselves would lose, unseen, what only it holds.
        log = f"{path}.wal"
        return WarehouseError(
            f"{path.name} could not be opened: its log of the last changes is damaged",
            hint=f"mv {log} {log}.damaged  then run again: what it held is read and built again",
        )
    return WarehouseError(
        f"{path.name} could not be opened ({type(error).__name__})",
        hint="another program may have it open: close it, or read analytics.duckdb instead",
    )


def _ensure_table(connection: duckdb.DuckDBPyConnection, schema: str, table: Table) -> None:
    name = f'{schema}."{table.name}"'
    columns = {**dict.fromkeys(table.columns, "text"), **COMMON_COLUMNS}
    keys = ("account", "id")
    lines = [f'"{n}" {t}{" not null" if n in keys else ""}' for n, t in columns.items()]
    connection.execute(f"create table if not exists {name} ({', '.join(lines)})")
    there = connection.execute(f"select * from {name} limit 0").description or []
    for column in columns.keys() - {entry[0] for entry in there}:
        connection.execute(f'alter table {name} add column "{column}" {columns[column]}')


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


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
