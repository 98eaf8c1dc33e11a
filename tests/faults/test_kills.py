"""A run killed anywhere: the next one makes everything whole (EXT-01, CUR-03, CUR-04, LOAD-01,
LOAD-02, PUB-01)."""

from __future__ import annotations

import re
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_bench import (
    DLT_PLACES,
    NOTHING,
    Bench,
    Difference,
    build,
    copied,
    in_process,
    on_both_cores,
    publish,
    warehouse,
)

from pipelines.failpoint import NAMES

from .conftest import Figures

Marts = dict[str, Counter[tuple[Any, ...]]]
"""Mart → its rows."""

OF_A_BAD_PACKAGE = {"load.set_aside", "load.moved"}
"""Reached only with a package that can't be loaded."""

OF_A_SYNC = tuple(
    name
    for name in NAMES
    if name.startswith(("sync.", "load.", "transport.", "pull.")) and name not in OF_A_BAD_PACKAGE
)
EXTRACT = ("transport.", "pull.")
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
    # Between a job's commit and dlt's note of it: loaded again, it would double its rows.
    "dlt:before:dlt.common.storages.load_package:PackageStorage.complete_job",
)


@pytest.fixture
def killed(simulators: Bench, template: Path, expected: Any, tmp_path: Path) -> Any:
    """Kills runs at places, two at a time; returns the places after which something differs."""

    def case(spec: str, *, loses: bool) -> Difference:
        folder = copied(template, tmp_path / re.sub(r"\W", "-", spec))
        assert simulators.run(folder, spec) == -9, f"{spec} was not reached"
        if loses:
            shutil.rmtree(folder / "dlt", ignore_errors=True)
        assert simulators.run(folder) == 0, (folder / "report.json").read_text()
        return Difference.between(folder, expected)

    def cases(specs: Sequence[str], *, loses: bool) -> dict[str, Difference]:
        found = on_both_cores(partial(case, loses=loses), specs)
        return dict(zip(specs, found, strict=True))

    return cases


@pytest.mark.both_engines
def test_a_killed_sync_is_whole_after_the_next(killed: Any) -> None:
    assert set(killed(REPRESENTATIVE, loses=False).values()) == {NOTHING}


def test_a_killed_sync_whose_working_files_are_lost_is_whole_after_the_next(killed: Any) -> None:
    assert set(killed(["load.loaded=kill"], loses=True).values()) == {NOTHING}


INSIDE_DLT = "kill -9 inside dlt"
PLACES = {
    ("extract", "kill -9 at a named place"): [s for s in SPECS if s.startswith(EXTRACT)],
    ("load", "kill -9 at a named place"): [s for s in SPECS if s.startswith("load.")],
    ("positions", "kill -9 at a named place"): [s for s in SPECS if s.startswith("sync.")],
    ("load", INSIDE_DLT): [*DLT_PLACES],
}


@pytest.mark.matrix
@pytest.mark.parametrize("loses", [False, True], ids=["keep", "lose"])
@pytest.mark.parametrize("stage", PLACES, ids=str)
def test_a_sync_killed_anywhere_is_whole_after_the_next(
    killed: Any, figures: Figures, stage: tuple[str, str], loses: bool
) -> None:
    kept = "lost" if loses else "kept"
    costs = killed(PLACES[stage], loses=loses)
    for found in costs.values():
        figures.add(stage[0], f"{stage[1]}, dlt's working files {kept}", found)
    assert {spec: found for spec, found in costs.items() if found != NOTHING} == {}


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
def test_a_killed_build_keeps_the_old_marts_and_the_next_is_whole(
    to_build: Path, tmp_path: Path, figures: Figures, old: Marts, new: Marts, name: str
) -> None:
    folder = copied(to_build, tmp_path / "shop")
    assert in_process(partial(build, folder, f"{name}=kill")) == -9
    assert _marts(folder) == old
    assert in_process(partial(build, folder, "")) == 0
    assert _marts(folder) == new
    figures.add("build", "kill -9 at a named place", note="the old marts, then the new ones, whole")


@pytest.fixture(scope="session")
def to_build(simulators: Bench, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse whose marts are two days behind what was synced."""
    folder = copied(template, tmp_path_factory.mktemp("to_build") / "shop")
    assert in_process(partial(build, folder, "")) == 0
    assert simulators.run(folder) == 0
    return folder


@pytest.fixture(scope="session")
def old(to_build: Path) -> Marts:
    return _marts(to_build)


@pytest.fixture(scope="session")
def new(to_build: Path, old: Marts, tmp_path_factory: pytest.TempPathFactory) -> Marts:
    """After a build that nothing disturbed."""
    folder = copied(to_build, tmp_path_factory.mktemp("new") / "shop")
    assert in_process(partial(build, folder, "")) == 0
    marts = _marts(folder)
    assert marts != old
    return marts


def _marts(folder: Path) -> Marts:
    with warehouse(folder).reader() as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'marts'"
        ).fetchall()
        assert len(names) > 10
        return {
            name: Counter(connection.execute(f'select * from marts."{name}"').fetchall())
            for (name,) in names
        }
