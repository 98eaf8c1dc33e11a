"""The delivery log as a PostgreSQL table that receivers on several machines share.

A commit first locks the row that holds the last sequence, and gives the next ones: so sequences are
in the order of the commits and have no gaps, also between receivers. A sequence of the database's
own would be given before the commit, and a reader that goes by sequence would pass over what
commits late.

Everything works through a transaction pooler too: nothing outlives a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from os import urandom
from threading import Lock
from typing import Any, cast

import psycopg

from pipelines.errors import LogError
from pipelines.failpoint import failpoint
from pipelines.receiver.log import READ_BYTES, Arrival, Backlog, Delivery, Rewrite
from pipelines.warehouse.postgres_connecting import connection_options

SCHEMA = "receiver"
CHUNK_ROWS = 200
READ_ROWS = 100
"""Rows that come from the server at once: with the largest bodies, some hundred megabytes."""

OPENED = {
    "application_name": "doblecheck receiver",
    "connect_timeout": "4",
    "keepalives_idle": "10",
    "tcp_user_timeout": "5000",
}
"""How connections are opened where the URL does not say it otherwise: a sender waits for us."""

TABLES = (
    # `if not exists` asks for the right to create also when there is nothing to create.
    "do $$ begin if to_regnamespace('receiver') is null then create schema receiver; end if; "
    "end $$",
    """
    create table if not exists receiver.deliveries (
        sequence bigint primary key,
        provider text not null,
        account text not null,
        received_at timestamptz not null,
        headers text not null, -- JSON
        body bytea not null,
        body_sha256 bytea not null,
        copies integer not null default 0,
        unique (provider, account, body_sha256)
    )
    """,
    """
    create table if not exists receiver.progress (
        name text primary key, -- last: given; ingested: noted by ingest; checked: no meaning; id
        sequence bigint not null
    )
    """,
    "insert into receiver.progress values ('last', 0), ('ingested', 0), ('checked', 0), "
    "('id', hashtextextended(gen_random_uuid()::text, 0)) on conflict do nothing",
)

# A commit is on disk when it returns, whatever the server's default is; and none waits for longer
# than a sender does.
BEGIN = """
select
    set_config('statement_timeout', '4000', true),
    set_config(
        'synchronous_commit',
        case
            when current_setting('synchronous_commit') = 'off' then 'on'
            else current_setting('synchronous_commit')
        end,
        true
    )
"""

LOCK_LAST = "select sequence from receiver.progress where name = 'last' for update"
SET = "update receiver.progress set sequence = %s where name = %s"

COUNT_COPIES = """
update receiver.deliveries as old set copies = old.copies + new.copies
from unnest(%s::text[], %s::text[], %s::bytea[], %s::integer[])
    as new (provider, account, body_sha256, copies)
where old.provider = new.provider
    and old.account = new.account
    and old.body_sha256 = new.body_sha256
returning old.provider, old.account, old.body_sha256
"""

INSERT = """
insert into receiver.deliveries
    (sequence, provider, account, received_at, headers, body, body_sha256, copies)
values (%s, %s, %s, %s, %s, %s, %s, %s)
"""

READ = """
select sequence, provider, account, received_at, headers, body, body_sha256, copies
from receiver.deliveries
where sequence > %s and length(body) > 0
order by sequence
limit %s
"""

FORGET = """
delete from receiver.deliveries where sequence in (
    select sequence from receiver.deliveries
    where sequence <= %s and received_at < %s order by sequence limit %s
)
"""

BACKLOG = """
select
    (select sequence from receiver.progress where name = 'last'),
    (select sequence from receiver.progress where name = 'ingested'),
    (
        select received_at from receiver.deliveries
        where
            sequence > (select sequence from receiver.progress where name = 'ingested')
            and length(body) > 0
        order by sequence limit 1
    )
"""

Key = tuple[str, str, bytes]


class PostgresLog:
    """See `DeliveryLog`.

    Args:
        url: `postgresql://…`, with libpq's options.

    Raises:
        ConfigError: it can't be read.
    """

    def __init__(self, url: str) -> None:
        self._options = connection_options(url, key="receiver.log")
        self.name = f"the delivery log at {self._options['host']}"
        self._lock = Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Store in one transaction; for each, whether it is new."""
        groups: dict[Key, list[int]] = {}
        for i, arrival in enumerate(arrivals):
            groups.setdefault(_key(arrival), []).append(i)
        with self._writing() as connection:
            failpoint("log.begin")
            last = connection.execute(LOCK_LAST).fetchone()[0]
            known = _count_copies(connection, groups)
            fresh = [places for key, places in groups.items() if key not in known]
            rows = [
                _row(sequence, arrivals[places[0]], copies=len(places) - 1)
                for sequence, places in zip(count(last + 1), fresh, strict=False)
            ]
            with connection.cursor() as cursor:
                cursor.executemany(INSERT, rows)
            connection.execute(SET, (last + len(rows), "last"))
            failpoint("log.commit")
        failpoint("log.committed")
        firsts = {places[0] for places in fresh}
        return [i in firsts for i in range(len(arrivals))]

    def check(self, size: int = 0) -> None:
        """Write and commit something that is no delivery, and leave nothing of it."""
        sql = "update receiver.progress set sequence = sequence + 1 where name = 'checked'"
        with self._writing() as connection:
            connection.execute(sql)
            if size:  # the server writes what is taken back, too
                with connection.transaction(force_rollback=True):
                    now = datetime.now(UTC)
                    connection.execute(INSERT, (-1, "", "", now, "{}", urandom(size), b"", 0))

    def read(self, after: int, limit: int) -> list[Delivery]:
        """The deliveries that follow a sequence, in order."""
        found: list[Delivery] = []
        size = 0
        with self._reading() as connection:
            while connection and len(found) < limit and size < READ_BYTES:
                most = min(limit - len(found), READ_ROWS)
                rows = connection.execute(READ, (after, most)).fetchall()
                found += map(_delivery, rows)
                size += sum(len(row[5]) for row in rows)
                if len(rows) < most:
                    break
                after = found[-1].sequence
        return found

    def identity(self) -> int | None:
        """The number that was drawn when the tables were made."""
        sql = "select sequence from receiver.progress where name = 'id'"
        with self._reading() as connection:
            row = connection.execute(sql).fetchone() if connection else None
        return int(row[0]) if row else None

    def last_sequence(self) -> int:
        """The highest sequence ever given."""
        return self.backlog().last_sequence

    def note_ingested(self, sequence: int) -> None:
        """Remember how far ingest got."""
        with self._writing() as connection:
            connection.execute(SET, (sequence, "ingested"))

    def backlog(self) -> Backlog:
        """What waits for ingest."""
        with self._reading() as connection:
            row = connection.execute(BACKLOG).fetchone() if connection else None
        last, ingested, oldest = row or (0, 0, None)
        return Backlog(
            records=max(last - ingested, 0) if oldest else 0,
            oldest_at=oldest.astimezone(UTC) if oldest else None,
            last_sequence=last,
            ingested=ingested,
        )

    def forget(self, up_to: int, before: datetime) -> int:
        """Remove what is both loaded and old; return how many."""
        done = 0
        while self._is_there():
            with self._writing() as connection:
                gone = connection.execute(FORGET, (up_to, before, CHUNK_ROWS)).rowcount
            done += gone
            if gone < CHUNK_ROWS:
                break
        return done

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
            sql = "update receiver.deliveries set body = %s where sequence = %s"
            with self._writing() as connection, connection.cursor() as cursor:
                cursor.executemany(sql, changed)
            done += len(changed)
        with self._reading() as connection:
            if connection:  # a plain vacuum leaves the old bodies in their pages
                connection.execute("vacuum full receiver.deliveries")
        return done

    def empty(self, sequences: Sequence[int]) -> None:
        """Leave nothing of some bodies; of their pages they go when these are used again."""
        sql = "update receiver.deliveries set body = '' where sequence = any(%s)"
        with self._writing() as connection:
            connection.execute(sql, [[*sequences]])

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """A transaction on the connection that stays open; a new one after any failure.

        A commit whose answer is lost may have happened. It is told as failed, and comes again as a
        copy.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                    self._make_tables(self._connection)
                with self._connection.transaction():
                    self._connection.execute(BEGIN)
                    yield self._connection
            except psycopg.Error as error:
                self._drop()
                raise self._error(error) from None
            except BaseException:
                self._drop()
                raise

    @contextmanager
    def _reading(self) -> Iterator[psycopg.Connection[Any] | None]:
        """A connection of its own; None while there is no log."""
        try:
            with closing(self._connect()) as connection:
                yield connection if _has_tables(connection) else None
        except psycopg.Error as error:
            raise self._error(error) from None

    def _is_there(self) -> bool:
        with self._reading() as connection:
            return connection is not None

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            **cast("dict[str, Any]", OPENED | self._options),
            autocommit=True,
            prepare_threshold=None,
        )

    def _make_tables(self, connection: psycopg.Connection[Any]) -> None:
        # Asked first: a role that may only use the log may not make it.
        if _has_tables(connection):
            return
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(hashtext('doblecheck receiver'))")
            for sql in TABLES:
                connection.execute(sql)

    def _error(self, error: psycopg.Error) -> LogError:
        """Ours: psycopg's may quote what was to be stored, or the URL."""
        if error.sqlstate == "53100":
            return LogError(f"no room on the disk for {self.name}", hint="make room there")
        if error.sqlstate == "42501":
            return LogError(
                f"{self.name}: its role may not do this",
                hint=f"the role of receiver.log needs a schema {SCHEMA} of its own",
            )
        if "password authentication failed" in str(error):
            return LogError(f"{self.name}: the password is refused", hint="look at receiver.log")
        what = type(error).__name__
        return LogError(f"{self.name} can't be used ({what})", hint="is the database up?")


def _has_tables(connection: psycopg.Connection[Any]) -> bool:
    # The last that is made.
    sql = "select to_regclass('receiver.progress') is not null"
    row = connection.execute(sql).fetchone()
    return bool(row and row[0])


def _count_copies(connection: psycopg.Connection[Any], groups: dict[Key, list[int]]) -> set[Key]:
    """Count what is stored already, and say which it is."""
    providers, accounts, digests = zip(*groups, strict=True) if groups else ((), (), ())
    copies = [len(places) for places in groups.values()]
    values = (list(providers), list(accounts), list(digests), copies)
    rows = connection.execute(COUNT_COPIES, values).fetchall()
    return {(provider, account, bytes(digest)) for provider, account, digest in rows}


def _key(arrival: Arrival) -> Key:
    return (arrival.provider, arrival.account, arrival.digest)


def _row(sequence: int, arrival: Arrival, *, copies: int) -> tuple[Any, ...]:
    return (
        sequence,
        arrival.provider,
        arrival.account,
        arrival.received_at,
        json.dumps(dict(arrival.headers)),
        arrival.body,
        arrival.digest,
        copies,
    )


def _delivery(row: tuple[Any, ...]) -> Delivery:
    sequence, provider, account, received_at, headers, body, digest, copies = row
    return Delivery(
        sequence=sequence,
        provider=provider,
        account=account,
        received_at=received_at.astimezone(UTC),
        headers=json.loads(headers),
        body=bytes(body),
        body_sha256=bytes(digest).hex(),
        copies=copies,
    )
