"""`raw_webhooks`: every delivery as it came, and what it was understood as.

`deliveries` is the truth. The other tables are a function of it, one row per delivery and event: a
delivery that was put there in any way is understood by the next ingest or build, and when a room
learns to read better, everything is read again. Each row stands for itself, so nothing that arrives
late, twice or in another order can change another's row; the models merge them.

    deliveries   one row per account and distinct body
    rejected     what could not be understood, with the reason
    positions    how far the receiver's log is read
    messages, message_statuses, calls, …   see `events.TABLES`
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.events import TABLES, Event, Problem, Reading
from pipelines.failpoint import failpoint
from pipelines.provider import Provider

if TYPE_CHECKING:
    from pipelines.warehouse import Connection, Warehouse

SCHEMA = "raw_webhooks"

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "deliveries": {
        "delivery_id": "bigint",
        "provider": "text",
        "account": "text",
        "event": "text",
        "body_sha256": "text",
        "idempotency_key": "text",
        "received_at": "timestamptz",
        "payload": "text",
        "problem": "text",  # why the body is no JSON object; then payload quotes it as a text
        "header_event": "text",
        "is_header_wrong": "boolean",  # the header names another event than the body
        "understood_by": "text",  # version of the reader; null: not yet
        "_dlt_load_id": "text",
    },
    "rejected": {
        "delivery_id": "bigint",
        "provider": "text",
        "account": "text",
        "reason": "text",
        "body": "text",
        "received_at": "timestamptz",
        "_dlt_load_id": "text",
    },
    "positions": {
        "name": "text",
        "position": "bigint",
        "updated_at": "timestamptz",
    },
    **{
        table: {
            "delivery_id": "bigint",
            "provider": "text",
            "account": "text",
            "event_key": "text",
            **dict.fromkeys(columns, "text"),
            "row_hash": "text",
            "received_at": "timestamptz",
            "_dlt_load_id": "text",
        }
        for table, columns in TABLES.items()
    },
}
"""Table → column → SQL type."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "deliveries": ("provider", "account", "delivery_id"),
    "positions": ("name",),
    **dict.fromkeys(TABLES, ("provider", "account", "delivery_id", "event_key")),
}
"""Table → what makes a row one of a kind. `rejected` has several for one delivery."""

UNREADABLE = "@unreadable"
"""Key of what stands in a payload for a part that is no JSON: the text of its bytes."""

CHUNK = 1000
"""Deliveries understood in one transaction."""


@dataclass
class Understood:
    """What reading deliveries brought.

    Attributes:
        deliveries: that were read.
        events: rows of the other tables.
        rejected: deliveries and parts of deliveries that could not be understood.
    """

    deliveries: int = 0
    events: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class _Waiting:
    """Deliveries of one account that the present reader has not understood."""

    room: Provider | None
    provider: str
    account: str
    key: str
    channels: frozenset[str]

    @property
    def foreign_key(self) -> str:
        """The mark of those that were about other channels than the account's, as these are now."""
        return f"{self.key}, not of {len(self.channels)} channels"

    def mark(self, *, is_foreign: bool) -> str:
        return self.foreign_key if is_foreign else self.key


def load_id() -> str:
    """A load id as dlt makes them: the time, so that later loads have later ids."""
    return f"{time.time():.6f}"


def insert(
    warehouse: Warehouse, connection: Connection, table: str, rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows with the columns of a table, in the order of `COLUMNS`."""
    if rows:
        names = ", ".join(f'"{name}"' for name in COLUMNS[table])
        warehouse.insert(connection, f"{SCHEMA}.{table} ({names})", rows)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("begin")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def understand(
    warehouse: Warehouse,
    connection: Connection,
    rooms: Iterable[Provider],
    *,
    chunk: int = CHUNK,
) -> Understood:
    """Read every delivery that the rooms, as they are now, have not read."""
    done = Understood()
    readable = {room.name: room for room in rooms if room.has_webhooks}
    for waiting in _waiting(connection, readable):
        while rows := _next(connection, waiting, chunk):
            failpoint("hooks.understand")
            _understand(warehouse, connection, waiting, rows, done)
            failpoint("hooks.understood")
    return done


def _waiting(connection: Connection, rooms: Mapping[str, Provider]) -> Iterator[_Waiting]:
    """The accounts that have deliveries to read, ready to be read."""
    sql = f"""
        select distinct provider, account, coalesce(understood_by, '')
        from {SCHEMA}.deliveries
        order by 1, 2, 3
    """
    by_account = groupby(connection.execute(sql).fetchall(), key=lambda row: (row[0], row[1]))
    for (provider, account), rows in by_account:
        marks = {mark for _, _, mark in rows}
        room = rooms.get(provider)
        channels = channels_of(connection, room, account)
        version = room.webhooks.VERSION if room else "none"
        key = f"{provider} {version};{' channels known' if channels else ''}"
        waiting = _Waiting(room, provider, account, key, channels)
        if any(mark and not mark.startswith(key) for mark in marks):
            _forget(connection, waiting)
        elif marks <= {waiting.key, waiting.foreign_key}:
            continue
        yield waiting


def channels_of(connection: Connection, room: Provider | None, account: str) -> frozenset[str]:
    """The ids of the account's channels; none while they are not known."""
    if room is None or not room.has_webhooks:
        return frozenset()
    table, column = room.webhooks.CHANNELS
    sql = f'select "{column}" from {room.schema}.{table} where account = $1'
    found = connection.execute(sql, [account]).fetchall()
    return frozenset(value for (value,) in found if value)


def _forget(connection: Connection, waiting: _Waiting) -> None:
    """Begin an account anew: another version of the reader may find other events."""
    account = [waiting.provider, waiting.account]
    with transaction(connection):
        for table in (*TABLES, "rejected"):
            connection.execute(
                f"delete from {SCHEMA}.{table} where provider = $1 and account = $2", account
            )
        connection.execute(
            f"update {SCHEMA}.deliveries set understood_by = null "
            "where provider = $1 and account = $2",
            account,
        )
    failpoint("hooks.forgotten")


def _next(connection: Connection, waiting: _Waiting, chunk: int) -> list[tuple[Any, ...]]:
    sql = f"""
        select delivery_id, received_at, payload, problem, header_event, understood_by
        from {SCHEMA}.deliveries
        where
            provider = $1 and account = $2
            and coalesce(understood_by, '') not in ($3, $4)
        order by delivery_id
        limit {int(chunk)}
    """
    values = [waiting.provider, waiting.account, waiting.key, waiting.foreign_key]
    return connection.execute(sql, values).fetchall()


def _understand(
    warehouse: Warehouse,
    connection: Connection,
    waiting: _Waiting,
    rows: Sequence[tuple[Any, ...]],
    done: Understood,
) -> None:
    """Read some deliveries of one account and store what they say, all or none."""
    load = load_id()
    events: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    rejected: list[tuple[Any, ...]] = []
    marks: list[tuple[Any, ...]] = []
    for delivery_id, received_at, payload, problem, header_event, _ in rows:
        found = _read(waiting, payload, problem)
        is_foreign = bool(waiting.channels and found.channels - waiting.channels)
        place = (delivery_id, waiting.provider, waiting.account)
        for event in _once(found):
            row = (*place, event.key, *event.values, event.row_hash, received_at, load)
            events[event.table].append(row)
        for bad in found.problems:
            body = payload if bad.part is None else orjson.dumps(bad.part).decode()
            rejected.append((*place, bad.reason, body, received_at, load))
        is_wrong = _is_wrong(header_event, found.name)
        marks.append((delivery_id, waiting.mark(is_foreign=is_foreign), found.name, is_wrong))
    with transaction(connection):
        if any(row[-1] for row in rows):
            _delete(connection, waiting, [row[0] for row in rows])
        for table, found_rows in {**events, "rejected": rejected}.items():
            insert(warehouse, connection, table, found_rows)
        _mark(connection, waiting, marks)
    done.deliveries += len(rows)
    done.events += sum(map(len, events.values()))
    done.rejected += len(rejected)


def _once(found: Reading) -> Iterable[Event]:
    """Its events without repetition; of two tellings of one event the choice is always the same."""
    in_order = sorted(found.events, key=lambda event: event.row_hash)
    return {(event.table, event.key): event for event in in_order}.values()


def _is_wrong(header_event: str | None, name: str | None) -> bool | None:
    """Whether the header contradicts the body; None when there is nothing to compare."""
    if not header_event or name is None or name.startswith("meta."):
        return None
    return not header_event.startswith(name)


def _read(waiting: _Waiting, payload: str | None, problem: str | None) -> Reading:
    """What a payload says about the account's channels. A body that the room stumbles over is set
    aside, and stops no other."""
    found, room = Reading(), waiting.room
    if problem or room is None:
        found.reject(problem or "no provider of that name has readable webhooks", None)
        return found
    try:
        body = orjson.loads(payload or "")
    except ValueError:
        found.reject("not JSON", None)
        return found
    unreadable: list[Problem] = []
    if payload and UNREADABLE in payload:
        body = _taken_apart(body, unreadable)
    try:
        found = room.webhooks.read(body)
        if waiting.channels and found.channels - waiting.channels:
            found = found.about(waiting.channels)
    except Exception as error:  # noqa: BLE001 - one odd body must not hold up the others
        found.reject(f"the reader failed ({type(error).__name__})", None)
    found.problems += unreadable
    return found


def _taken_apart(value: Any, unreadable: list[Problem]) -> Any:
    """A body without the parts that were no JSON, which are noted."""
    if isinstance(value, dict):
        return {key: _taken_apart(item, unreadable) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    good = []
    for item in value:
        if isinstance(item, dict) and UNREADABLE in item:
            unreadable.append(Problem(str(item.get("reason")), item[UNREADABLE]))
        else:
            good.append(_taken_apart(item, unreadable))
    return good


def _delete(connection: Connection, waiting: _Waiting, delivery_ids: Sequence[int]) -> None:
    """Take away what these deliveries were understood as before."""
    for table in (*TABLES, "rejected"):
        connection.execute(
            f"delete from {SCHEMA}.{table} where provider = $1 and account = $2 "
            "and delivery_id in (select unnest($3::bigint[]))",
            [waiting.provider, waiting.account, list(delivery_ids)],
        )


def _mark(connection: Connection, waiting: _Waiting, marks: Sequence[tuple[Any, ...]]) -> None:
    """Note which deliveries are understood, by which version, and as what."""
    connection.execute(
        f"""
        update {SCHEMA}.deliveries set
            understood_by = marks.mark,
            event = coalesce(marks.name, deliveries.event),
            is_header_wrong = marks.is_wrong
        from (
            select
                unnest($3::bigint[]) as id,
                unnest($4::text[]) as mark,
                unnest($5::text[]) as name,
                unnest($6::boolean[]) as is_wrong
        ) as marks
        where deliveries.provider = $1 and deliveries.account = $2
            and deliveries.delivery_id = marks.id
        """,
        [waiting.provider, waiting.account, *(list(c) for c in zip(*marks, strict=True))],
    )


def read_position(connection: Connection, name: str) -> int:
    """How far a log was read: the sequence of its last delivery that is here."""
    sql = f"select position from {SCHEMA}.positions where name = $1"
    found = connection.execute(sql, [name]).fetchone()
    return int(found[0]) if found else 0


def name_of_log(identity: int | None) -> str:
    """What the position in a receiver's log is called: another log is read from its start, also
    when it is longer by now than the first one was."""
    return "log" if identity is None else f"log {identity}"


def read_log_position(connection: Connection, name: str, last_sequence: int) -> int:
    """How far a receiver's log is read. One that is shorter than what was read is another log, or
    an older copy of it: nothing of it is."""
    position = read_position(connection, name)
    return position if position <= last_sequence else 0


def save_position(connection: Connection, name: str, position: int, now: datetime) -> None:
    """Remember how far a log was read; in the transaction that brings its rows."""
    connection.execute(
        f"insert into {SCHEMA}.positions values ($1, $2, $3) on conflict (name) do update set "
        "position = excluded.position, updated_at = excluded.updated_at",
        [name, position, now],
    )
