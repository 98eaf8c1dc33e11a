"""The delivery log as a SQLite file.

Write-ahead log with `synchronous = FULL`: a commit returns after the log of changes was flushed to
disk. Several processes may use the file at once; SQLite lets one write at a time, so a sequence is
never below one that was committed before it.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from pipelines.disk import flush
from pipelines.errors import LogBroken, LogError
from pipelines.failpoint import failpoint
from pipelines.receiver.log import READ_BYTES, Arrival, Backlog, Delivery, Rewrite

BUSY_SECONDS = 4.0
"""How long a writer waits for another: less than a sender does."""

CHUNK_ROWS = 200
"""Rows of one transaction of `forget` and `erase`, between which the receiver can write."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

TABLES = """
create table if not exists deliveries (
    sequence integer primary key autoincrement, -- never given twice, also after `forget`
    provider text not null,
    account text not null,
    received_at integer not null, -- microseconds since 1970, UTC
    headers text not null, -- JSON
    body blob not null,
    body_sha256 blob not null,
    copies integer not null default 0,
    unique (provider, account, body_sha256)
) strict;
create table if not exists progress (
    name text primary key,
    sequence integer not null
) strict;
-- A log that was used before logs had an id stays without: its position goes by no id.
insert or ignore into progress select 'id', random()
where not exists (select 1 from sqlite_sequence where name = 'deliveries');
"""

SETTINGS = """
pragma journal_mode = wal;
pragma synchronous = full;
pragma fullfsync = on;
pragma checkpoint_fullfsync = on;
pragma secure_delete = on;
pragma journal_size_limit = 67108864;
"""
# fullfsync: on macOS a plain fsync does not reach the disk. secure_delete: what is forgotten or
# erased is overwritten, not only unlinked.

INSERT = """
insert into deliveries (provider, account, received_at, headers, body, body_sha256)
values (?, ?, ?, ?, ?, ?)
"""

COUNT_COPY = """
update deliveries set copies = copies + 1
where provider = ? and account = ? and body_sha256 = ?
"""

READ = """
select sequence, provider, account, received_at, headers, body, body_sha256, copies
from deliveries
where sequence > ? and length(body) > 0
order by sequence
limit ?
"""


class SqliteLog:
    """See `DeliveryLog`.

    Args:
        path: the file. It is made by the first append, for its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Store in one transaction; for each, whether it is new."""
        with self._lock, _told(self.path), _transaction(self._writer()) as connection:
            failpoint("log.begin")
            is_new = [_insert(connection, arrival) for arrival in arrivals]
            failpoint("log.commit")
        failpoint("log.committed")
        return is_new

    def check(self, size: int = 0) -> None:
        """Write and commit something that is no delivery, and leave nothing of it."""
        sql = """
            insert into progress (name, sequence) values ('checked', 1)
            on conflict (name) do update set sequence = sequence + 1
        """
        with self._lock, _told(self.path), _transaction(self._writer()) as connection:
            connection.execute(sql)
            if size:  # what is dropped is overwritten: its pages go to the disk all the same
                connection.execute("create table checked (bytes blob)")
                connection.execute("insert into checked values (zeroblob(?))", (size,))
                connection.execute("drop table checked")

    def read(self, after: int, limit: int) -> list[Delivery]:
        """The deliveries that follow a sequence, in order."""
        found: list[Delivery] = []
        size = 0
        with self._reader() as connection:
            for row in connection.execute(READ, (after, limit)) if connection else ():
                found.append(_delivery(row))
                size += len(found[-1].body)
                if size >= READ_BYTES:
                    break
        return found

    def identity(self) -> int | None:
        """The number that was drawn when the file was made."""
        with self._reader() as connection:
            return _number(connection, "select sequence from progress where name = 'id'") or None

    def last_sequence(self) -> int:
        """The highest sequence ever given."""
        with self._reader() as connection:
            return _last(connection)

    def note_ingested(self, sequence: int) -> None:
        """Remember how far ingest got."""
        sql = "insert or replace into progress (name, sequence) values ('ingested', ?)"
        with self._lock, _told(self.path), _transaction(self._writer()) as connection:
            connection.execute(sql, (sequence,))

    def backlog(self) -> Backlog:
        """What waits for ingest."""
        with self._reader() as connection:
            ingested, last = _ingested(connection), _last(connection)
            oldest = connection and connection.execute(READ, (ingested, 1)).fetchone()
        # Sequences have no gaps, so that nothing needs to be counted.
        return Backlog(
            records=max(last - ingested, 0) if oldest else 0,
            oldest_at=_delivery(oldest).received_at if oldest else None,
            last_sequence=last,
            ingested=ingested,
        )

    def forget(self, up_to: int, before: datetime) -> int:
        """Remove what is both loaded and old; return how many."""
        sql = (
            "delete from deliveries where sequence in (select sequence from deliveries "
            f"where sequence <= ? and received_at < ? order by sequence limit {CHUNK_ROWS})"
        )
        return sum(self._in_chunks(sql, (up_to, _microseconds(before))))

    def _in_chunks(self, sql: str, values: tuple[Any, ...]) -> Iterator[int]:
        """Rows that each transaction changed, until one changes none."""
        while self.path.exists():
            with self._lock, _told(self.path), _transaction(self._writer()) as connection:
                changed = connection.execute(sql, values).rowcount
            if not changed:
                return
            yield changed

    def erase(self, rewrite: Rewrite) -> int:
        """Rewrite every delivery that `rewrite` changes; return how many."""
        done, after = 0, 0
        while deliveries := self.read(after, CHUNK_ROWS):
            after = deliveries[-1].sequence
            changed = [
                (body, delivery.sequence)
                for delivery in deliveries
                if (body := rewrite(delivery)) != delivery.body
            ]
            with self._lock, _told(self.path), _transaction(self._writer()) as connection:
                connection.executemany("update deliveries set body = ? where sequence = ?", changed)
            done += len(changed)
        if self.path.exists():
            self._empty_journal()
        return done

    def empty(self, sequences: Sequence[int]) -> None:
        """Leave nothing of some bodies; of the log of changes they go when it is used again."""
        sql = "update deliveries set body = x'' where sequence = ?"
        with self._lock, _told(self.path), _transaction(self._writer()) as connection:
            connection.executemany(sql, [(sequence,) for sequence in sequences])

    def _empty_journal(self) -> None:
        """Leave nothing of the old bodies in the log of changes.

        Raises:
            LogError: a reader stood in the way for too long.
        """
        with self._lock, _told(self.path):
            busy, *_ = self._writer().execute("pragma wal_checkpoint(truncate)").fetchone()
        if busy:
            raise LogError(
                f"{self.path.name} is in use: {self.path.name}-wal may still hold what was erased",
                hint="erase again",
            )

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._drop()

    def _writer(self) -> sqlite3.Connection:
        """The connection that writes; a new one when the file is another than it was."""
        if self._connection is not None and not self._is_there():
            self._drop()  # else it would go on in a file that nobody finds
        if self._connection is None:
            _make(self.path)
            self._inode = self.path.stat().st_ino
            self._connection = _connect(self.path)
            self._connection.executescript(SETTINGS + TABLES)
            flush(self.path.parent)
        return self._connection

    def _is_there(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection | None]:
        """A connection of its own; None while there is no log."""
        if not self.path.exists():
            yield None
            return
        with _told(self.path):
            connection = _connect(self.path)
            try:
                connection.execute("pragma query_only = on")
                is_empty = not connection.execute("select 1 from sqlite_schema").fetchall()
                yield None if is_empty else connection
            finally:
                connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    # Python's own transactions are off: they begin late and lock later still.
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite rolls some failures back itself
            connection.execute("rollback")
        raise


def _insert(connection: sqlite3.Connection, arrival: Arrival) -> bool:
    key = (arrival.provider, arrival.account)
    at, headers = _microseconds(arrival.received_at), json.dumps(dict(arrival.headers))
    # Asked first: an insert that fails uses up a sequence all the same.
    if connection.execute(COUNT_COPY, (*key, arrival.digest)).rowcount:
        return False
    connection.execute(INSERT, (*key, at, headers, arrival.body, arrival.digest))
    return True


def _last(connection: sqlite3.Connection | None) -> int:
    sql = "select seq from sqlite_sequence where name = 'deliveries'"
    return _number(connection, sql)


def _ingested(connection: sqlite3.Connection | None) -> int:
    return _number(connection, "select sequence from progress where name = 'ingested'")


def _number(connection: sqlite3.Connection | None, sql: str) -> int:
    row = connection.execute(sql).fetchone() if connection else None
    return int(row[0]) if row else 0


def _delivery(row: tuple[Any, ...]) -> Delivery:
    sequence, provider, account, received_at, headers, body, digest, copies = row
    return Delivery(
        sequence=sequence,
        provider=provider,
        account=account,
        received_at=EPOCH + received_at * MICROSECOND,
        headers=json.loads(headers),
        body=body,
        body_sha256=digest.hex(),
        copies=copies,
    )


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _make(path: Path) -> None:
    """The empty file, for its owner only, whatever the umask is."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ours. Theirs may quote what was to be stored."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _error(path, error) from None


def _error(path: Path, error: sqlite3.Error | OSError) -> LogError:
    # An extended code's low byte is its family.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR or (isinstance(error, OSError) and error.errno == errno.EIO):
        # What a failed flush has lost, the next one will not report.
        return LogBroken(
            f"the disk of {path.name} failed", hint="check the disk, then start the receiver anew"
        )
    if code == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return LogError(f"no room on the disk for {path.name}", hint="make room on it")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogError(f"{path.name} is held by another process", hint="try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LogBroken(
            f"{path.name} is damaged",
            hint=f"move it and its -wal aside, then start anew: {path}",
        )
    what = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return LogError(f"{path.name} can't be used ({what})", hint=f"check who may write {path}")
