"""A run killed anywhere: the next one makes everything whole (EXT-01, CUR-03, CUR-04, LOAD-01,
LOAD-02, PUB-01)."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_bench import (
    DLT_PLACES,
    Bench,
    Difference,
    build,
    copied,
    in_process,
    publish,
    warehouse,
)

from pipelines.failpoint import NAMES

from .conftest import Figures

OF_A_BAD_PACKAGE = {"load.set_aside", "load.moved"}
"""Reached only with a package that can't be loaded."""

OF_A_SYNC = tuple(
    name
    for name in NAMES
    if name.startswith(("sync.", "load.", "transport.", "pull.")) and name not in OF_A_BAD_PACKAGE
)
OFTEN = ("transport.ask", "transport.answered", "pull.page", "pull.taken", "pull.read")
SPECS = (
    *(f"{name}=kill" for name in OF_A_SYNC),
    *(f"{name}:{count}=kill" for name in OFTEN for count in (3, 7)),
    *(f"{name}:2=kill" for name in OF_A_SYNC if name.startswith("load.") and name != "load.open"),
    "sync.position:4=kill",
)
REPRESENTATIVE = (
    "pull.page:3=kill",
    "load.extracted=kill",
    "sync.position:2=kill",
)


@pytest.fixture
def killed(simulators: Bench, template: Path, expected: Any, tmp_path: Path) -> Any:
    def case(spec: str, *, loses: bool) -> Difference:
        folder = copied(template, tmp_path / "shop")
        assert simulators.run(folder, spec) == -9, f"{spec} was not reached"
        if loses:
            shutil.rmtree(folder / "dlt", ignore_errors=True)
        assert simulators.run(folder) == 0, (folder / "report.json").read_text()
        return Difference.between(folder, expected)

    return case


@pytest.mark.parametrize("spec", REPRESENTATIVE)
def test_a_killed_sync_is_whole_after_the_next(killed: Any, spec: str) -> None:
    assert killed(spec, loses=False) == Difference(0, 0)


def test_a_killed_sync_whose_working_files_are_lost_is_whole_after_the_next(killed: Any) -> None:
    assert killed("load.loaded=kill", loses=True) == Difference(0, 0)


@pytest.mark.matrix
@pytest.mark.parametrize("loses", [False, True], ids=["keep", "lose"])
@pytest.mark.parametrize("spec", SPECS)
def test_killed_at_every_place_of_ours(
    killed: Any, figures: Figures, spec: str, loses: bool
) -> None:
    found = killed(spec, loses=loses)
    kept = "lost" if loses else "kept"
    stage = {"load": "load", "sync": "positions"}.get(spec.partition(".")[0], "extract")
    figures.add(stage, f"kill -9 at a named place, dlt's working files {kept}", found)
    assert found == Difference(0, 0)


@pytest.mark.matrix
@pytest.mark.parametrize("loses", [False, True], ids=["keep", "lose"])
@pytest.mark.parametrize("spec", DLT_PLACES)
def test_killed_at_places_inside_dlt(killed: Any, figures: Figures, spec: str, loses: bool) -> None:
    found = killed(spec, loses=loses)
    kept = "lost" if loses else "kept"
    figures.add("load", f"kill -9 inside dlt, its working files {kept}", found)
    assert found == Difference(0, 0)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("publish.")])
def test_readers_see_a_whole_snapshot_wherever_a_publication_is_killed(
    tmp_path: Path, figures: Figures, name: str
) -> None:
    assert in_process(partial(publish, tmp_path, 1, "")) == 0
    seen: list[tuple[int, int]] = []
    done = threading.Event()
    reader = threading.Thread(target=_read_on, args=(tmp_path, seen, done))
    reader.start()
    try:
        assert in_process(partial(publish, tmp_path, 2, f"{name}=kill")) == -9
        seen.append(_read(tmp_path))
        assert in_process(partial(publish, tmp_path, 2, "")) == 0
    finally:
        done.set()
        reader.join()
    assert set(seen) <= {(1, 1), (2, 2)}
    assert _read(tmp_path) == (2, 2)
    assert not list(warehouse(tmp_path).published.glob("*.part"))
    figures.add("publish", "kill -9 at a named place, with readers", note="old or new, whole")


def _read_on(folder: Path, seen: list[tuple[int, int]], done: threading.Event) -> None:
    while not done.wait(0.01):
        seen.append(_read(folder))


def _read(folder: Path) -> tuple[int, int]:
    with warehouse(folder).reader() as connection:
        versions = connection.execute(
            "select (select v from a limit 1), (select max(v) from b), "
            "(select count(*) from a), (select count(*) from b)"
        ).fetchall()[0]
    assert versions[2:] == (20_000, 20_000)
    return versions[:2]


@pytest.mark.matrix
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("build.")])
def test_a_killed_build_keeps_the_old_snapshot_and_the_next_is_whole(
    template: Path, tmp_path: Path, figures: Figures, built: dict[str, Any], name: str
) -> None:
    folder = copied(template, tmp_path / "shop")
    assert in_process(partial(publish, folder, 1, "")) == 0
    assert in_process(partial(build, folder, f"{name}=kill")) == -9
    assert _read(folder) == (1, 1)
    assert in_process(partial(build, folder, "")) == 0
    assert _marts(folder) == built
    figures.add("build", "kill -9 at a named place", note="marts as after an undisturbed build")


@pytest.fixture(scope="module")
def built(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = copied(template, tmp_path_factory.mktemp("built"))
    assert in_process(partial(build, folder, "")) == 0
    return _marts(folder)


def _marts(folder: Path) -> dict[str, Any]:
    with warehouse(folder).reader() as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'marts'"
        ).fetchall()
        assert len(names) > 10
        return {
            name: connection.execute(f'select * from marts."{name}" order by all').fetchall()
            for (name,) in names
        }
