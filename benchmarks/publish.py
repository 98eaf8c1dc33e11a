"""Measure a publication: a writer's file of so many gigabytes becomes what readers see.

    python -m benchmarks.publish [--gigabytes 1 4]

Beside it, what the disk takes to copy and flush as many bytes: the floor under it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

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


def figures(gigabytes: float, folder: Path) -> Iterator[Figure]:
    path = folder / "warehouse.duckdb"
    make(path, gigabytes)
    warehouse = at(path, folder)
    warehouse.publish()  # the first one makes folders and the link
    size = path.stat().st_size / 1e9
    floor = copied(path)
    began = time.perf_counter()
    warehouse.publish()
    took = time.perf_counter() - began
    note = f"{took:.2f} s for {size:.2f} GB; a bare copy and flush: {floor / size:.2f} s/GB"
    yield Figure(f"{gigabytes:g} GB", took / size, "s/GB", note=note)


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
