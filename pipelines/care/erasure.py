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
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.care.erased import Erased
from pipelines.care.moving import COPY_FILE
from pipelines.care.rewriting import SHORTEST, Wanted, forget_copies, needles_of, rewrite
from pipelines.errors import UsageError, WarehouseError
from pipelines.events import webhook_tables
from pipelines.phones import phone_key
from pipelines.provider import Provider

if TYPE_CHECKING:
    from pipelines.receiver.log import Delivery, DeliveryLog
    from pipelines.warehouse import Connection, Warehouse

KEY_FILE = "erasure.key"
PHONE = "+5491123456789"

PERSON = """
select contact_id, phone_key, bsuid, contact_key
from marts.dim_contacts
where person_key in (
    select person_key from marts.dim_contacts
    where phone_key = $1 or contact_id = $2 or contact_key = $2
)
"""

PEOPLE = """
select count(distinct person_key) from marts.dim_contacts
where contact_id in (select unnest($1::text[]))
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

    @property
    def country(self) -> str | None:
        """ISO 3166 code; None when neither a phone nor a business-scoped id tells it."""
        of_phones = {phone_key(key).country_code or "" for key in self.phone_keys}
        codes = of_phones | {bsuid[:2] for bsuid in self.bsuids}
        return min(filter(str.isalpha, codes), default=None)  # 001 is no country

    def tokens(self, erased: Erased) -> list[str]:
        """A token for each of them."""
        kinds = {
            "phone": self.phone_keys,
            "bsuid": self.bsuids,
            "contact": self.contacts,
            "conversation": self.conversations,
        }
        return sorted(erased.token(kind, value) for kind in kinds for value in kinds[kind])

    def needles(self) -> set[str]:
        """What to look for in texts without punctuation: of phones what every spelling ends in."""
        ends = {key[-7:] for key in self.phone_keys}
        return ends | needles_of(self.bsuids | self.contacts | self.conversations)


@dataclass(frozen=True)
class Report:
    """What an erasure did.

    Attributes:
        rows: raw rows rewritten.
        deliveries: webhooks rewritten, in the warehouse and in the log.
        conversations: that were theirs.
        left: files of a DuckDB warehouse that is no longer in use; nobody looked into them.
    """

    rows: int
    deliveries: int
    conversations: int
    left: tuple[str, ...] = ()


def load(warehouse: Warehouse) -> Erased:
    """Everybody who was erased, for a sync or an ingest.

    Raises:
        WarehouseError: people were erased, and the key by which they are known is not here.
    """
    with warehouse.connect() as connection:
        return _known(connection, warehouse.data_dir)


def erase(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    log: DeliveryLog,
    *,
    phone: str | None = None,
    contact: str | None = None,
) -> Report:
    """Erase a person from everything but the marts, which the caller then builds from scratch.

    The caller holds the warehouse's lock. It may be done again, after a failure too: the warehouse
    is rewritten in one transaction, and what follows it needs no more than the keyed hashes.

    Raises:
        UsageError: neither a phone nor a contact, or nobody has it.
        WarehouseError: others were erased with a key that is not here.
    """
    warehouse.ensure_raw_tables(rooms)
    with warehouse.connect() as connection:
        person = find(connection, phone=phone, contact=contact)
        _remove_working_files(warehouse)
        # All or nothing: what is half rewritten no longer tells which of the rest is theirs.
        with webhook_tables.transaction(connection):
            erased = _remember(connection, warehouse, person)
            wanted = Wanted(person.contacts | person.conversations, person.needles())
            rows, deliveries = rewrite(warehouse, connection, rooms, wanted, erased)
            keep(connection, erased)
            forget_copies(connection, rooms, person.phone_keys)
        name = webhook_tables.name_of_log(log.identity())
        ingested = webhook_tables.read_log_position(connection, name, log.last_sequence())

    def rest(delivery: Delivery) -> bytes:
        if delivery.sequence > ingested:  # only the log has it: ingest will store it as it may be
            return delivery.body
        text = delivery.body.decode(errors="replace")
        return delivery.body if (erased.document(text) or "") == text else b""

    deliveries += log.erase(rest)
    return Report(rows, deliveries, len(person.conversations), _left(warehouse))


def _remove_working_files(warehouse: Warehouse) -> None:
    """Rows on their way, which a later sync would load as they are, errors that quote some, and
    what a run left that was killed or could not open its file. Nothing in them is needed."""
    from pipelines.warehouse.embedded import DuckDBWarehouse

    for name in ("dlt", "dbt"):
        shutil.rmtree(warehouse.data_dir / name, ignore_errors=True)
    (warehouse.data_dir / COPY_FILE).unlink(missing_ok=True)
    if isinstance(warehouse, DuckDBWarehouse):
        Path(f"{warehouse.path}.wal.damaged").unlink(missing_ok=True)


def _left(warehouse: Warehouse) -> tuple[str, ...]:
    """DuckDB files beside a warehouse that is somewhere else by now. They are the reader's to
    erase from or to remove: they may be all there is of a copy that failed."""
    from pipelines.warehouse.embedded import DuckDBWarehouse

    if isinstance(warehouse, DuckDBWarehouse):
        return ()
    files = (path for path in warehouse.data_dir.rglob("*.duckdb*") if path.suffix != ".lock")
    return tuple(str(path) for path in sorted(files) if not path.is_symlink())


def find(connection: Connection, *, phone: str | None, contact: str | None) -> Person:
    """Who it is, with every phone, id and conversation that the marts connect.

    Raises:
        UsageError: the phone is none, the marts know nobody by that contact or by a phone without
            a country code (a person who is not known yet can be erased beforehand), or somebody has
            the same id in another account: their rows would be erased, too.
    """
    person = Person()
    if phone is not None:
        person.phone_keys.add(key_of(phone))
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
        ((people,),) = connection.execute(PEOPLE, [[*person.contacts]]).fetchall()
        if people > 1:
            raise UsageError(
                "another person has the same contact id in another account: nothing was erased",
                hint="no row tells them apart: give each account a data_dir of its own",
            )
        found = connection.execute(CONVERSATIONS, [[*keys]]).fetchall()
        person.conversations |= {value for (value,) in found}
    if contact is not None and not keys:
        raise UsageError(
            "no contact has that id",
            hint="ids: doblecheck query 'select * from marts.dim_contacts'",
        )
    if phone is not None and not keys and phone_key(phone).country_code is None:
        raise UsageError(
            "no contact has that phone, and it is none with a country code", hint=f"--phone {PHONE}"
        )
    return person


def key_of(phone: str) -> str:
    """What a phone is known by.

    Raises:
        UsageError: it is none.
    """
    key = phone_key(phone).key
    if key is None or len(key) < SHORTEST:
        raise UsageError("that is no phone", hint=f"--phone {PHONE}")
    return key


def _has_marts(connection: Connection) -> bool:
    sql = (
        "select 1 from information_schema.tables "
        "where table_schema = 'marts' and table_name = 'dim_contacts'"
    )
    return bool(connection.execute(sql).fetchall())


def _remember(connection: Connection, warehouse: Warehouse, person: Person) -> Erased:
    """Write the person's tokens; return everybody who is erased."""
    if not _known(connection, warehouse.data_dir):
        _make_key(warehouse.data_dir)
    bare = Erased(_key(warehouse.data_dir), {})
    tokens = person.tokens(bare)
    rows = connection.execute(
        "select pseudonym from erasure.people where token in (select unnest($1::text[])) limit 1",
        [tokens],
    ).fetchall()
    pseudonym = rows[0][0] if rows else bare.pseudonym(tokens, person.country)
    _insert(connection, bare.key_id, dict.fromkeys(tokens, pseudonym))
    return _known(connection, warehouse.data_dir)


def keep_learned(warehouse: Warehouse, erased: Erased) -> None:
    """Remember what a sync or an ingest learned, before the rows that taught it are stored: they
    may not come again."""
    if erased.learned:
        with warehouse.connect() as connection:
            keep(connection, erased)


def catch_up(warehouse: Warehouse, rooms: Iterable[Provider], erased: Erased) -> None:
    """Rewrite the rows that were stored before it was learned whose they are."""
    if not erased.learned:
        return
    with warehouse.connect() as connection, webhook_tables.transaction(connection):
        rewrite(warehouse, connection, rooms, Wanted(set(), set()), erased)
        keep(connection, erased)


def keep(connection: Connection, erased: Erased) -> None:
    people = {token: erased.pseudonym_of(token) for token in erased.learned}
    _insert(connection, erased.key_id, people)


def _insert(connection: Connection, key_id: str, people: Mapping[str, str]) -> None:
    for token, pseudonym in people.items():
        connection.execute(
            "insert into erasure.people values ($1, $2, $3, $4) on conflict do nothing",
            [token, pseudonym, key_id, datetime.now(UTC)],
        )


def _known(connection: Connection, data_dir: Path) -> Erased:
    rows = connection.execute("select token, pseudonym, key_id from erasure.people").fetchall()
    key = _key(data_dir) if rows else b""
    if {key_id for _, _, key_id in rows} - {Erased(key, {}).key_id}:
        raise WarehouseError(
            "people were erased from this warehouse, and the key that they are known by is missing",
            hint=f"copy erasure.key of the machine that erased them to {data_dir}",
        )
    return Erased(key, {token: pseudonym for token, pseudonym, _ in rows})


def _key(data_dir: Path) -> bytes:
    path = data_dir / KEY_FILE
    return path.read_bytes().strip() if path.exists() else b""


def _make_key(data_dir: Path) -> None:
    """Make the key of the first erasure, whole or not at all; one that is there stays."""
    if _key(data_dir):
        return
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = data_dir / f"{KEY_FILE}.new"
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    new.replace(data_dir / KEY_FILE)
