"""DuckDB: one file for the writer, and how readers get to see it.

The writer's file is private: while a process has a DuckDB file open for writing, no other can read
it. Readers get a snapshot, a copy under a name that is new each time (DuckDB hands out its cached
instance for a path that is still open), and a link that always names the newest.

    <data_dir>/warehouse.duckdb                     the writer's
    <data_dir>/published/analytics-<time>.duckdb    the last two snapshots
    <data_dir>/analytics.duckdb                     a link to the newest
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import IO, TYPE_CHECKING, Any, cast

import duckdb

from pipelines.disk import flush
from pipelines.errors import (
    DiskFull,
    NotPublished,
    UsageError,
    WarehouseBusy,
    WarehouseError,
)
from pipelines.failpoint import failpoint
from pipelines.provider import Provider
from pipelines.warehouse.base import (
    BUILT_SCHEMAS,
    Connection,
    Published,
    Warehouse,
    Watched,
    disk_full,
)
from pipelines.warehouse.embedded_snapshots import Snapshots
from pipelines.warehouse.stored import StoredRows

if TYPE_CHECKING:
    from polars import DataFrame

SANDBOX = """
set global TimeZone = 'UTC';
set enable_external_access = false;
set autoinstall_known_extensions = false;
set autoload_known_extensions = false;
set lock_configuration = true;
"""


SYNC_SETTINGS = {
    "preserve_insertion_order": False,  # keeping it takes memory
    "threads": 1,  # two want more memory and CPU, and the network is what is slow
}
"""How DuckDB works while a sync reads and loads."""

SYNC_MEMORY = "36MB"
"""What it may use then. Beyond it, it works on disk where it can. It can't with two thousand rows
of many kilobytes, which it takes in one piece: for those it may use what a build may."""

ROWS_TO_JOIN = 25_000
"""By their ids, in that memory: the table of a join can't always work on disk either."""

CHECKPOINT = "16MB"
"""How long its log of changes may grow, its own default. dlt raises it to 1 GB, and what is only in
the log takes memory: a first sync of 400,000 messages came to its limit by that."""


LOOKERS_SECONDS = 10.0
"""How long a run waits for those that only look."""

_LACKED_MEMORY = re.compile(
    "Out of Memory Error|Corrupted in-memory column|could not allocate block|"
    "failed to (pin block|allocate data|reserve memory)"
)
"""What DuckDB says when it came to its limit: in a statement, at a commit, and afterwards."""


class DuckDBWarehouse(Warehouse):
    """A DuckDB warehouse and its snapshots.

    Args:
        path: the writer's file.
        data_dir: where snapshots and working files go.
    """

    def __init__(self, path: Path, data_dir: Path) -> None:
        self.path, self.data_dir, self.name = path, data_dir, str(path)
        self._snapshots = Snapshots(data_dir)
        self.link, self.published = self._snapshots.link, self._snapshots.folder
        self._more_from_now_on = data_dir / "needs_memory"
        self._needing_memory: list[str] = []  # what needs more now: threads add and remove

    fingerprint = "cast(hash(raw_row) >> 1 as bigint)"

    # Its MERGE can't work on disk: with a chunk of rows it wants a hundred megabytes.
    merge_strategy = "delete-insert"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the warehouse for one run. The operating system frees it when the holder dies.

        Who only looks at it shares its lock with others that do, for a moment: a run waits for
        those, and never for another run.

        Raises:
            WarehouseBusy: another run holds it.
        """
        with self._lock_file() as file:
            gives_up_at = time.monotonic() + LOOKERS_SECONDS
            while not _locks(file, fcntl.LOCK_EX):
                if time.monotonic() > gives_up_at or not _locks(file, fcntl.LOCK_SH):
                    raise WarehouseBusy(
                        "another run holds the warehouse", hint="wait until it ends, then try again"
                    )
                fcntl.flock(file, fcntl.LOCK_UN)
                time.sleep(0.05)
            yield

    @contextmanager
    def _lock_file(self) -> Iterator[IO[str]]:
        self.make_folders()
        with Path(f"{self.path}.lock").open("w") as file:
            yield file

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection to the writer's file. One at a time: dlt and dbt open it themselves."""
        self.make_folders()
        with self._opened(self.path) as connection:
            connection.execute("set TimeZone = 'UTC'")
            yield connection

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """Let threads open the writer's file as they like: it stays open in between.

        DuckDB refuses a thread that opens a file while the last connection of another is just
        closing it. What is set for the whole instance, as a sync does, ends with this.
        """
        self.make_folders()
        with self._opened(self.path):
            yield

    @contextmanager
    def building(self) -> Iterator[None]:
        """Let all of DuckDB work as models want it.

        dbt would set this for every model, and each time DuckDB gives all memory back that it does
        not use: an eighth of a build.
        """
        with self.connect() as connection:
            connection.execute(f"set global memory_limit = '{_build_memory()}'")
            connection.execute("set global preserve_insertion_order = false")  # it takes memory
            yield

    @contextmanager
    def stored(self, room: Provider, account: str) -> Iterator[StoredRows]:
        """What the warehouse holds of one account, looked up in little memory."""
        with self.connect() as connection:
            for name, value in SYNC_SETTINGS.items():
                connection.execute(f"set {name} = '{value}'")
            self._limit_memory(connection)
            yield StoredRows(connection, room.schema, account, self)

    def shares(self, count: Callable[[], int]) -> Sequence[str]:
        number = 1 + count() // ROWS_TO_JOIN
        return [f"hash({{column}}) % {number} = {i}" for i in range(number)]

    def expect_long_rows(self) -> None:
        """Let DuckDB use as much memory as for a build, as long as this process syncs."""
        self._needing_memory.append("rows")
        with self.connect() as connection:
            self._limit_memory(connection)

    def lacked_memory(self, error: BaseException) -> bool:
        """Whether DuckDB came to its limit.

        A query may be tried again with more. A load may not, in this process: what it left half-way
        may be torn in memory, and DuckDB ends everything when it finds that. What is in the file
        and its log is good.
        """
        return isinstance(error, duckdb.Error) and bool(_LACKED_MEMORY.search(str(error)))

    @contextmanager
    def more_memory(self) -> Iterator[None]:
        """As much as for a build; for the others that read at the same time, too."""
        with self.connect() as connection:
            self._needing_memory.append("query")
            self._limit_memory(connection)
            try:
                yield
            finally:
                self._needing_memory.remove("query")
                self._limit_memory(connection)

    def give_more_memory(self) -> None:
        """By a file that later runs look for."""
        self._more_from_now_on.touch(mode=0o600)

    def _limit_memory(self, connection: Connection) -> None:
        """For the whole instance: accounts that are read side by side share it."""
        needs_more = self._needing_memory or self._more_from_now_on.exists()
        limit = _build_memory() if needs_more else SYNC_MEMORY
        with suppress(duckdb.OutOfMemoryException):  # more than that is in use: it stays for now
            connection.execute(f"set memory_limit = '{limit}'")

    def publish(self) -> Path:
        """Make what the writer's file holds the newest snapshot; return its path.

        A reader sees the old snapshot or the new one: the link changes in one step, after the
        copy is on disk.

        Raises:
            WarehouseError: the copy could not be written; the old snapshot stays.
        """
        self.make_folders()
        failpoint("publish.checkpoint")
        with self.connect() as connection:
            connection.execute("checkpoint")
        before = self.link.resolve()  # somebody may be about to open it
        try:
            newest = self._snapshots.add(self.path)
        except OSError as error:
            kind = DiskFull if self.explain(error) else WarehouseError
            raise kind(
                f"the snapshot could not be written ({error.strerror})",
                hint="make room on the disk, then: doblecheck build",
            ) from None
        failpoint("publish.forget")
        self._snapshots.forget_but(newest, before)
        failpoint("publish.end")
        return newest

    def compact(self) -> None:
        """Copy the writer's file into a new one, publish that, and remove every older snapshot.

        DuckDB leaves the bytes of deleted rows in the file, after a checkpoint too.
        """
        new = self.path.with_name(f"{self.path.name}.new")
        for left in (new, Path(f"{new}.wal")):
            left.unlink(missing_ok=True)
        with self.connect() as connection:
            connection.execute("checkpoint")
            connection.execute(f"attach '{str(new).replace(chr(39), chr(39) * 2)}' as compacted")
            (name,) = connection.execute("select current_database()").fetchone() or ("",)
            connection.execute(f'copy from database "{name}" to compacted')
            connection.execute("detach compacted")
        flush(new)
        new.replace(self.path)
        Path(f"{self.path}.wal").unlink(missing_ok=True)
        self._snapshots.keep_only(self.publish())

    def forget_models(self, connection: Connection, kept: Collection[str]) -> None:
        """Drop what models made: a full build takes its place in the file, not as much again."""
        made = connection.execute(
            """
            select table_type, table_schema, table_name from information_schema.tables
            where list_contains($1, table_schema) and not list_contains($2, table_name)
            """,
            [list(BUILT_SCHEMAS), list(kept)],
        ).fetchall()
        for table_type, schema, name in made:
            kind = "view" if table_type == "VIEW" else "table"
            connection.execute(f'drop {kind} "{schema}"."{name}"')
        connection.execute("checkpoint")

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
    def reader(self, *, memory: str = "") -> Iterator[Connection]:
        """A connection to the newest snapshot that can read nothing else and change nothing.

        `read_only` alone still lets SQL read any file of this user and write new ones.

        Args:
            memory: what all readers of this process may use together, when this is the first.
        """
        with self._opened(self.snapshot(), read_only=True) as connection:
            _close_off(connection, f"set memory_limit = '{memory}';" if memory else "")
            yield connection

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        """The writer's file when nobody holds it, else the snapshot, of which the first run has
        none yet."""
        with self._lock_file() as file:
            is_running = not _locks(file, fcntl.LOCK_SH)
            if not is_running and self.path.exists():
                with self.connect() as connection:
                    yield Watched(connection, is_running=False)
            elif not is_running or self.newest() is None:
                yield Watched(None, is_running=is_running)
            else:
                with self.reader() as connection:
                    yield Watched(connection, is_running=True)

    def newest(self) -> Published | None:
        """The newest snapshot; None before the first."""
        if not self.link.exists():
            return None
        return Published(str(self.link), datetime.fromtimestamp(self.link.stat().st_mtime, UTC))

    def answer(self, sql: str) -> DataFrame:
        """The rows of one statement on the newest snapshot.

        Raises:
            NotPublished: there is none.
            UsageError: DuckDB refuses the statement, or it is none.
        """
        from pipelines.warehouse.embedded_frames import frame  # imports Polars

        hint = "tables: doblecheck query 'show all tables'"
        with self.reader() as connection:
            try:
                relation = cast("Any", connection).sql(sql)
                if relation is not None:
                    return frame(relation)
            except duckdb.Error as error:
                raise UsageError(str(error).splitlines()[0], hint=hint) from None
        raise UsageError("no statement that gives rows", hint=hint)

    def insert(self, connection: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows by column lists: a thousand times faster than row by row."""
        if not rows:
            return
        columns = [list(column) for column in zip(*rows, strict=True)]
        unnested = ", ".join("unnest(?)" for _ in columns)
        connection.execute(f"insert into {table} select {unnested}", columns)

    def dlt_destination(self) -> Any:
        """The writer's file."""
        import dlt  # slow to import
        from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

        settings = DuckDbCredentials(
            str(self.path),
            global_config=dict(SYNC_SETTINGS),
            pragmas=[f"checkpoint_threshold = '{CHECKPOINT}'"],  # after dlt's own settings
        )
        return dlt.destinations.duckdb(settings)

    def dbt_output(self) -> dict[str, Any]:
        """The writer's file, with UTC as the zone of whatever dbt does there."""
        return {"type": "duckdb", "path": str(self.path), "settings": {"TimeZone": "UTC"}}

    def explain(self, error: BaseException) -> WarehouseError | None:
        """Our error for a full disk and for a file that another process has open."""
        if isinstance(error, duckdb.Error) and "No space left" in str(error):
            return disk_full()
        if isinstance(error, duckdb.IOException) and "set lock" in str(error):
            return WarehouseBusy(
                "another program has the warehouse's file open", hint="close it, then run again"
            )
        return super().explain(error)

    @contextmanager
    def _opened(self, path: Path, *, read_only: bool = False) -> Iterator[Connection]:
        try:
            connection = duckdb.connect(path, read_only=read_only)
        except duckdb.Error as error:
            raise self._not_opened(path, error) from None
        with connection:
            try:
                yield connection
            except (OSError, duckdb.Error) as error:
                explained = self.explain(error)
                if isinstance(explained, DiskFull):
                    raise explained from None
                raise

    def _not_opened(self, path: Path, error: duckdb.Error) -> WarehouseError:
        explained = self.explain(error)
        if isinstance(explained, DiskFull):
            return explained
        if "replaying WAL" in str(error):
            # Moving it away by ourselves would lose, unseen, what only it holds.
            log = f"{path}.wal"
            aside = f"mv {quote(log)} {quote(log + '.damaged')}"
            return WarehouseError(
                f"{path.name} could not be opened: its log of the last changes is damaged",
                hint=f"{aside}  then run again: what it held is read and built again",
            )
        return WarehouseError(
            f"{path.name} could not be opened ({type(error).__name__})",
            hint="another program may have it open: close it, or read analytics.duckdb instead",
        )

    def make_folders(self) -> None:
        """Make the folders of the file, its snapshots and working files, for their owner only."""
        for folder in (self.data_dir, self.published, self.path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _close_off(connection: Connection, first: str) -> None:
    """Lock a reader in. Readers of one process share an instance: the first one does it for all."""
    try:
        connection.execute(first + SANDBOX)
    except duckdb.InvalidInputException:
        if connection.execute("select current_setting('lock_configuration')").fetchone() != (True,):
            raise


def _locks(file: IO[str], how: int) -> bool:
    """Whether a lock is to be had at once; it takes the place of one that the file has."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build_memory() -> str:
    """What DuckDB may use while models are built: no more than it would take by itself."""
    has_4_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 4 * 1024**3
    return "3GB" if has_4_gb else "80%"
