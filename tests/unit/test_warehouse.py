"""The warehouse: one writer, who else may look, and what it remembers."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from warehouse_stage import fill, new_warehouse, read

from pipelines.errors import WarehouseBusy, WarehouseError
from pipelines.events import webhook_tables
from pipelines.providers import find
from pipelines.warehouse import Connection, SyncState, embedded
from pipelines.warehouse.embedded import DuckDBWarehouse as Embedded


@pytest.fixture
def warehouse(tmp_path: Path) -> Embedded:
    return new_warehouse(tmp_path)


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
        (duckdb.FatalException("flush table: could not allocate block of size 4.0 KiB"), True),
        (duckdb.FatalException("checkpoint: failed to allocate data of size 1.5 MiB"), True),
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
