"""The files between a room and the warehouse, and the memory that it takes to load them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import dlt
import pyarrow.parquet as pq
import pytest
from dlt.common.configuration.utils import get_resolved_traces
from place import Place

from pipelines.failpoint import arm
from pipelines.loading import dlt_context, packages
from pipelines.providers.kapso import PROVIDER
from pipelines.providers.waspy import PROVIDER as WASPY
from pipelines.reading import holding
from pipelines.warehouse import embedded
from pipelines.world import World, make_world

from .conftest import ENDS_AT, Shop

CANARY = "CANARY-text-of-a-customer"


def opened(folder: Path, world: World) -> Shop:
    return Shop(PROVIDER, world, Place(folder))


def a_world(days: int = 3, conversations: int = 4) -> World:
    return make_world(seed=1, ends_at=ENDS_AT, days=days, conversations_per_day=conversations)


def with_long_messages(count: int, characters: int) -> World:
    """More of them than DuckDB takes in one piece, and nothing that can be compressed."""
    made, letters = a_world(12, 40), Random(1)
    messages = tuple(
        replace(message, type="text", text=letters.randbytes(characters // 2).hex())
        for message in made.messages[:count]
    )
    assert len(messages) == count
    return replace(made, messages=messages)


def never(self: object) -> None:
    raise AssertionError("there was too little memory")


def test_dlt_looks_for_settings_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("[load]\ndelete_completed_jobs = false\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOAD__DELETE_COMPLETED_JOBS", "false")
    monkeypatch.setenv("WORKERS", "1000")  # of another program
    dlt_context.settle()
    assert dlt.config["load.delete_completed_jobs"] is True
    assert dlt.config.get("workers") is None


def test_dlt_keeps_no_trace_of_its_steps(tmp_path: Path) -> None:
    # It held a schema for every step of a sync, and quoted rows in what went wrong.
    shop = opened(tmp_path, a_world())
    assert shop.sync().is_ok
    assert not [*tmp_path.rglob("trace.pickle")]
    assert get_resolved_traces().all_traces == []


def test_what_moved_is_found_in_little_memory_also_before_anything_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path).ready()
    place.run("create table raw_waspy._dlt_loads as select 'done' as load_id, 0 as status")
    place.run(
        "insert into raw_waspy.conversations (account, id, last_message_at) "
        "select 'a', md5(i::varchar), i::varchar from range(60000) as r(i)"
    )
    place.run("insert into raw_waspy.message_cursors (account, id) values ('a', 'one')")
    tables = {table.name: table for table in WASPY.tables}
    monkeypatch.setattr(embedded, "SYNC_MEMORY", "8MB")
    monkeypatch.setattr(embedded, "ROWS_TO_JOIN", 5_000)
    monkeypatch.setattr(embedded.DuckDBWarehouse, "more_memory", never)
    with place.warehouse.stored(WASPY, "a") as here:
        found, others = here.moved(
            tables["conversations"],
            ("last_message_at", "last_message_preview"),
            cursors=tables["message_cursors"],
            mark="conversation_mark",
            most=10_000,
        )
    assert (len(found), others) == (10_000, 50_000)


def test_files_are_in_groups_that_little_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DuckDB takes a column of a group in one piece: a group of 20,000 long messages did not fit.
    groups: list[int] = []

    def look(place: str) -> None:
        if place == "load.normalized":
            for file in tmp_path.rglob("*.parquet"):
                found = pq.ParquetFile(file).metadata
                groups.extend(found.row_group(i).num_rows for i in range(found.num_row_groups))

    monkeypatch.setitem(dlt_context.SETTINGS["data_writer"], "row_group_size", 7)
    monkeypatch.setattr(packages, "failpoint", look)
    world = a_world()
    assert opened(tmp_path, world).sync().is_ok
    assert sum(groups) >= len(world.messages)
    assert max(groups) <= 7


def test_what_is_loaded_does_not_stay_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # dlt lets the log grow to 1 GB, and what is in it stays in memory: a first sync of half a
    # million messages ended with DuckDB's error that there is no more.
    logs: list[int] = []

    def look(place: str) -> None:
        if place == "load.loaded":
            logs.append(sum(log.stat().st_size for log in tmp_path.rglob("warehouse.duckdb.wal")))

    monkeypatch.setattr(embedded, "CHECKPOINT", "64KB")
    monkeypatch.setattr(packages, "failpoint", look)
    assert opened(tmp_path, a_world()).sync().is_ok
    assert logs
    assert max(logs) < 64_000


def test_long_rows_are_loaded_in_small_chunks_with_the_memory_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = with_long_messages(2_200, 6_000)
    monkeypatch.setattr(embedded, "SYNC_MEMORY", "12MB")
    monkeypatch.setattr(holding, "CHUNK_SIZE", 10_000_000)
    loads: list[str] = []
    monkeypatch.setattr(packages, "failpoint", loads.append)
    shop = opened(tmp_path, world)
    assert shop.sync().is_ok
    rows = shop.rows("messages").values()
    assert len(rows) == len(world.messages) == 2_200
    texts = [row["text"] for row in rows if row["text"]]  # a template has its own column
    assert len(texts) > 2_000
    assert min(map(len, texts)) > 6_000
    assert loads.count("load.loaded") >= 2
    assert not [*tmp_path.rglob("needs_memory")]


def test_a_sync_that_has_too_little_memory_says_so_and_the_next_one_has_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = with_long_messages(2_200, 6_000)
    monkeypatch.setattr(embedded, "SYNC_MEMORY", "12MB")
    monkeypatch.setattr(holding, "LONG_ROW", 1_000_000)  # they come as a surprise
    shop = opened(tmp_path, world)
    assert "needs more memory" in str(shop.sync().error)
    assert [*tmp_path.rglob("needs_memory")]
    assert shop.sync().is_ok
    assert len(shop.rows("messages")) == 2_200


def test_what_dlt_says_of_a_failed_load_is_not_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # A database quotes the value that it could not store, and dlt would print that.
    made = a_world()
    messages = tuple(replace(m, type="text", text=CANARY) for m in made.messages)
    shop = opened(tmp_path, replace(made, messages=messages))
    shop.warehouse.ensure_raw_tables([PROVIDER])
    with shop.warehouse.connect() as connection:
        connection.execute("alter table raw_kapso.messages alter kapso_content type integer")
    report = shop.sync()
    assert not report.is_ok
    assert "ConversionException" in str(report.error)
    told = "".join(capfd.readouterr()) + caplog.text + str(report)
    assert CANARY not in told


def test_what_a_machine_left_behind_is_not_loaded_over_what_another_read_since(
    tmp_path: Path,
) -> None:
    world, dlt_folder = a_world(12, 40), tmp_path / "shop" / "dlt"
    first, *others = world.contacts  # on the last page of the list: only a refresh looks there
    assert len(others) > 200
    shop = opened(tmp_path / "shop", world)
    assert shop.sync().is_ok

    def sync_named(name: str, days: int) -> bool:
        shop.world = replace(world, contacts=(replace(first, name=name), *others))
        # later than the clock that dlt names its packages by
        return shop.sync(after=timedelta(days=days)).is_ok

    arm("load.extracted=raise")
    assert not sync_named("Older", 10_000)
    arm("")
    left = shutil.move(dlt_folder, tmp_path / "left")
    assert sync_named("Newer", 10_002)
    shutil.rmtree(dlt_folder, ignore_errors=True)
    shutil.move(left, dlt_folder)
    assert shop.sync(after=timedelta(days=10_002, minutes=1)).is_ok
    names = {row["profile_name"] for row in shop.rows("contacts").values()}
    assert "Newer" in names
    assert "Older" not in names
    assert not [*dlt_folder.rglob("*.parquet")]
