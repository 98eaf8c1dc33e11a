"""What dlt can't load never blocks a later run (LOAD-03, LOAD-04, LOAD-05, CUR-01, CUR-05)."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from fault_bench import NOTHING, Bench, Difference, copied, on_both_cores, warehouse

from pipelines.errors import DiskFull
from pipelines.failpoint import arm
from pipelines.providers import find

from .conftest import Figures

HOW = {"cut in half": lambda content: content[: len(content) // 2], "emptied": lambda content: b""}
OF_ROWS = (".parquet", ".gz")
"""How dlt's files of rows end; on their way to PostgreSQL they become zipped CSV."""

ON_THE_WAY = ("load.extracted", "load.normalized", "sync.written")
"""Where a run was killed: its package is extracted, normalized, loaded."""


@pytest.fixture(scope="session")
def left(
    simulators: Bench, template: Path, expected: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Warehouses as killed runs left them."""
    folders = {}
    for place in ON_THE_WAY:
        folders[place] = copied(template, tmp_path_factory.mktemp("left") / "shop")
        assert simulators.run(folders[place], f"{place}=kill") == -9
    return folders


def files(folder: Path) -> list[Path]:
    found = sorted(path.relative_to(folder) for path in folder.glob("dlt/pipelines/**/*"))
    return [path for path in found if (folder / path).is_file()]


def spoil(folder: Path, name: Path, how: str) -> None:
    path = folder / name
    path.write_bytes(HOW[how](path.read_bytes()))


def packages(folder: Path) -> list[Path]:
    names = [path for path in files(folder) if path.suffix in OF_ROWS]
    assert names
    return names


@pytest.mark.parametrize(
    "place", [pytest.param("load.extracted", marks=pytest.mark.matrix), "load.normalized"]
)
def test_a_package_that_cannot_be_loaded_is_set_aside_and_the_same_run_reads_on(
    simulators: Bench, left: dict[str, Path], expected: Any, tmp_path: Path, place: str
) -> None:
    folder = copied(left[place], tmp_path / "shop")
    for name in packages(folder):
        spoil(folder, name, "cut in half")
    assert simulators.run(folder) == 0
    assert "set aside" in (folder / "report.json").read_text()  # exit 1 for the user: it is told
    assert Difference.between(folder, expected) == NOTHING
    (aside,) = (folder / "dlt" / "set_aside").iterdir()
    assert [path for path in aside.rglob("*") if path.suffix in OF_ROWS]
    assert stat.S_IMODE(aside.parent.stat().st_mode) == 0o700
    assert simulators.run(folder) == 0
    assert (folder / "report.json").read_text() == "[]"


@pytest.mark.matrix
@pytest.mark.parametrize("spec", ["load.set_aside=kill", "load.moved=kill"])
def test_a_run_killed_while_it_sets_something_aside_is_whole_after_the_next(
    simulators: Bench,
    left: dict[str, Path],
    expected: Any,
    tmp_path: Path,
    figures: Figures,
    spec: str,
) -> None:
    folder = copied(left["load.normalized"], tmp_path / "shop")
    for name in packages(folder):
        spoil(folder, name, "cut in half")
    assert simulators.run(folder, spec) == -9
    assert simulators.run(folder) == 0
    found = Difference.between(folder, expected)
    figures.add("load", "kill -9 while a bad package is set aside", found)
    assert found == NOTHING


def test_torn_working_files_are_set_aside_together(
    simulators: Bench, left: dict[str, Path], expected: Any, tmp_path: Path
) -> None:
    folder = copied(left["sync.written"], tmp_path / "shop")
    for name in files(folder):
        spoil(folder, name, "cut in half")
    assert simulators.run(folder) == 0
    assert Difference.between(folder, expected) == NOTHING


@pytest.mark.parametrize("place", [None, *ON_THE_WAY])
def test_a_warehouse_of_before_is_made_whole_beside_the_working_files_of_now(
    simulators: Bench,
    template: Path,
    undisturbed: Path,
    left: dict[str, Path],
    expected: Any,
    tmp_path: Path,
    place: str | None,
) -> None:
    folder = copied(template, tmp_path / "shop")
    shutil.rmtree(folder / "dlt")
    shutil.copytree((left[place] if place else undisturbed) / "dlt", folder / "dlt")
    assert simulators.run(folder) == 0
    assert (folder / "report.json").read_text() == "[]"
    assert Difference.between(folder, expected) == NOTHING


@pytest.mark.matrix
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("place", ON_THE_WAY)
def test_every_working_file_torn_alone(
    simulators: Bench,
    left: dict[str, Path],
    expected: Any,
    tmp_path: Path,
    figures: Figures,
    place: str,
    how: str,
) -> None:
    def case(name: Path) -> Difference:
        folder = copied(left[place], tmp_path / str(name).replace("/", "-"))
        spoil(folder, name, how)
        assert simulators.run(folder) == 0, name
        return Difference.between(folder, expected)

    names = files(left[place])
    costs = dict(zip(names, on_both_cores(case, names), strict=True))
    for found in costs.values():
        figures.add("load", f"a working file of dlt's {how}", found)
    assert {name: found for name, found in costs.items() if found != NOTHING} == {}


FULL = (
    "load.extract",
    "pull.yielded",
    "load.normalize",
    "load.normalized",
    "load.loaded",
    "sync.positions",
    "sync.position",
)


@pytest.mark.parametrize("place", ["pull.yielded", "load.normalized", "sync.positions"])
def test_a_full_disk_is_told_and_the_next_run_is_whole(
    simulators: Bench, template: Path, expected: Any, tmp_path: Path, place: str
) -> None:
    assert _fill(simulators, template, tmp_path, place, expected) == NOTHING


@pytest.mark.matrix
@pytest.mark.parametrize("place", FULL)
def test_a_full_disk_at_every_place(
    simulators: Bench, template: Path, expected: Any, tmp_path: Path, figures: Figures, place: str
) -> None:
    found = _fill(simulators, template, tmp_path, place, expected)
    figures.add("load", "no room on the disk", found)
    assert found == NOTHING


def _fill(
    simulators: Bench, template: Path, tmp_path: Path, place: str, expected: Any
) -> Difference:
    folder = copied(template, tmp_path / "shop")
    assert simulators.run(folder, f"{place}=enospc") == 1
    assert "no room left" in (folder / "report.json").read_text()
    assert not (folder / "dlt" / "set_aside").exists()
    assert simulators.run(folder) == 0
    return Difference.between(folder, expected)


def test_a_snapshot_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    place = warehouse(tmp_path)
    place.ensure_raw_tables(find())
    old = place.publish()
    arm("publish.copy=enospc")
    try:
        with pytest.raises(DiskFull):
            place.publish()
    finally:
        arm("")
    assert place.snapshot() == old
    assert not list(place.published.glob("*.part"))
