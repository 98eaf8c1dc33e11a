"""The files between a room and the warehouse."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dlt
import pyarrow.parquet as pq
import pytest

from pipelines import run as steps
from pipelines.loading import dlt_context, packages
from pipelines.providers import find
from pipelines.settings import load
from pipelines.simulation import serve
from pipelines.warehouse import open_warehouse
from pipelines.world import make_world

ENDS_AT = datetime(2026, 3, 20, 21, tzinfo=UTC)


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


def test_files_are_in_groups_that_little_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DuckDB takes a column of a group in one piece: a group of 20,000 long messages did not fit.
    groups: list[int] = []

    def look(place: str) -> None:
        if place == "load.normalized":
            for file in (tmp_path / "data").rglob("*.parquet"):
                found = pq.ParquetFile(file).metadata
                groups.extend(found.row_group(i).num_rows for i in range(found.num_row_groups))

    monkeypatch.setitem(dlt_context.SETTINGS["data_writer"], "row_group_size", 7)
    monkeypatch.setattr(packages, "failpoint", look)
    room = find()[0]
    world = make_world(seed=1, ends_at=ENDS_AT, days=3, conversations_per_day=4)
    with serve(room.simulate(world, api_key="key")) as url:
        (tmp_path / "doblecheck.toml").write_text(
            f'[[accounts]]\nprovider = "{room.name}"\napi_key = "key"\nbase_url = "{url}"\n'
        )
        settings = load(tmp_path / "doblecheck.toml", find())
        warehouse = open_warehouse(settings)
        with warehouse.lock():
            (report,) = steps.sync(warehouse, find(), steps.targets(settings, find()))
    assert report.is_ok
    assert sum(groups) >= len(world.messages)
    assert max(groups) <= 7
