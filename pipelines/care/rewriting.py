"""Rewrite what a warehouse holds of people who were erased; `erased` says what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.care.erased import ABOUT, Erased
from pipelines.care.keys import is_id
from pipelines.events import TABLES as EVENT_TABLES
from pipelines.events import webhook_tables
from pipelines.provider import COMMON_COLUMNS, SHARED_TABLES, Provider, Table
from pipelines.reading.landing import Record

if TYPE_CHECKING:
    from pipelines.warehouse import Connection, Warehouse

SHORTEST = 6
"""A shorter id says too little to look for it in a text."""

NEEDLES = 200
"""Ids looked for in one statement."""


class Wanted(NamedTuple):
    """Whose rows to look for.

    Attributes:
        ids: of contacts and conversations, in the columns of such ids.
        needles: in every text, without punctuation. With none, no text is searched: that takes
            long.
    """

    ids: Set[str]
    needles: Set[str]


def rewrite(
    warehouse: Warehouse,
    connection: Connection,
    rooms: Iterable[Provider],
    wanted: Wanted,
    erased: Erased,
) -> tuple[int, int]:
    """Rewrite the raw rows and the webhooks of who is wanted, then those of what was learned from
    these. The caller makes a transaction of it.

    Returns:
        How many rows and how many webhooks were rewritten.
    """
    places = [
        (room.schema, table)
        for room in rooms
        for table in (*room.tables, *SHARED_TABLES)
        if table.holds_people
    ]
    rows = deliveries = 0
    done: set[str] = set()
    while True:
        for place in places:
            rows += _rewrite_table(warehouse, connection, place, wanted, erased)
        deliveries += _rewrite_webhooks(connection, wanted.needles, erased)
        done |= wanted.ids
        learned = {*erased.learned.values()} - done
        if not learned:
            return rows, deliveries
        wanted = Wanted(learned, needles_of(learned) if wanted.needles else set())


def needles_of(ids: Iterable[str]) -> set[str]:
    """What to look for in texts without punctuation."""
    plain = {re.sub(r"\W", "", value) for value in ids}
    return {value for value in plain if len(value) >= SHORTEST}


def _rewrite_table(
    warehouse: Warehouse,
    connection: Connection,
    place: tuple[str, Table],
    wanted: Wanted,
    erased: Erased,
) -> int:
    schema, table = place
    name = f'{schema}."{table.name}"'
    columns = [*table.columns, *COMMON_COLUMNS]
    quoted = ", ".join(f'"{column}"' for column in columns)
    changed: dict[tuple[str, str], list[Any]] = {}
    keys: set[str] = set()  # an id that holds the phone changes: it may be there already
    found = _found(connection, name, quoted, [*table.columns, "payload"], wanted.needles)
    for row in chain(found, _named(connection, name, quoted, table, wanted.ids)):
        old = dict(zip(columns, row, strict=True))
        record = Record(
            old["id"],
            tuple(old[column] for column in table.columns),
            old["payload"] or "{}",
            old["row_hash"],
            old["fetched_at"],
        )
        new = erased.record(table, record)
        if new != record:
            rest = (old["account"], new.payload, new.row_hash, new.fetched_at, old["_dlt_load_id"])
            changed[old["account"], old["id"]] = [*new.values, *rest]
            keys |= {f"{old['account']} {old['id']}", f"{old['account']} {new.id}"}
    if changed:
        connection.execute(
            f"delete from {name} where account || ' ' || id in (select unnest($1::text[]))",
            [[*keys]],
        )
        warehouse.insert(connection, f"{name} ({quoted})", [*changed.values()])
    return len(changed)


def _found(
    connection: Connection,
    name: str,
    selected: str,
    searched: Sequence[str],
    needles: Set[str],
) -> Iterator[tuple[Any, ...]]:
    """The rows in which one of the needles stands, whatever the punctuation."""
    text = "concat_ws(' ', " + ", ".join(f'"{column}"' for column in searched) + ")"
    plain = f"regexp_replace({text}, '[^0-9A-Za-z_]', '', 'g')"
    for start in range(0, len(needles), NEEDLES):
        part = sorted(needles)[start : start + NEEDLES]
        conditions = " or ".join(
            f"position(${place} in {plain}) > 0" for place in range(1, len(part) + 1)
        )
        sql = f"select {selected} from {name} where {conditions}"
        yield from connection.execute(sql, list(part)).fetchall()


def _named(
    connection: Connection, name: str, selected: str, table: Table, ids: Set[str]
) -> list[tuple[Any, ...]]:
    """The rows of contacts or conversations."""
    keys = [key for key in table.columns if key != "id" and is_id(key)]
    keys += ["id"] if table.name in ABOUT else []
    if not (keys and ids):
        return []
    conditions = " or ".join(f'"{key}" in (select unnest($1::text[]))' for key in keys)
    sql = f"select {selected} from {name} where {conditions}"
    return connection.execute(sql, [[*ids]]).fetchall()


def _rewrite_webhooks(connection: Connection, needles: Set[str], erased: Erased) -> int:
    """Deliveries and what was understood of them; the next build reads the new ones."""
    schema = webhook_tables.SCHEMA
    keys = "provider, account, delivery_id"
    changed = []
    found = _found(connection, f"{schema}.deliveries", f"{keys}, payload", ["payload"], needles)
    for provider, account, delivery_id, payload in found:
        new = erased.document(payload)
        if new != payload:
            changed.append((provider, account, delivery_id, new))
    for *key, payload in changed:
        connection.execute(
            f"update {schema}.deliveries set payload = $4, understood_by = null, "
            "idempotency_key = null where provider = $1 and account = $2 and delivery_id = $3",
            [*key, payload],
        )
        for table in (*EVENT_TABLES, "rejected"):
            connection.execute(
                f"delete from {schema}.{table} "
                "where provider = $1 and account = $2 and delivery_id = $3",
                key,
            )
    rejected = _found(connection, f"{schema}.rejected", f"{keys}, body", ["body"], needles)
    for provider, account, delivery_id, body in [*rejected]:
        connection.execute(
            f"update {schema}.rejected set body = $5 "
            "where provider = $1 and account = $2 and delivery_id = $3 and body = $4",
            [provider, account, delivery_id, body, erased.document(body)],
        )
    return len(changed)


def forget_copies(
    connection: Connection, rooms: Iterable[Provider], phone_keys: Iterable[str]
) -> None:
    """What was copied: dlt's staging tables, and the phones that keys were made for."""
    staging = [f"{room.schema}_staging" for room in rooms]
    tables = connection.execute(
        "select table_schema, table_name from information_schema.tables "
        "where table_schema in (select unnest($1::text[])) and table_name not like '%dlt_%'",
        [staging],
    ).fetchall()
    for schema, table in tables:
        connection.execute(f'delete from {schema}."{table}"')
    has_keys = connection.execute(
        "select 1 from information_schema.tables "
        "where table_schema = 'intermediate' and table_name = 'phone_keys'"
    ).fetchall()
    if has_keys:
        connection.execute(
            "delete from intermediate.phone_keys where phone_key in (select unnest($1::text[]))",
            [[*phone_keys]],
        )
