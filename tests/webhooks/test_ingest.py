"""From the log and from files into `raw_webhooks`: nothing is lost, nothing is doubled."""

from __future__ import annotations

import base64
import gzip
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from hook_bench import NUMBER, T0, Bench, arrival, message, meta, unix

from pipelines import failpoint, run
from pipelines.errors import UsageError
from pipelines.events import FOREIGN, webhook_tables
from pipelines.failpoint import Injected
from pipelines.providers import find
from pipelines.settings import load
from pipelines.webhooks.files import Owners, read
from pipelines.webhooks.ingest import file_id, ingest_arrived, portions

PLACES = [
    name
    for name in failpoint.NAMES
    if name.startswith(("ingest.", "hooks.")) and name != "hooks.forgotten"
]
ONCE = ("ingest.loaded", "ingest.end")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture(autouse=True)
def disarmed():
    yield
    failpoint.arm("")


def stored(bench):
    """What is in the warehouse, without what differs from run to run."""
    return {
        table: sorted(
            str({k: v for k, v in row.items() if k not in ("_dlt_load_id", "updated_at")})
            for row in bench.rows(f"select {columns} from raw_webhooks.{table}")
        )
        for table in webhook_tables.COLUMNS
        for columns in ["position" if table == "positions" else "*"]  # named by the log's own id
    }


def count(bench, table="deliveries"):
    return bench.one(f"select count(*) as n from raw_webhooks.{table}")["n"]


def some(number):
    return [arrival(message(f"wamid.{i}", i), seconds=i) for i in range(number)]


def test_a_delivery_is_a_row_with_what_its_body_tells(bench):
    bench.receive(arrival(message("wamid.1", 5), x_idempotency_key="key-1",
                          x_webhook_event="whatsapp.message.received"))  # fmt: skip
    assert bench.ingest().stored == 1
    row = bench.one("select * from raw_webhooks.deliveries")
    assert (row["delivery_id"], row["provider"], row["account"]) == (1, "kapso", "default")
    assert (row["event"], row["idempotency_key"]) == ("whatsapp.message.received", "key-1")
    assert (row["received_at"], row["is_header_wrong"]) == (T0, False)
    assert orjson.loads(row["payload"])["message"]["id"] == "wamid.1"
    assert row["_dlt_load_id"]


def test_only_what_is_new_is_read(bench):
    bench.receive(*some(3))
    assert bench.ingest().read == 3
    assert bench.ingest().read == 0
    bench.receive(arrival(message("wamid.9", 9)))
    assert (bench.ingest().stored, count(bench)) == (1, 4)


def test_the_body_decides_what_an_event_is_and_a_header_that_lies_is_counted(bench):
    bench.receive(arrival(message("wamid.1", 5), x_webhook_event="whatsapp.conversation.ended"))
    bench.ingest()
    row = bench.one("select event, is_header_wrong from raw_webhooks.deliveries")
    assert row == {"event": "whatsapp.message.received", "is_header_wrong": True}
    assert count(bench, "conversation_events") == 0


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_fails_anywhere_loses_and_doubles_nothing(bench, tmp_path_factory, place):
    whole = Bench(tmp_path_factory.mktemp("whole"))
    for b in (bench, whole):
        b.receive(*some(5), arrival(b"broken"))
    whole.ingest(chunk=2)
    failpoint.arm(f"{place}=raise" if place in ONCE else f"{place}:2=raise")
    with pytest.raises(Injected):
        bench.ingest(chunk=2)
    failpoint.arm("")
    bench.ingest(chunk=2)
    assert stored(bench) == stored(whole)


KILLED = """
import sys
from pathlib import Path
from hook_bench import Bench
Bench(Path(sys.argv[1])).ingest(chunk=2)
"""


@pytest.mark.matrix
@pytest.mark.parametrize("count_", range(1, 5))
@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_is_killed_anywhere_loses_and_doubles_nothing(
    bench, tmp_path_factory, place, count_
):
    whole = Bench(tmp_path_factory.mktemp("whole"))
    for b in (bench, whole):
        b.receive(*some(7))
    whole.ingest(chunk=2)
    environment = os.environ | {
        failpoint.VARIABLE: f"{place}:{count_}=kill",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(bench.folder)], env=environment, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL)
    bench.ingest(chunk=2)
    assert stored(bench) == stored(whole)


@pytest.mark.parametrize("place", [0, 1, 49, 99])
def test_one_poisoned_delivery_costs_itself(bench, place):
    arrivals = some(100)
    arrivals[place] = arrival(b'{"message": {"id": "wamid.x", "text": NaN}}')
    bench.receive(*arrivals)
    done = bench.ingest(chunk=10)
    assert (done.stored, done.understood.rejected, count(bench, "messages")) == (100, 1, 99)
    assert bench.one("select reason from raw_webhooks.rejected") == {"reason": "not JSON"}


ODD = [
    (b"not json at all", "not JSON"),
    (b"[1, 2]", "not an object"),
    (b'"text"', "not an object"),
    (b"\xff\xfe", "not JSON"),
    ({"message": {"id": "wamid.1"}}, "a message without a direction"),
    ({"message": {"kapso": {"direction": "inbound"}}}, "a message without the network's id"),
    ({"event": "whatsapp.moon.landed"}, "an unknown event"),
    ({"something": "else"}, "the body names no event"),
    ({"object": "whatsapp_business_account", "entry": []}, "the body holds no change"),
    (meta("moon", landed=True), "an unknown field of Meta's"),
    (meta("messages", messages=[{"type": "text"}]), "a message without an id"),
    (meta("calls", calls=["?"]), "a call without an id"),
    ({"batch": True, "data": ["?"]}, "an item of a batch is no object"),
    ({"message": {"message_type": "text", "id": "1"}}, "a message without the network's id"),
    ({"batch": True, "data": {"message": {}}}, "a batch without a list"),
    ({"batch": True, "type": "whatsapp.message.received"}, "a batch without a list"),
    (message("wamid." + "x" * 500, 1), "an id of more than 500 bytes"),
    (message("wamid.1", 1, status="x" * 3000), "an id of more than 500 bytes"),
]


@pytest.mark.parametrize(("body", "reason"), ODD)
def test_what_is_not_understood_is_kept_with_the_reason(bench, body, reason):
    bench.receive(arrival(body))
    bench.ingest()
    assert bench.one("select reason from raw_webhooks.rejected")["reason"] == reason
    assert count(bench) == 1


def test_the_good_rows_of_a_broken_batch_are_read(bench):
    good = orjson.dumps(message("wamid.1", 5))
    batch = b'{"type":"whatsapp.message.received","batch":true,"data":[%s,{"a":1e999},%s]}'
    bench.receive(arrival(batch % (good, orjson.dumps(message("wamid.2", 6)))))
    bench.ingest()
    assert count(bench, "messages") == 2
    row = bench.one("select reason, body from raw_webhooks.rejected")
    assert row["reason"].startswith("not JSON")
    assert '"a":1e999' in orjson.loads(row["body"])


def test_media_links_and_secrets_reach_no_table(bench):
    link = "https://app.kapso.ai/rails/active_storage/SECRET/photo.jpg"
    body = message("wamid.1", 5, type="image", image={"id": "m", "link": link, "caption": "hola"},
                   kapso={"media_url": link, "media_data": {"url": link},
                          "content": f"Image attached [Size] URL: {link}"})  # fmt: skip
    broken = orjson.dumps(body)[:-1]
    waspy = {"event": "message.received", "data": {"id": "1", "direction": "inbound",
             "mediaKey": "SECRET", "content": {"url": link, "caption": link}}}  # fmt: skip
    bench.receive(
        arrival(body),
        arrival(broken),
        arrival({"type": "x", "batch": True, "data": [body]}),
        arrival(meta("messages", messages=[body["message"]])),
        arrival(waspy, provider="waspy"),
    )
    bench.ingest()
    assert "SECRET" not in str(stored(bench))
    assert "hola" in bench.rows("select payload from raw_webhooks.deliveries")[0]["payload"]


def test_a_number_that_is_not_the_accounts_is_set_aside_until_it_is(bench):
    bench.add("raw_kapso.phone_numbers", id="1", phone_number_id="1")
    bench.receive(arrival(message("wamid.1", 5)))
    bench.ingest()
    assert count(bench, "messages") == 0
    assert bench.one("select reason from raw_webhooks.rejected")["reason"] == FOREIGN
    bench.ingest()
    assert count(bench, "rejected") == 1
    bench.add("raw_kapso.phone_numbers", id="2", phone_number_id=NUMBER)
    bench.ingest()
    assert (count(bench, "messages"), count(bench, "rejected")) == (1, 0)


def test_what_is_about_another_number_takes_nothing_else_of_its_body_with_it(bench):
    bench.add("raw_kapso.phone_numbers", id="1", phone_number_id=NUMBER)
    mine, other = message("wamid.1", 5), message("wamid.2", 6)
    forwarded = meta("messages", messages=[message("wamid.3", 7)["message"]])
    elsewhere = meta("messages", messages=[message("wamid.4", 8)["message"]])
    elsewhere["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "elsewhere"
    unknown = meta("a field of tomorrow")["entry"]
    for row in (other, other["conversation"], other["message"]["kapso"]):
        row["phone_number_id"] = "elsewhere"
    bench.receive(
        arrival({"type": "x", "batch": True, "data": [other, mine]}),
        arrival(forwarded | {"entry": elsewhere["entry"] + forwarded["entry"] + unknown}),
    )
    bench.ingest()
    stored = bench.rows("select distinct wa_message_id as id from raw_webhooks.messages")
    assert {row["id"] for row in stored} == {"wamid.1", "wamid.3"}
    rejected = bench.rows("select reason, body from raw_webhooks.rejected")
    assert sorted(row["reason"] for row in rejected) == [
        FOREIGN, FOREIGN, "an unknown field of Meta's",
    ]  # fmt: skip
    assert [row for row in rejected if "wamid.1" in row["body"] or "wamid.3" in row["body"]] == []
    bench.add("raw_kapso.phone_numbers", id="2", phone_number_id="elsewhere")
    bench.ingest()
    assert (count(bench, "messages"), count(bench, "rejected")) == (4, 1)


def test_what_came_before_the_numbers_were_known_is_judged_again(bench):
    bench.receive(arrival(message("wamid.1", 5)))
    bench.ingest()
    assert count(bench, "messages") == 1
    bench.add("raw_kapso.phone_numbers", id="1", phone_number_id="1")
    bench.ingest()
    assert (count(bench, "messages"), count(bench, "rejected")) == (0, 1)


def test_deliveries_that_came_another_way_are_understood(bench):
    with bench.warehouse.connect() as connection:
        connection.execute(
            "insert into raw_webhooks.deliveries (delivery_id, provider, account, payload,"
            " received_at) values (7, 'kapso', 'default', $1, now())",
            [orjson.dumps(message("wamid.1", 5)).decode()],
        )
    bench.ingest()
    assert bench.one("select message_id from raw_webhooks.messages")["message_id"] == "wamid.1"
    row = bench.one("select event from raw_webhooks.deliveries")
    assert row["event"] == "whatsapp.message.received"


def test_a_reader_that_reads_better_reads_everything_again(bench, monkeypatch):
    bench.receive(*some(3))
    bench.ingest()
    reader = find()[0].webhooks
    monkeypatch.setattr(reader, "VERSION", "better")
    monkeypatch.setattr(reader, "read", reader_that_finds_nothing)
    assert bench.ingest().understood.deliveries == 3
    assert count(bench, "messages") == 0


def reader_that_finds_nothing(_body):
    from pipelines.events import Reading

    return Reading("nothing")


def test_a_log_that_began_anew_is_read_from_its_start(bench, tmp_path):
    from pipelines.receiver.sqlite_log import SqliteLog

    bench.receive(*some(5))
    bench.ingest()
    bench.log = SqliteLog(tmp_path / "another.db")
    bench.receive(arrival(message("wamid.1", 1)), arrival(message("wamid.7", 7)))
    done = bench.ingest()
    assert (done.stored, done.known, count(bench)) == (1, 1, 6)
    ids = bench.one("select count(distinct delivery_id) as n from raw_webhooks.deliveries")
    assert ids["n"] == 6


def test_another_log_is_read_from_its_start_also_when_it_is_longer(bench, tmp_path):
    from pipelines.receiver.sqlite_log import SqliteLog

    first = bench.log
    bench.receive(*some(2))
    bench.ingest()
    bench.log = SqliteLog(tmp_path / "another.db")
    bench.receive(*(arrival(message(f"wamid.new{i}", i)) for i in range(5)))
    assert (bench.ingest().stored, bench.ingest().read, count(bench)) == (5, 0, 7)
    bench.log = first
    assert bench.ingest().read == 0


def test_a_log_of_before_logs_had_ids_goes_on_where_it_was(bench):
    bench.receive(*some(2))
    with bench.log._reader() as connection:
        connection.execute("pragma query_only = off")
        connection.execute("delete from progress where name = 'id'")
    bench.ingest()
    assert bench.rows("select name, position from raw_webhooks.positions") == [
        {"name": "log", "position": 2}
    ]
    bench.log.close()
    bench.receive(arrival(message("wamid.9", 9)))
    assert (bench.log.identity(), bench.ingest().read) == (None, 1)


def test_old_deliveries_leave_the_log_once_they_are_loaded(bench):
    bench.receive(*some(3))
    bench.ingest(keep=timedelta(days=90))
    assert bench.log.read(0, 10) == []
    assert count(bench) == 3


def test_an_ingest_that_is_asked_to_end_says_what_it_left(bench):
    bench.receive(*some(3))
    asked = iter([False, True, True, False, False, False, False, False])
    first = bench.ingest(chunk=1, is_stopping=lambda: next(asked))
    assert (first.read, first.is_stopped) == (1, True)
    second = bench.ingest(chunk=1)
    assert (second.read, second.is_stopped) == (2, False)
    assert not bench.ingest(is_stopping=lambda: True).is_stopped  # there is nothing left


def test_a_log_that_is_kept_for_ever_keeps_what_is_loaded(bench):
    bench.receive(*some(3))
    config = bench.folder / "doblecheck.toml"
    config.write_text('data_dir = "."\n[receiver]\nkeep_days = 0\n')
    assert run.ingest(bench.warehouse, find(), load(config, find())).read == 3
    assert len(bench.log.read(0, 10)) == 3


def test_a_replay_into_an_empty_warehouse_is_the_live_one(bench, tmp_path_factory):
    for i, each in enumerate(some(20)):
        bench.receive(each)
        if i % 7 == 0:
            bench.ingest()
    bench.ingest()
    again = Bench(tmp_path_factory.mktemp("again"))
    again.log = bench.log
    again.ingest(chunk=7)
    assert stored(again) == stored(bench)


OWNERS = Owners(
    rooms={room.name: room for room in find()},
    accounts={"kapso": ["north", "south"], "waspy": ["west"]},
    channels={("kapso", "south"): frozenset({NUMBER}), ("kapso", "north"): frozenset({"1"})},
)


def lines(path, *rows, pack=False):
    raw = b"\n".join(row if isinstance(row, bytes) else orjson.dumps(row) for row in rows)
    path.write_bytes(gzip.compress(raw) if pack else raw + b"\n\n")
    return path


@pytest.mark.parametrize("pack", [False, True])
def test_every_form_of_a_line_is_read(tmp_path, pack):
    body = message("wamid.1", 5)
    text = orjson.dumps(body).decode()
    path = lines(
        tmp_path / "events",
        body,
        {"headers": {"X-Webhook-Event": ["a"]}, "body": body},
        {"headers": [["X-Webhook-Event", "a"]], "body": text, "received_at": str(T0)},
        {"headers": {}, "body": base64.b64encode(text.encode()).decode()},
        {"path": "/webhooks/kapso/north", "headers": {}, "body": "not json"},
        b"neither",
        pack=pack,
    )  # fmt: skip
    found = list(read([path], OWNERS, now=T0))
    assert [(each.provider, each.account) for each in found] == [
        *[("kapso", "south")] * 4,
        ("kapso", "north"),
        (None, None),
    ]
    assert {each.body for each in found[:4]} == {text.encode()}
    assert found[2].headers == {"x-webhook-event": "a"}
    assert (found[2].received_at, found[4].body) == (T0, b"not json")


@pytest.mark.parametrize("pack", [False, True])
def test_a_pipe_is_read_from_its_first_byte(tmp_path, pack):
    raw = lines(tmp_path / "events", *(message(f"wamid.{i}", i) for i in range(200)), pack=pack)
    with subprocess.Popen(["cat", raw], stdout=subprocess.PIPE) as writer:
        pipe = Path(f"/dev/fd/{writer.stdout.fileno()}")
        assert len(list(read([pipe], OWNERS, now=T0))) == 200


def test_a_file_is_loaded_once_beside_the_log_and_what_is_nobodys_is_kept(bench, tmp_path):
    path = lines(tmp_path / "events", message("wamid.0", 0), message("wamid.9", 9), b"neither")
    bench.receive(*some(2))
    bench.ingest()
    chosen = Owners(OWNERS.rooms, {"kapso": ["default"], "waspy": ["west"]}, {})
    for expected in ((1, 1, 1), (0, 2, 1)):
        found = ingest_arrived(
            bench.warehouse, find(), portions(read([path], chosen, now=T0)), now=T0
        )
        assert (found.stored, found.known, found.unplaced) == expected
        assert not found.is_ok
    assert (count(bench), count(bench, "rejected")) == (3, 1)
    ids = {row["delivery_id"] for row in bench.rows("select * from raw_webhooks.deliveries")}
    assert ids >= {1, 2}
    assert min(ids) < 0


def test_what_a_torn_file_holds_is_loaded_before_it_is_told(bench, tmp_path):
    path = lines(tmp_path / "events.gz", *(message(f"wamid.{i}", i) for i in range(50)), pack=True)
    path.write_bytes(path.read_bytes()[:-20])
    owners = Owners(OWNERS.rooms, {"kapso": ["default"]}, {})
    with pytest.raises(UsageError, match="to its end"):
        ingest_arrived(bench.warehouse, find(), portions(read([path], owners, now=T0)), now=T0)
    assert count(bench) > 10


def test_ids_of_files_are_stable_and_negative(tmp_path):
    path = lines(tmp_path / "events", message("wamid.0", 0))
    [once], [twice] = (list(read([path], OWNERS, now=T0)) for _ in range(2))
    assert file_id(once) == file_id(twice) < 0
    assert unix(0)
