"""The delivery log: what it promises, whichever kind it is."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pipelines.errors import LogBroken, LogError
from pipelines.failpoint import Injected, arm
from pipelines.receiver import postgres_log, sqlite_log
from pipelines.receiver.log import Arrival, Backlog, Delivery, DeliveryLog
from pipelines.receiver.postgres_log import PostgresLog
from pipelines.receiver.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from real_postgres import Server

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def arrival(body: bytes = b'{"a":1}', *, account: str = "shop", minute: int = 0) -> Arrival:
    return Arrival(
        provider="toy",
        account=account,
        received_at=NOON + timedelta(minutes=minute),
        headers={"content-type": "application/json"},
        body=body,
    )


@pytest.fixture(params=["sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeliveryLog]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    made = PostgresLog(url) if url else SqliteLog(tmp_path / "data" / "deliveries.db")
    yield made
    made.close()


@pytest.fixture
def file_log(tmp_path: Path) -> Iterator[SqliteLog]:
    made = SqliteLog(tmp_path / "data" / "deliveries.db")
    yield made
    made.close()


def bodies(log: DeliveryLog) -> list[bytes]:
    return [delivery.body for delivery in log.read(0, 10_000)]


def test_what_was_appended_is_read_as_it_came(log: DeliveryLog) -> None:
    body = bytes(range(256))
    assert log.append([arrival(body)]) == [True]
    (found,) = log.read(0, 10)
    assert found.sequence == 1
    assert (found.provider, found.account, found.received_at) == ("toy", "shop", NOON)
    assert found.headers == {"content-type": "application/json"}
    assert found.body == body
    assert found.body_sha256 == sha256(body).hexdigest()


def test_a_log_that_nobody_wrote_is_empty_and_is_not_made(log: DeliveryLog, tmp_path: Path) -> None:
    assert log.read(0, 10) == []
    assert log.backlog() == Backlog(records=0, oldest_at=None, last_sequence=0, ingested=0)
    assert log.forget(10, NOON) == 0
    assert not (tmp_path / "data").exists()


def test_a_check_writes_as_much_as_it_is_told_and_leaves_nothing(log: DeliveryLog) -> None:
    for _ in range(2):
        log.check(100_000)
    assert log.backlog() == Backlog(records=0, oldest_at=None, last_sequence=0, ingested=0)
    log.append([arrival(b"first")])
    assert [delivery.sequence for delivery in log.read(0, 10)] == [1]


def test_a_check_of_a_size_needs_its_room(file_log: SqliteLog) -> None:
    file_log.check()
    [(pages,)] = file_log._connection.execute("pragma page_count")
    file_log._connection.execute(f"pragma max_page_count = {pages}")
    file_log.check()
    with pytest.raises(LogError, match="no room"):
        file_log.check(50_000)


def test_a_log_has_an_id_of_its_own_from_its_first_append_on(
    log: DeliveryLog, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    assert log.identity() is None
    log.append([arrival()])
    identity = log.identity()
    assert identity is not None
    log.close()
    log.append([arrival(b"more")])
    assert log.identity() == identity
    is_file = isinstance(log, SqliteLog)
    place = tmp_path / "other.db" if is_file else request.getfixturevalue("postgres").database()
    other = _log_of(place)
    other.append([arrival()])
    assert other.identity() not in (None, identity)
    other.close()


def test_the_same_body_again_is_counted_and_adds_no_record(log: DeliveryLog) -> None:
    assert log.append([arrival(), arrival(minute=1)]) == [True, False]
    assert log.append([arrival(minute=2)]) == [False]
    assert log.append([arrival(account="other")]) == [True]
    assert [(d.sequence, d.account, d.copies) for d in log.read(0, 10)] == [
        (1, "shop", 2),
        (2, "other", 0),
    ]


def test_reading_goes_on_after_a_sequence_and_large_bodies_come_in_parts(
    log: DeliveryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([arrival(b"%d" % i) for i in range(5)])
    assert [d.body for d in log.read(2, 2)] == [b"2", b"3"]
    assert log.read(5, 2) == []
    for module in (sqlite_log, postgres_log):
        monkeypatch.setattr(module, "READ_BYTES", 2)
    monkeypatch.setattr(postgres_log, "READ_ROWS", 1)
    assert [d.sequence for d in log.read(0, 5)] == [1, 2]


def test_the_backlog_is_what_ingest_did_not_note(log: DeliveryLog) -> None:
    log.append([arrival(b"%d" % i, minute=i) for i in range(5)])
    assert log.backlog() == Backlog(5, NOON, 5, 0)
    log.note_ingested(3)
    assert log.backlog() == Backlog(2, NOON + timedelta(minutes=3), 5, 3)
    log.note_ingested(5)
    assert log.backlog() == Backlog(0, None, 5, 5)


def test_only_what_is_loaded_and_old_is_forgotten_and_no_sequence_comes_back(
    log: DeliveryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sqlite_log, postgres_log):
        monkeypatch.setattr(module, "CHUNK_ROWS", 3)
    log.append([arrival(b"%d" % i, minute=i) for i in range(10)])
    assert log.forget(up_to=8, before=NOON + timedelta(minutes=5)) == 5
    assert bodies(log) == [b"5", b"6", b"7", b"8", b"9"]
    assert log.forget(up_to=7, before=NOON + timedelta(days=1)) == 2
    assert log.forget(up_to=10, before=NOON + timedelta(days=1)) == 3
    assert bodies(log) == []
    log.append([arrival(b"new")])
    assert [d.sequence for d in log.read(0, 10)] == [11]


def test_an_erased_body_does_not_come_back(log: DeliveryLog) -> None:
    log.append([arrival(b"keep"), arrival(b"x"), arrival(b"y")])
    assert log.erase(lambda delivery: delivery.body.replace(b"x", b"").replace(b"y", b"z")) == 2
    assert bodies(log) == [b"keep", b"z"]
    assert log.append([arrival(b"x"), arrival(b"y")]) == [False, False]
    assert bodies(log) == [b"keep", b"z"]
    assert log.erase(lambda delivery: delivery.body) == 0


def test_a_body_that_was_emptied_is_known_and_not_read_again(log: DeliveryLog) -> None:
    log.append([arrival(b"keep"), arrival(b"x"), arrival(b"y")])
    log.empty([2, 3])
    assert bodies(log) == [b"keep"]
    assert log.append([arrival(b"x"), arrival(b"z")]) == [False, True]
    assert bodies(log) == [b"keep", b"z"]


def test_an_erased_body_leaves_no_byte_in_a_table(postgres: Server) -> None:
    url, canary = postgres.database(), b"CANARY-5491155550000"
    name = url.rsplit("/", 1)[1]
    ((oid,),) = postgres.run(f"select oid from pg_database where datname = '{name}'")

    def found() -> list[Path]:
        postgres.run("checkpoint")
        files = (postgres.folder / "data" / "base" / str(oid)).iterdir()
        return [file for file in files if canary in file.read_bytes()]

    log = PostgresLog(url)
    log.append([arrival(b"keep"), arrival(canary)])
    assert found()
    assert log.erase(lambda delivery: delivery.body.replace(canary, b"")) == 1
    assert found() == []
    log.append([arrival(canary * 2)])
    log.empty([3])
    assert log.erase(lambda delivery: delivery.body) == 0  # again, after one that was cut off
    log.close()
    assert found() == []


def test_an_erased_body_leaves_no_byte(file_log: SqliteLog, tmp_path: Path) -> None:
    log = file_log
    canary = b"CANARY-5491155550000"
    log.append([arrival(b"keep"), arrival(b"x" * 9000 + canary), arrival(b"y" + canary)])

    def rewrite(delivery: Delivery) -> bytes:
        return b"" if delivery.body[:1] == b"x" else delivery.body.replace(canary, b"-")

    assert log.erase(rewrite) == 2
    assert bodies(log) == [b"keep", b"y-"]
    log.close()
    for file in (tmp_path / "data").iterdir():
        assert canary not in file.read_bytes()


def test_the_files_are_for_their_owner_only(file_log: SqliteLog, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file_log.append([arrival()])
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    finally:
        os.umask(before)
    assert modes.pop(tmp_path / "data") == 0o700
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "deliveries.db")
    log.append([arrival()])
    connection = log._writer()
    assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert connection.execute("pragma synchronous").fetchone() == (2,)
    log.close()


@pytest.mark.parametrize("place", ["log.begin", "log.commit"])
def test_a_commit_that_fails_stores_nothing_of_it(log: DeliveryLog, place: str) -> None:
    log.append([arrival(b"before")])
    arm(f"{place}=raise")
    with pytest.raises(Injected):
        log.append([arrival(b"one"), arrival(b"two")])
    assert bodies(log) == [b"before"]
    assert log.append([arrival(b"one")]) == [True]
    assert [d.sequence for d in log.read(0, 10)] == [1, 2]


@pytest.mark.parametrize(("how", "expected"), [("enospc", LogError), ("eio", LogBroken)])
def test_a_disk_that_fails_is_told(file_log: SqliteLog, how: str, expected: type[LogError]) -> None:
    arm(f"log.commit={how}")
    with pytest.raises(LogError) as told:
        file_log.append([arrival()])
    assert type(told.value) is expected
    assert bodies(file_log) == []


def test_a_database_that_refuses_a_commit_stores_nothing(postgres_url: str) -> None:
    log = PostgresLog(postgres_url)
    log.append([arrival(b"before")])
    assert log._connection
    log._connection.execute(
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise exception 'no: %', new.body; end $$"
    )
    log._connection.execute(
        "create constraint trigger at_commit after insert on receiver.deliveries "
        "deferrable initially deferred for each row execute function refuse()"
    )
    with pytest.raises(LogError) as told:
        log.append([arrival(b"CANARY")])
    assert b"CANARY".hex() not in str(told.value)
    assert told.value.__cause__ is None
    assert bodies(log) == [b"before"]
    log.close()


def test_a_full_disk_is_told_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "deliveries.db")
    log.append([arrival(b"before")])
    pages = log._writer().execute("pragma page_count").fetchone()[0]
    log._writer().execute(f"pragma max_page_count = {pages}")
    with pytest.raises(LogError, match="no room") as told:
        log.append([arrival(b"secret" * 10_000)])
    assert not isinstance(told.value, LogBroken)
    assert told.value.__cause__ is None
    log._writer().execute("pragma max_page_count = 1000000")
    assert log.append([arrival(b"secret" * 10_000)]) == [True]
    log.close()


def test_a_log_that_may_only_be_read_is_told(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "deliveries.db")
    log.append([arrival(b"before")])
    log._writer().execute("pragma query_only = on")
    with pytest.raises(LogError, match="READONLY"):
        log.append([arrival(b"after")])
    log.close()


def test_a_damaged_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "deliveries.db").write_bytes(b"no database, but as long as one" * 99)
    with pytest.raises(LogBroken, match="damaged"):
        SqliteLog(tmp_path / "deliveries.db").append([arrival()])


def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.db"
    log = SqliteLog(path)
    log.append([arrival(b"one")])
    for file in tmp_path.iterdir():
        file.rename(file.with_name(f"old-{file.name}"))
    log.append([arrival(b"two")])
    assert bodies(log) == [b"two"]
    assert bodies(SqliteLog(tmp_path / "old-deliveries.db")) == [b"one"]
    log.close()


def _log_of(place: Path | str) -> DeliveryLog:
    return SqliteLog(place) if isinstance(place, Path) else PostgresLog(place)


def _append_many(place: Path | str, name: bytes, commits: int) -> None:
    log = _log_of(place)
    for i in range(commits):
        log.append([arrival(b"%s %d %d" % (name, i, j)) for j in range(3)])
    log.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_two_receivers_on_one_log_lose_nothing_and_a_reader_skips_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "log.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    writers = [
        get_context("fork").Process(target=_append_many, args=(place, name, 60))
        for name in (b"first", b"second")
    ]
    for writer in writers:
        writer.start()
    log, seen = _log_of(place), []
    while any(writer.is_alive() for writer in writers) or log.last_sequence() > len(seen):
        seen += log.read(seen[-1].sequence if seen else 0, 7)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [delivery.sequence for delivery in seen] == list(range(1, 361))
    assert len({delivery.body for delivery in seen}) == 360
    for name in (b"first", b"second"):
        own = [d.body.split()[1:] for d in seen if d.body.startswith(name)]
        assert all(int(a[0]) <= int(b[0]) for a, b in pairwise(own))


def test_a_reader_never_makes_the_writer_wait(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "deliveries.db")
    log.append([arrival(b"one")])
    other = sqlite3.connect(tmp_path / "deliveries.db", isolation_level=None)
    other.execute("begin")
    other.execute("select * from deliveries").fetchall()
    assert log.append([arrival(b"two")]) == [True]
    other.close()
    log.close()


def test_a_record_shows_no_body_where_it_is_printed() -> None:
    shown = repr(replace(arrival(b"CANARY"), headers={}))
    assert "CANARY" not in shown


def test_a_commit_that_is_late_is_not_passed_over(postgres_url: str) -> None:
    """A reader who looks while a commit is open finds its records when it is done."""
    slow, quick = PostgresLog(postgres_url), PostgresLog(postgres_url)
    slow.append([arrival(b"first")])
    inside, go_on = threading.Event(), threading.Event()
    original = postgres_log._count_copies

    def waiting(connection: Any, groups: Any) -> Any:
        if threading.current_thread() is held:
            inside.set()
            go_on.wait(10)
        return original(connection, groups)

    held = threading.Thread(target=slow.append, args=([arrival(b"slow")],))
    other = threading.Thread(target=quick.append, args=([arrival(b"quick")],))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_log, "_count_copies", waiting)
        held.start()
        assert inside.wait(10)
        other.start()
        assert [d.body for d in quick.read(1, 10)] == []
        go_on.set()
        held.join()
        other.join()
    assert [(d.sequence, d.body) for d in quick.read(1, 10)] == [(2, b"slow"), (3, b"quick")]
    slow.close()
    quick.close()


def test_a_database_that_restarts_is_used_again(postgres: Server, postgres_url: str) -> None:
    log = PostgresLog(postgres_url)
    log.append([arrival(b"before")])
    pid = log._connection.info.backend_pid
    postgres.run(f"select pg_terminate_backend({pid})")
    with pytest.raises(LogError, match="can't be used"):
        log.append([arrival(b"after")])
    assert log.append([arrival(b"after")]) == [True]
    assert bodies(log) == [b"before", b"after"]
    log.close()


def test_what_the_url_sets_is_the_users_word(postgres_url: str) -> None:
    log = PostgresLog(f"{postgres_url}?application_name=shop&connect_timeout=9&keepalives_idle=60")
    assert log.append([arrival()]) == [True]
    with log._writing() as connection:
        assert connection.execute("show application_name").fetchone() == ("shop",)
    log.close()


def test_a_server_that_forgets_is_told_not_to(postgres_url: str) -> None:
    log = PostgresLog(postgres_url)
    log.check()
    log._connection.execute("set synchronous_commit = off")
    with log._writing() as connection:
        assert connection.execute("show synchronous_commit").fetchone() == ("on",)
    log.close()


def test_what_a_database_says_does_not_come_through(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    wrong = postgres_url.replace(f":{parts.password}@", ":CANARY@")
    with pytest.raises(LogError, match="password is refused") as told:
        PostgresLog(wrong).check()
    assert told.value.__cause__ is None
    assert "CANARY" not in f"{told.value} {told.value.hint}"
    gone = postgres_url.replace(f":{parts.port}/", ":1/")
    with pytest.raises(LogError, match="OperationalError"):
        PostgresLog(gone).check()
