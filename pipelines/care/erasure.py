"""Erase one person: raw rows, webhooks, the delivery log, working files, marts, snapshots.

Counts stay: a message remains a message, of nobody. `erased` says what is kept of a row.

    find        who it is: every phone, id and conversation of the person, by the marts
    remember    keyed hashes of those, so that a later sync or ingest does not bring them back
    rewrite     what is stored about them
    rebuild     the caller builds models and marts from scratch, and writes the files anew

The key of the hashes is in `<data_dir>/erasure.key`, never beside them. A machine that syncs into
the same warehouse needs the same file.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.care.erased import GONE, Erased
from pipelines.errors import UsageError, WarehouseError
from pipelines.events import TABLES as EVENT_TABLES
from pipelines.events import webhook_tables
from pipelines.phones import phone_key
from pipelines.provider import COMMON_COLUMNS, SHARED_TABLES, Provider, Table
from pipelines.reading.landing import Record

if TYPE_CHECKING:
    from pipelines.receiver.log import Delivery, DeliveryLog
    from pipelines.warehouse import Connection, Warehouse

NEEDLES = 200
"""Ids looked for in one statement."""

SHORTEST = 6
"""A shorter id says too little to look for it in a text."""

PERSON = """
select contact_id, phone_key, bsuid, contact_key
from marts.dim_contacts
where person_key in (
    select person_key from marts.dim_contacts
    where phone_key = $1 or contact_id = $2 or contact_key = $2
)
"""

CONVERSATIONS = """
select distinct conversation_id from marts.fct_conversations
where contact_key in (select unnest($1::text[]))
"""


@dataclass
class Person:
    """Everything that stands for one person."""

    phone_keys: set[str] = field(default_factory=set)
    bsuids: set[str] = field(default_factory=set)
    contacts: set[str] = field(default_factory=set)
    conversations: set[str] = field(default_factory=set)

    def tokens(self, erased: Erased) -> list[str]:
        """A token for each of them."""
        kinds = {
            "phone": self.phone_keys,
            "bsuid": self.bsuids,
            "contact": self.contacts,
            "conversation": self.conversations,
        }
        return sorted(erased.token(kind, value) for kind in kinds for value in kinds[kind])

    def needles(self) -> list[str]:
        """What to look for in texts without punctuation: of phones what every spelling ends in."""
        ends = {key[-7:] for key in self.phone_keys}
        ids = {*self.bsuids, *self.contacts, *self.conversations}
        plain = {re.sub(r"\W", "", value) for value in ids}
        return sorted(ends | {value for value in plain if len(value) >= SHORTEST})


@dataclass(frozen=True)
class Report:
    """What an erasure did.

    Attributes:
        rows: raw rows rewritten.
        deliveries: webhooks rewritten, in the warehouse and in the log.
        conversations: that were theirs.
    """

    rows: int
    deliveries: int
    conversations: int


def load(warehouse: Warehouse) -> Erased:
    """Everybody who was erased, for a sync or an ingest.

    Raises:
        WarehouseError: people were erased, and the key by which they are known is not here.
    """
    with warehouse.connect() as connection:
        rows = connection.execute("select token, pseudonym, key_id from erasure.people").fetchall()
    key = _key(warehouse.data_dir) if rows else b""
    if rows and any(key_id != _key_id(key) for _, _, key_id in rows):
        raise WarehouseError(
            "people were erased from this warehouse, and the key that they are known by is missing",
            hint=f"copy erasure.key of the machine that erased them to {warehouse.data_dir}",
        )
    return Erased(key, {token: pseudonym for token, pseudonym, _ in rows})


def erase(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    log: DeliveryLog,
    *,
    phone: str | None = None,
    contact: str | None = None,
) -> Report:
    """Erase a person from everything but the marts, which the caller then builds from scratch.

    The caller holds the warehouse's lock. It may be done again, after a failure too.

    Raises:
        UsageError: neither a phone nor a contact, or nobody has it.
    """
    warehouse.ensure_raw_tables(rooms)
    with warehouse.connect() as connection:
        person = find(connection, phone=phone, contact=contact)
        erased = _remember(connection, warehouse, person)
    with warehouse.connect() as connection:
        needles = person.needles()
        rows = sum(
            _rewrite_table(warehouse, connection, (room.schema, table), needles, erased)
            for room in rooms
            for table in (*room.tables, *SHARED_TABLES)
            if table.holds_people
        )
        deliveries = _rewrite_webhooks(connection, needles, erased)
        _forget_copies(connection, rooms, person)

    def rest(delivery: Delivery) -> bytes:
        text = delivery.body.decode(errors="replace")
        return delivery.body if (erased.document(text) or "") == text else b""

    deliveries += log.erase(rest)
    for name in ("dlt", "dbt"):  # working files: rows on their way, and errors that quote some
        shutil.rmtree(warehouse.data_dir / name, ignore_errors=True)
    return Report(rows, deliveries, len(person.conversations))


def find(connection: Connection, *, phone: str | None, contact: str | None) -> Person:
    """Who it is, with every phone, id and conversation that the marts connect.

    Raises:
        UsageError: the phone is none, or the marts know nobody by that contact.
    """
    person = Person()
    if phone is not None:
        key = phone_key(phone).key
        if key is None or len(key) < SHORTEST:
            raise UsageError("that is no phone", hint="--phone +5491123456789")
        person.phone_keys.add(key)
    keys: set[str] = set()
    if _has_marts(connection):
        values = [next(iter(person.phone_keys), None), contact]
        for contact_id, known_key, bsuid, contact_key in connection.execute(
            PERSON, values
        ).fetchall():
            keys.add(contact_key)
            person.contacts |= {contact_id} - {None}
            person.bsuids |= {bsuid} - {None}
            person.phone_keys |= {known_key} - {None}
        found = connection.execute(CONVERSATIONS, [[*keys]]).fetchall()
        person.conversations |= {value for (value,) in found}
    if contact is not None and not keys:
        raise UsageError(
            "no contact has that id",
            hint="ids: doblecheck query 'select * from marts.dim_contacts'",
        )
    return person


def _has_marts(connection: Connection) -> bool:
    sql = (
        "select 1 from information_schema.tables "
        "where table_schema = 'marts' and table_name = 'dim_contacts'"
    )
    return bool(connection.execute(sql).fetchall())


def _remember(connection: Connection, warehouse: Warehouse, person: Person) -> Erased:
    """Write the person's tokens; return everybody who is erased."""
    key = _key(warehouse.data_dir, make=True)
    known = Erased(key, {})
    tokens = person.tokens(known)
    rows = connection.execute(
        "select pseudonym from erasure.people where token in (select unnest($1::text[])) limit 1",
        [tokens],
    ).fetchall()
    pseudonym = rows[0][0] if rows else known.pseudonym(tokens)
    for token in tokens:
        connection.execute(
            "insert into erasure.people values ($1, $2, $3, $4) on conflict do nothing",
            [token, pseudonym, _key_id(key), datetime.now(UTC)],
        )
    return Erased(key, _people(connection))


def _people(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("select token, pseudonym from erasure.people").fetchall())


def _rewrite_table(
    warehouse: Warehouse,
    connection: Connection,
    place: tuple[str, Table],
    needles: Sequence[str],
    erased: Erased,
) -> int:
    schema, table = place
    name = f'{schema}."{table.name}"'
    columns = [*table.columns, *COMMON_COLUMNS]
    quoted = ", ".join(f'"{column}"' for column in columns)
    changed: dict[tuple[str, str], list[Any]] = {}
    for row in _found(connection, name, quoted, [*table.columns, "payload"], needles):
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
    if changed:
        with webhook_tables.transaction(connection):
            connection.execute(
                f"delete from {name} where account || ' ' || id in (select unnest($1::text[]))",
                [[f"{account} {identity}" for account, identity in changed]],
            )
            warehouse.insert(connection, f"{name} ({quoted})", [*changed.values()])
    return len(changed)


def _found(
    connection: Connection,
    name: str,
    selected: str,
    searched: Sequence[str],
    needles: Sequence[str],
) -> Iterator[tuple[Any, ...]]:
    """The rows in which one of the needles stands, whatever the punctuation."""
    text = "concat_ws(' ', " + ", ".join(f'"{column}"' for column in searched) + ")"
    plain = f"regexp_replace({text}, '[^0-9A-Za-z_]', '', 'g')"
    for start in range(0, len(needles), NEEDLES):
        part = needles[start : start + NEEDLES]
        conditions = " or ".join(
            f"position(${place} in {plain}) > 0" for place in range(1, len(part) + 1)
        )
        sql = f"select {selected} from {name} where {conditions}"
        yield from connection.execute(sql, list(part)).fetchall()


def _rewrite_webhooks(connection: Connection, needles: Sequence[str], erased: Erased) -> int:
    """Deliveries and what was understood of them; the next build reads the new ones."""
    schema = webhook_tables.SCHEMA
    keys = "provider, account, delivery_id"
    changed = []
    found = _found(connection, f"{schema}.deliveries", f"{keys}, payload", ["payload"], needles)
    for provider, account, delivery_id, payload in found:
        new = erased.document(payload)
        if new != payload:
            changed.append((provider, account, delivery_id, new))
    with webhook_tables.transaction(connection):
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
        torn = _found(connection, f"{schema}.rejected", f"{keys}, body", ["body"], needles)
        for provider, account, delivery_id, body in [*torn]:
            connection.execute(
                f"update {schema}.rejected set body = $5 "
                "where provider = $1 and account = $2 and delivery_id = $3 and body = $4",
                [provider, account, delivery_id, body, GONE],
            )
    return len(changed)


def _forget_copies(connection: Connection, rooms: Iterable[Provider], person: Person) -> None:
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
            [[*person.phone_keys]],
        )


def _key(data_dir: Path, *, make: bool = False) -> bytes:
    path = data_dir / "erasure.key"
    if make and not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
    return path.read_bytes().strip() if path.exists() else b""


def _key_id(key: bytes) -> str:
    return sha256(b"doblecheck erasure key" + key).hexdigest()[:16]
