"""The warehouse: one writer, snapshots that stay as they are, readers that only read."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import duckdb
import pytest

from pipelines.errors import DiskFull, NotPublished, WarehouseBusy, WarehouseError
from pipelines.events import webhook_tables
from pipelines.providers import find
from pipelines.warehouse import Connection, SyncState, embedded, embedded_snapshots
from pipelines.warehouse.embedded import DuckDBWarehouse as Embedded
from pipelines.warehouse.embedded_snapshots import Snapshots


@pytest.fixture
def warehouse(tmp_path: Path) -> Embedded:
    return Embedded(tmp_path / "its data" / "warehouse.duckdb", tmp_path / "its data")


HELD = "select v from t where text = md5((v + i)::text) group by v having count(*) = 50000"
"""Tells the value of a table that is whole; it has more than is read when a file is opened."""


def fill(warehouse: Embedded, value: int) -> Path:
    with warehouse.connect() as connection:
        connection.execute(
            f"create or replace table t as select {value} as v, i, "
            f"md5(({value} + i)::text) as text from range(50000) as r (i)"
        )
    return warehouse.publish()


def read(warehouse: Embedded) -> int:
    with warehouse.reader() as connection:
        ((value,),) = connection.execute(HELD).fetchall()
    return int(value)


def test_a_second_run_is_told_that_the_warehouse_is_held(warehouse: Embedded) -> None:
    with warehouse.lock(), pytest.raises(WarehouseBusy), warehouse.lock():
        pass
    with warehouse.lock():
        pass


def test_a_run_waits_for_whoever_only_looks_and_is_not_kept_out_by_it(
    warehouse: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(warehouse, 1)
    with warehouse.watch() as one, warehouse.watch() as other:
        assert one.connection is not None
        assert other.connection is not None
        assert not one.is_running
        # it goes on when they have ended
        started = threading.Thread(target=fill_while_holding, args=(warehouse, 2))
        started.start()
        started.join(0.2)
        assert started.is_alive()
    started.join()
    assert read(warehouse) == 2
    monkeypatch.setattr(embedded, "LOOKERS_SECONDS", 0.1)
    with warehouse.watch(), pytest.raises(WarehouseBusy), warehouse.lock():
        pass
    with warehouse.lock(), warehouse.watch() as seen:
        assert seen.is_running


def fill_while_holding(warehouse: Embedded, value: int) -> None:
    with warehouse.lock():
        fill(warehouse, value)


def test_readers_see_the_newest_snapshot_and_an_open_one_stays_as_it_was(
    warehouse: Embedded,
) -> None:
    fill(warehouse, 1)
    with warehouse.reader() as old:
        fill(warehouse, 2)
        assert old.execute(HELD).fetchall() == [(1,)]
        assert read(warehouse) == 2
    assert warehouse.link.is_symlink()


def test_a_snapshot_that_is_open_stays_as_it_was_however_many_follow(warehouse: Embedded) -> None:
    fill(warehouse, 1)
    elsewhere = (
        "import duckdb, sys; db = duckdb.connect(sys.argv[1], read_only=True); print(flush=True)"
    )
    elsewhere += "; sys.stdin.read(); print(db.execute(sys.argv[2]).fetchall())"
    with subprocess.Popen(
        [sys.executable, "-c", elsewhere, str(warehouse.snapshot()), HELD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout
        other.stdout.readline()  # it has the first one open
        fill(warehouse, 2)
        with warehouse.reader() as here:  # and this process the second
            for value in range(3, 6):
                fill(warehouse, value)
            assert here.execute(HELD).fetchall() == [(2,)]
        assert other.communicate()[0] == "[(1,)]\n"
    assert read(warehouse) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell who reads a file")
def test_a_new_snapshot_is_written_over_the_oldest_where_it_differs(tmp_path: Path) -> None:
    """Contents of any kind, which grow, shrink and change at their ends and in between."""
    snapshots = Snapshots(tmp_path)
    snapshots.folder.mkdir()
    made = random.Random(1)
    content, newest, places = made.randbytes(1_000_000), Path(), []
    for _ in range(12):
        file = tmp_path / "file"
        file.write_bytes(content)
        before, newest = newest, snapshots.add(file)
        snapshots.forget_but(newest, before)
        assert newest.read_bytes() == content
        places.append(newest.stat().st_ino)
        changed, at = bytearray(content), made.randrange(len(content))
        changed[at : at + 1000] = made.randbytes(1000)
        end = made.randrange(500_000, 1_500_000)
        content = bytes(changed[:end]) + made.randbytes(max(0, end - len(changed)))
    assert places[2:] == places[:-2]


def test_a_snapshot_that_a_backup_shares_is_not_written_over(warehouse: Embedded) -> None:
    backup = warehouse.data_dir / "backup.duckdb"
    backup.hardlink_to(fill(warehouse, 1))
    before = backup.read_bytes()
    for value in range(2, 5):
        fill(warehouse, value)
    assert backup.read_bytes() == before


def test_a_snapshot_is_whole_where_nobody_can_tell_who_reads_a_file(
    warehouse: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(fcntl, "F_SETLEASE")
    for value in range(4):
        assert fill(warehouse, value).read_bytes() == warehouse.path.read_bytes()
    assert read(warehouse) == 3


def test_a_snapshot_shares_the_blocks_of_the_file_where_it_can(
    warehouse: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file system does that can, done by hand: this one may not be able to."""

    def shares(target: IO[bytes], request: int, source: int) -> int:
        assert request == 0x40049409  # FICLONE, of linux/fs.h
        target.write(os.pread(source, os.fstat(source).st_size, 0))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", shares)
    monkeypatch.delattr(shutil, "copyfile")
    for value in range(4):
        assert fill(warehouse, value).read_bytes() == warehouse.path.read_bytes()


@pytest.mark.parametrize("publications", [1, 2, 3])
def test_a_disk_without_room_for_a_snapshot_is_told(
    warehouse: Embedded, monkeypatch: pytest.MonkeyPatch, publications: int
) -> None:
    for value in range(publications):
        fill(warehouse, value)

    def is_full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", is_full)
    monkeypatch.setattr(embedded_snapshots, "_write_what_differs", is_full)
    with pytest.raises(DiskFull):
        fill(warehouse, 9)
    assert read(warehouse) == publications - 1
    assert not list(warehouse.published.glob("*.part"))
    monkeypatch.undo()
    fill(warehouse, 10)
    assert read(warehouse) == 10


def test_the_last_two_snapshots_are_kept(warehouse: Embedded) -> None:
    made = [fill(warehouse, i) for i in range(4)]
    assert sorted(warehouse.published.iterdir()) == made[-2:]


def test_the_last_two_are_kept_in_a_folder_that_has_two_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    other = tmp_path / "other"
    other.symlink_to(tmp_path / "real")
    warehouse = Embedded(other / "warehouse.duckdb", other)
    made = [fill(warehouse, value).name for value in range(3)]
    assert sorted(path.name for path in warehouse.published.iterdir()) == made[-2:]


def test_a_snapshot_nobody_was_pointed_to_takes_no_place_of_one_that_is_read(
    warehouse: Embedded,
) -> None:
    """A reader looks where the link points, and opens that a moment later."""
    read_by_somebody = fill(warehouse, 1)
    killed = warehouse.published / "analytics-99990101T000000000000.duckdb"
    killed.write_bytes(read_by_somebody.read_bytes())
    newest = fill(warehouse, 2)
    assert sorted(warehouse.published.iterdir()) == [read_by_somebody, newest]


def test_without_a_snapshot_a_reader_is_told_what_to_run(warehouse: Embedded) -> None:
    with pytest.raises(NotPublished) as caught, warehouse.reader():
        pass
    assert "doblecheck run" in caught.value.hint


def test_reading_while_publishing_never_fails_and_never_goes_back(
    warehouse: Embedded,
) -> None:
    fill(warehouse, 0)
    seen: list[int] = []
    done = threading.Event()

    def loop() -> None:
        while not done.is_set():
            seen.append(read(warehouse))

    reader = threading.Thread(target=loop)
    reader.start()
    for i in range(1, 15):
        fill(warehouse, i)
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert len(seen) > 1


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "copy (select 1) to '/tmp/doblecheck-should-not-exist.csv'",
        "attach '/tmp/doblecheck-should-not-exist.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "reset lock_configuration",
        "create table x as select 1",
        "delete from t",
    ],
)
def test_a_reader_can_do_nothing_but_read_the_snapshot(warehouse: Embedded, sql: str) -> None:
    fill(warehouse, 1)
    with warehouse.reader() as connection, pytest.raises(duckdb.Error):
        connection.execute(sql).fetchall()
    assert read(warehouse) == 1


def test_two_readers_of_one_process_are_both_locked_in(warehouse: Embedded) -> None:
    fill(warehouse, 1)
    with warehouse.reader() as first, warehouse.reader() as second:
        for reader in (first, second):
            assert reader.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]
            with pytest.raises(duckdb.Error):
                reader.execute("select * from read_text('/etc/passwd')")


def test_a_damaged_log_of_changes_is_told_with_what_to_do(warehouse: Embedded) -> None:
    fill(warehouse, 1)
    log = Path(f"{warehouse.path}.wal")
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); "
        "c.execute('create table u as select range as v from range(9999)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, warehouse.path], check=True)
    content = bytearray(log.read_bytes())
    middle = len(content) // 2  # near an entry's start it would read as a torn end, and pass
    content[middle : middle + 60] = b"\xff" * 60
    log.write_bytes(content)
    with pytest.raises(WarehouseError, match="log of the last changes is damaged") as caught:
        warehouse.publish()
    command, _, _ = caught.value.hint.partition("  then")
    subprocess.run(command, shell=True, check=True)
    assert Path(f"{log}.damaged").read_bytes() == content
    assert read(warehouse) == 1
    warehouse.publish()


def test_times_read_back_are_utc(warehouse: Embedded) -> None:
    fill(warehouse, 1)
    with warehouse.reader() as connection:
        assert connection.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_sync_states_are_kept_and_a_failure_does_not_touch_the_last_success(
    warehouse: Embedded,
) -> None:
    room = find()[0]
    warehouse.ensure_raw_tables(find())
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    good = SyncState("a", "messages", {"gaps": []}, True, first, first)
    bad = SyncState("a", "messages", {"gaps": [["c", None]]}, False, None, None, "it failed")
    later = SyncState("a", "messages", {}, True, second, second)
    warehouse.save_sync_states(room, [good])
    warehouse.save_sync_states(room, [bad])
    (state,) = warehouse.sync_states(room, "a")
    assert (state.last_synced_at, state.last_error) == (first, "it failed")
    assert state.position == {"gaps": [["c", None]]}
    warehouse.save_sync_states(room, [later])
    (state,) = warehouse.sync_states(room, "a")
    assert (state.first_synced_at, state.last_synced_at) == (first, second)
    assert state.last_error is None


MANY = """
    insert into raw_waspy.conversations by name
    select 'a' as account, md5(i::text) as id, i::text as last_message_at
    from range(40000) rows (i);

    create table raw_waspy._dlt_loads as select '1' as load_id, 0 as status;

    insert into raw_waspy.message_cursors by name
    select account, id, md5(last_message_at) as conversation_mark, '1' as _dlt_load_id
    from raw_waspy.conversations where last_message_at::int < 30000;
"""


def test_a_query_that_little_memory_is_not_enough_for_gets_more_and_gives_it_back(
    warehouse: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DuckDB's join works on disk where its table does not fit, or fails: two million messages
    # of 170,000 conversations were too many for it.
    monkeypatch.setattr(embedded, "SYNC_MEMORY", "8MB")
    room = next(room for room in find() if room.name == "waspy")
    tables = {table.name: table for table in room.tables}
    what = tables["conversations"], ("last_message_at",)
    marks: Any = {"cursors": tables["message_cursors"], "mark": "conversation_mark"}
    warehouse.ensure_raw_tables([room])
    with warehouse.side_by_side():
        with warehouse.connect() as connection:
            connection.execute(MANY)
        with warehouse.stored(room, "a") as stored:
            with monkeypatch.context() as patch:
                patch.setattr(warehouse, "more_memory", nullcontext)
                with pytest.raises(duckdb.OutOfMemoryException):
                    stored.moved(*what, **marks, most=5000)
            rows, more = stored.moved(*what, **marks, most=5000)
            assert (len(rows), more) == (5000, 5000)
            with warehouse.connect() as connection:
                limit = connection.execute("select current_setting('memory_limit')").fetchone()
            assert limit == ("7.6 MiB",)


def test_while_models_are_built_every_connection_works_as_they_want_it(
    warehouse: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_build_memory", lambda: "3GB")
    names = ("preserve_insertion_order", "memory_limit")

    def settings() -> list[Any]:
        with duckdb.connect(str(warehouse.path)) as mine, mine.cursor() as cursor:
            told = ", ".join(f"current_setting('{name}')" for name in names)
            return list(cursor.execute(f"select {told}").fetchone() or ())

    warehouse.make_folders()
    with warehouse.building():
        assert settings() == [False, "2.7 GiB"]
    assert settings() != [False, "2.7 GiB"]
    assert warehouse.dbt_output()["settings"] == {"TimeZone": "UTC"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block"), True),
        (
            duckdb.TransactionException("Failed to commit: failed to pin block of size 256 KiB"),
            True,
        ),
        (duckdb.FatalException("checkpoint: Corrupted in-memory column - column 0"), True),
        (duckdb.FatalException("Failed to create checkpoint: Input/output error"), False),
        (ValueError("Out of Memory Error"), False),
    ],
)
def test_want_of_memory_is_told_from_other_failures(
    warehouse: Embedded, error: Exception, expected: bool
) -> None:
    assert warehouse.lacked_memory(error) is expected


def test_a_column_that_a_newer_version_knows_is_added(warehouse: Embedded) -> None:
    room = find()[0]
    with warehouse.connect() as connection:
        connection.execute(f"create schema {room.schema}")
        connection.execute(f"create table {room.schema}.messages (account text, id text)")
    warehouse.ensure_raw_tables(find())
    with warehouse.connect() as connection:
        connection.execute(f"select payload, row_hash, fetched_at from {room.schema}.messages")


def test_every_raw_table_of_every_room_is_there(warehouse: Embedded) -> None:
    warehouse.ensure_raw_tables(find())
    with warehouse.connect() as connection:
        sql = "select table_schema, table_name from information_schema.tables"
        there = set(connection.execute(sql).fetchall())
    names = {(room.schema, table.name) for room in find() for table in room.tables}
    shared = {(r.schema, n) for r in find() for n in ("rejected", "gone", "sync_state")}
    of_hooks = {(webhook_tables.SCHEMA, table) for table in webhook_tables.COLUMNS}
    assert there == names | shared | of_hooks | {("erasure", "people")}


def test_folders_are_for_their_owner_only(warehouse: Embedded) -> None:
    fill(warehouse, 1)
    assert stat.S_IMODE(warehouse.published.stat().st_mode) == 0o700


def test_a_full_build_takes_the_place_of_the_last_one(warehouse: Embedded) -> None:
    with warehouse.connect() as connection:
        warehouse.prepare_build(connection)
        connection.execute(
            """
            create table raw as select 1 as id;
            create table intermediate.touched (kind text, key text);
            create table marts.large as select hash(i) as number from range(1_000_000) as rows (i);
            create view staging.seen as select * from marts.large;
            checkpoint
            """
        )
        before = free_blocks(connection)
        warehouse.forget_models(connection, kept=["touched"])
        left = connection.execute("select table_name from information_schema.tables").fetchall()
        assert sorted(left) == [("raw",), ("touched",)]
        assert free_blocks(connection) > before + 10


def free_blocks(connection: Connection) -> int:
    row = connection.execute("select free_blocks from pragma_database_size()").fetchone()
    assert row is not None
    return int(row[0])
