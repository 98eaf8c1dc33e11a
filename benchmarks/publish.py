"""Measure a publication: a writer's file of so many gigabytes becomes what readers see.

    python -m benchmarks.publish [--gigabytes 1 4]

The second is measured, which writes the file as a whole, and the three that follow, which write
what differs from the one before the last. Beside them, what the disk takes to copy and flush as
many bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import duckdb

from benchmarks.report import Figure, Run, tell
from pipelines.warehouse import at

ROWS_OF_A_MEGABYTE = 10_000
"""Of random text, which DuckDB does not make smaller."""


def make(path: Path, gigabytes: float) -> None:
    """A table of so many gigabytes."""
    with duckdb.connect(str(path)) as db:
        db.execute("create schema marts")
        db.execute(
            "create table marts.filler as "
            "select i, md5(random()::text) || md5(random()::text) || md5(random()::text) as t "
            "from range($1) as r(i)",
            [int(gigabytes * 1000 * ROWS_OF_A_MEGABYTE)],
        )


def copied(path: Path) -> float:
    """Seconds to copy a file and flush it, and no more."""
    target = path.with_suffix(".copy")
    began = time.perf_counter()
    shutil.copyfile(path, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    took = time.perf_counter() - began
    target.unlink()
    return took


def replace_some(path: Path) -> None:
    """Other rows in the place of 500 all over the table, as a build leaves them."""
    with duckdb.connect(str(path)) as db:
        db.execute(
            "create temp table chosen as from marts.filler using sample 500 rows (reservoir)"
        )
        db.execute("delete from marts.filler where i in (select i from chosen)")
        db.execute("insert into marts.filler select i, md5(t) from chosen")


def figures(gigabytes: float, folder: Path) -> Iterator[Figure]:
    path = folder / "warehouse.duckdb"
    make(path, gigabytes)
    warehouse = at(path, folder)
    size = path.stat().st_size / 1e9
    took = []  # the first one finds memory that nobody used yet
    for _ in range(5):
        began = time.perf_counter()
        warehouse.publish()
        took.append(time.perf_counter() - began)
        replace_some(path)
    note = f"a bare copy and flush: {copied(path):.2f} s"
    yield Figure(f"{size:.1f} GB, as a whole", took[1], "s", note=note)
    yield Figure(f"{size:.1f} GB, 500 rows replaced", median(took[2:]), "s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", nargs="+", type=float, default=[1.0, 4.0])
    parser.add_argument("--folder", type=Path, help="where the files go; default: a new one")
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    found: list[Figure] = []
    for gigabytes in given.gigabytes:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            found += figures(gigabytes, Path(folder))
    sizes = " ".join(f"{gigabytes:g}" for gigabytes in given.gigabytes)
    command = f"python -m benchmarks.publish --gigabytes {sizes}"
    tell(Run("Publish", command, found), is_kept=given.keep)


if __name__ == "__main__":
    main()
