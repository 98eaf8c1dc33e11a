"""Snapshots: they stay as they are, and who reads them can do nothing else."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import duckdb
import pytest
from warehouse_stage import HELD, fill, new_warehouse, read

from pipelines.errors import DiskFull, NotPublished
from pipelines.warehouse import embedded_snapshots
from pipelines.warehouse.embedded import DuckDBWarehouse as Embedded
from pipelines.warehouse.embedded_snapshots import Snapshots


@pytest.fixture
def warehouse(tmp_path: Path) -> Embedded:
    return new_warehouse(tmp_path)


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
