"""One person erased on either engine: no byte left of three canaries, the others as they were, and
neither a sync nor a webhook brings them back (SEC-14)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from real_postgres import Server

from pipelines.care import erasure
from pipelines.care.erased import Erased
from pipelines.errors import UsageError, WarehouseError
from pipelines.providers import find
from pipelines.receiver.log import Arrival
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.warehouse import Warehouse, at
from pipelines.warehouse.postgres import PostgresWarehouse
from pipelines.webhooks.ingest import ingest
from pipelines.world import make_world

from .erase_stage import NAME, NOW, TEXT, Place, webhook, with_a_canary


@pytest.fixture(scope="module")
def place(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    folder = tmp_path_factory.mktemp("erase")
    world, phone, _ = with_a_canary(
        make_world(seed=23, ends_at=NOW, days=8, conversations_per_day=8)
    )
    if engine == "postgres":
        server: Server = request.getfixturevalue("postgres")
        url = server.database()
        name = url.rsplit("/", 1)[1]
        ((oid,),) = server.run(f"select oid from pg_database where datname = '{name}'")
        warehouse: Warehouse = PostgresWarehouse(url, folder)
        made = Place(warehouse, world, phone, server.folder / "data" / "base" / str(oid))
    else:
        made = Place(at(folder / "warehouse.duckdb", folder), world, phone, folder)
    with made.warehouse.lock():
        made.warehouse.ensure_raw_tables(find())
        made.sync()
        with closing(made.log) as log:
            bodies = [webhook(phone, TEXT, 1), webhook("5215550001111", "hola", 2)]
            log.append(
                [Arrival("kapso", "shop", NOW, {}, json.dumps(body).encode()) for body in bodies]
            )
        made.ingest()
        with made.warehouse.connect() as connection:
            for number in range(3):
                body = {"wa_id": phone, "profile": {"name": NAME}, "note": TEXT, "number": number}
                connection.execute(
                    "insert into raw_kapso.rejected (id, account, resource, reason, body, payload) "
                    f"values ('r{number}', 'shop', 'contacts', 'no id', $1, '{{}}')",
                    [json.dumps(body)],
                )
            # The planner remembers frequent values, also of a table that is empty by now.
            connection.execute("analyze raw_kapso.rejected")
        made.before = made.build()
    return made


@pytest.mark.both_engines
def test_nothing_is_left_of_who_was_erased_and_the_counts_stay(
    place: Place, engine: str, request: pytest.FixtureRequest
) -> None:
    before = place.found_in_tables()
    assert all(len(tables) > 2 for tables in before.values()), before
    report = place.erase(phone=f"+{place.phone[:2]} {place.phone[2:]}")
    if engine == "postgres":
        request.getfixturevalue("postgres").run("checkpoint")
    assert place.found_in_tables() == {canary: set() for canary in place.canaries}
    assert place.found_in_files() == []
    assert (report.rows > 5, report.deliveries >= 2) == (True, True)
    assert place.after == place.before
    with place.warehouse.connect() as connection:
        others = "select count(*) from raw_webhooks.deliveries where payload like '%5215550001111%'"
        assert connection.execute(others).fetchall() == [(1,)]
        rows = connection.execute("select token, pseudonym from erasure.people").fetchall()
    assert len({pseudonym for _, pseudonym in rows}) == 1
    assert not [row for row in rows if place.phone in "".join(row)]

    # The provider still has them, and its webhook comes again.
    assert place.sync() == 0
    assert place.sync(is_full=True) == 0
    with place.warehouse.lock(), closing(place.log) as log:
        arrival = Arrival(
            "kapso", "shop", NOW, {}, json.dumps(webhook(place.phone, TEXT, 3)).encode()
        )
        log.append([arrival])
        place.ingest()
    assert place.found_in_tables() == {canary: set() for canary in place.canaries}

    # Without the key nobody can tell who was erased, so nothing is read.
    key = place.warehouse.data_dir / "erasure.key"
    kept = key.read_bytes()
    key.write_bytes(b"another")
    with pytest.raises(WarehouseError, match="key"):
        erasure.load(place.warehouse)
    key.write_bytes(kept)
    assert key.stat().st_mode & 0o077 == 0


def test_nobody_has_that_contact(tmp_path: Path) -> None:
    warehouse = at(tmp_path / "warehouse.duckdb", tmp_path)
    for who in ({"contact": "nobody"}, {"phone": "12"}, {"phone": "11 5550-0217"}):
        with closing(SqliteLog(tmp_path / "deliveries.db")) as log, pytest.raises(UsageError):
            erasure.erase(warehouse, find(), log, **who)


@pytest.mark.parametrize(
    "who", [{"contact": "42"}, {"contact": "waspy:b:42"}, {"phone": "+14155550101"}]
)
def test_an_id_that_two_accounts_gave_to_two_people_erases_neither(who: dict[str, str]) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create schema marts; create table marts.dim_contacts as "
            "select * from (values ('kapso:a:42', '42', '14155550101', null, 'one'), "
            "('waspy:b:42', '42', '14155550102', null, 'two'), "
            "('waspy:c:43', '43', '14155550103', null, 'three'), "
            "('waspy:d:43', '43', '14155550103', null, 'three')) "
            "as t (contact_key, contact_id, phone_key, bsuid, person_key); "
            "create table marts.fct_conversations (conversation_id text, contact_key text)"
        )
        with pytest.raises(UsageError, match="another person has the same contact id"):
            erasure.find(connection, **{"phone": None, "contact": None, **who})
        found = erasure.find(connection, phone=None, contact="43")
        assert (found.contacts, found.phone_keys) == ({"43"}, {"14155550103"})


def test_the_planner_forgets_a_table_that_was_emptied(postgres_url: str, tmp_path: Path) -> None:
    warehouse = PostgresWarehouse(postgres_url, tmp_path)
    warehouse.ensure_raw_tables(find())
    noted = (
        "select count(*) from pg_stats where schemaname = 'raw_kapso' and tablename = 'rejected'"
    )
    with warehouse.connect() as connection:
        if connection.info.server_version < 180_000:
            pytest.skip("PostgreSQL can't be made to forget before 18")
        connection.execute(
            "insert into raw_kapso.rejected (id, account, body) "
            "select i::text, 'shop', 'a secret ' || i from generate_series(1, 3) as rows (i)"
        )
        connection.execute("analyze raw_kapso.rejected")
        connection.execute("delete from raw_kapso.rejected")
        assert connection.execute(noted).fetchall() != [(0,)]
        warehouse.compact()
        assert connection.execute(noted).fetchall() == [(0,)]


PHONE, OTHER = "5491123456789", "5215550001111"
CONTACT, THREAD = "6a92ef80-2e62-5b44-a979-140c2a339fc8", "c3ff7580-11d9-56c9-903a-b9ef43136075"

MARTS = """
create schema marts;
create view marts.dim_contacts as
select id as contact_id, replace(phone_number, '+549', '54') as phone_key, null as bsuid,
    id as contact_key, coalesce(phone_number, id) as person_key
from raw_waspy.contacts;
create view marts.fct_conversations as
select id as conversation_id, contact_id as contact_key from raw_waspy.conversations
"""
"""As much of the marts as tells who somebody is."""


@dataclass
class Shop:
    """A warehouse to put rows into by hand, and its receiver's log."""

    warehouse: Warehouse
    log: SqliteLog

    def put(self, table: str, **row: str) -> None:
        row = {"account": "shop", **row}
        names = ", ".join(f'"{name}"' for name in row)
        places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        self.ask(f"insert into {table} ({names}) values ({places})", [*row.values()])

    def ask(self, sql: str, values: list[str] | None = None) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if sql.startswith("select") else []

    def receive(self, *bodies: bytes | dict[str, Any]) -> None:
        encoded = [
            body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies
        ]
        self.log.append([Arrival("kapso", "shop", NOW, {}, body) for body in encoded])

    def ingest(self) -> None:
        assert ingest(self.warehouse, find(), self.log, now=NOW).is_ok

    def erase(self, **who: str) -> erasure.Report:
        return erasure.erase(self.warehouse, find(), self.log, **(who or {"phone": f"+{PHONE}"}))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    warehouse = at(tmp_path / "warehouse.duckdb", tmp_path)
    warehouse.ensure_raw_tables(find())
    with closing(SqliteLog(tmp_path / "deliveries.db")) as log:
        yield Shop(warehouse, log)


def test_an_erasure_that_was_cut_off_is_made_up_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put("raw_waspy.contacts", id=CONTACT, phone_number=f"+{PHONE}", name=NAME)
    shop.put("raw_waspy.messages", id="m1", contact_id=CONTACT, content=json.dumps({"text": TEXT}))
    shop.ask(MARTS)
    with monkeypatch.context() as patched:
        whole = Erased.record

        def cut_off(self: Any, table: Any, record: Any) -> Any:
            if table.name == "messages":
                raise KeyboardInterrupt
            return whole(self, table, record)

        rooms = [replace(room, tables=room.tables[::-1]) for room in find()]  # contacts go first
        patched.setattr(Erased, "record", cut_off)
        with pytest.raises(KeyboardInterrupt):
            erasure.erase(shop.warehouse, rooms, shop.log, phone=f"+{PHONE}")
    assert shop.erase().rows == 2
    assert shop.ask("select content from raw_waspy.messages") == [('{"text":null}',)]
    assert shop.ask("select name from raw_waspy.contacts") == [(None,)]


def meta(*messages: tuple[str, str]) -> dict[str, Any]:
    """Meta's body, which tells what several customers wrote."""
    value = {
        "metadata": {"phone_number_id": "77"},
        "contacts": [{"wa_id": phone, "profile": {"name": text}} for phone, text in messages],
        "messages": [
            {"id": f"wamid.{text}", "from": phone, "type": "text", "text": {"body": text}}
            for phone, text in messages
        ],
    }
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def test_a_delivery_that_was_not_ingested_yet_is_not_lost(shop: Shop) -> None:
    shop.receive(meta((PHONE, "mirlo"), (OTHER, "hola")))
    shop.erase()
    shop.ingest()
    told = "select wa_message_id from raw_webhooks.messages order by 1"
    assert shop.ask(told) == [("wamid.hola",), ("wamid.mirlo",)]
    assert (
        shop.ask("select payload from raw_webhooks.deliveries where payload like '%5491123%'") == []
    )


def test_a_machine_without_the_key_erases_nobody(shop: Shop) -> None:
    shop.erase()
    key = shop.warehouse.data_dir / "erasure.key"
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(WarehouseError, match="key"):
        shop.erase(phone=f"+{OTHER}")
    assert not key.exists()
    key.write_bytes(kept)
    assert erasure.load(shop.warehouse)


def test_bodies_that_are_no_json_are_erased_and_others_of_theirs_stay(shop: Shop) -> None:
    torn = json.dumps(webhook(PHONE, TEXT, 1)).replace(TEXT, TEXT + "\\ud83d")
    of_another = torn.replace(PHONE, OTHER).replace(TEXT, "hola").replace(NAME, "Otra")
    shop.receive(torn.encode(), of_another.encode(), b'{"data": [' + torn.encode() + b"]}")
    shop.ingest()
    for number, body in enumerate((torn, of_another, of_another.replace(OTHER, PHONE[-7:]))):
        shop.put("raw_webhooks.rejected", delivery_id=f"-{number}", provider="kapso", body=body)
    shop.erase()
    shop.ingest()
    for column, table in (("payload", "deliveries"), ("body", "rejected")):
        told = shop.ask(f"select {column} from raw_webhooks.{table}")
        assert not [text for (text,) in told if TEXT in text or NAME in text or PHONE in text]
        assert len([text for (text,) in told if "hola" in text]) == (
            1 if column == "payload" else 3
        )


def test_a_room_that_is_read_after_the_erasure_does_not_bring_them_back(tmp_path: Path) -> None:
    """Waspy's messages name a contact and a conversation, and no phone."""
    world, phone, _ = with_a_canary(
        make_world(seed=23, ends_at=NOW, days=2, conversations_per_day=3)
    )
    place = Place(at(tmp_path / "warehouse.duckdb", tmp_path), world, phone, tmp_path)
    with place.warehouse.lock(), closing(place.log) as log:
        erasure.erase(place.warehouse, find(), log, phone=f"+{phone}")
        for changed in (True, False):
            assert (place.sync(is_full=True) > 0) == changed
            assert place.found_in_tables() == {canary: set() for canary in place.canaries}
        with place.warehouse.connect() as connection:
            ((tokens,),) = connection.execute("select count(*) from erasure.people").fetchall()
        assert tokens > 2


def test_rows_that_came_before_it_was_known_whose_they_are_are_rewritten(shop: Shop) -> None:
    shop.erase()
    shop.put("raw_waspy.messages", id="m1", conversation_id=THREAD, content='{"text":"mirlo"}')
    shop.put("raw_waspy.messages", id="m2", conversation_id="t-2", content='{"text":"hola"}')
    body = webhook(PHONE, TEXT, 1)
    body["conversation"]["id"] = THREAD
    shop.receive(body)
    shop.ingest()
    told = shop.ask("select content from raw_waspy.messages order by id")
    assert told == [('{"text":null}',), ('{"text":"hola"}',)]
    assert len(shop.ask("select token from erasure.people")) == 2


def test_the_log_keeps_no_later_webhook_of_theirs_once_it_is_ingested(shop: Shop) -> None:
    shop.erase()
    shop.receive(webhook(PHONE, TEXT, 1), webhook(OTHER, "hola", 2))
    shop.ingest()
    assert ["hola" in delivery.body.decode() for delivery in shop.log.read(0, 9)] == [True]
    shop.receive(webhook(PHONE, TEXT, 1))
    assert len(shop.log.read(0, 9)) == 1


def test_files_that_a_killed_run_left_do_not_outlive_an_erasure(shop: Shop) -> None:
    folder = shop.warehouse.data_dir
    for name in ("copy.csv", "warehouse.duckdb.wal.damaged"):
        (folder / name).write_text(PHONE)
    assert shop.erase().left == ()
    assert [*folder.glob("*.csv"), *folder.glob("*.damaged")] == []


def test_files_of_before_a_move_to_postgres_are_named(postgres_url: str, tmp_path: Path) -> None:
    warehouse = PostgresWarehouse(postgres_url, tmp_path)
    old = [tmp_path / "published" / "analytics-1.duckdb", tmp_path / "warehouse.duckdb"]
    old[0].parent.mkdir()
    for file in (*old, tmp_path / "warehouse.duckdb.lock"):
        file.write_text(PHONE)
    (tmp_path / "analytics.duckdb").symlink_to(old[0])
    with closing(SqliteLog(tmp_path / "deliveries.db")) as log:
        report = erasure.erase(warehouse, find(), log, phone=f"+{PHONE}")
    assert report.left == tuple(map(str, old))
    assert all(file.exists() for file in old)


def test_a_row_that_came_again_under_its_new_id_is_there_once(shop: Shop) -> None:
    shop.put("raw_kapso.messages", id=f"m-{PHONE}", to=PHONE)
    shop.erase()
    shop.put("raw_kapso.messages", id=f"m-{PHONE}", to=PHONE)
    shop.erase()
    assert len(shop.ask("select id from raw_kapso.messages")) == 1
