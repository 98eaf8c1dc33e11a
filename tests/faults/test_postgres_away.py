"""PostgreSQL goes away in the middle of a sync: restarted as after a crash, or only the connections
cut. What the next run finishes is whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_bench import NOTHING, URL, Bench, Difference, contents, copied, start, sync, warehouse
from real_postgres import Server, new_server

from .conftest import Figures

CASES = 3
MATRIX_CASES = 20
TRIES = 3

CUT = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity "
    "where datname = current_database() and pid <> pg_backend_pid()"
)


@pytest.fixture(scope="module")
def own() -> Server:
    """A server that no other test uses."""
    return new_server()


@pytest.fixture(scope="module")
def behind(simulators: Bench, own: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse two days behind its providers."""
    folder = tmp_path_factory.mktemp("behind")
    (folder / URL).write_text(own.database())
    simulators.begin(folder)
    return folder


@pytest.fixture(scope="module")
def whole(simulators: Bench, behind: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a run that nothing disturbs makes of it, and the seconds that it takes."""
    folder = copied(behind, tmp_path_factory.mktemp("whole") / "shop")
    began = time.monotonic()
    assert simulators.run(folder) == 0
    return contents(folder), time.monotonic() - began


def cut(server: Server, folder: Path) -> None:
    """End every connection of the warehouse's database, as a failover does."""
    server.run(CUT, (folder / URL).read_text().rsplit("/", 1)[1])


def restart(server: Server, folder: Path) -> None:
    server.restart()


HOW: dict[str, Callable[[Server, Path], None]] = {
    "its connections cut": cut,
    "restarted as after a crash": restart,
}


def disturbed(bench: Bench, server: Server, folder: Path, how: str, after: float) -> int:
    """A sync during which the server goes away; return the runs it took until all was well."""
    process = start(partial(sync, folder, bench.urls, bench.clock.now, ""))
    time.sleep(after)  # less than a sync takes
    HOW[how](server, folder)
    process.join(60)
    assert process.exitcode in (0, 1)
    runs = 1
    while bench.run(folder) or (folder / "report.json").read_text() != "[]":
        runs += 1
        assert runs < TRIES, (folder / "report.json").read_text()
    return runs + 1


def check(
    simulators: Bench, own: Server, behind: Path, whole: Any, tmp_path: Path, how: str, part: float
) -> Difference:
    expected, seconds = whole
    folder = copied(behind, tmp_path / "shop")
    disturbed(simulators, own, folder, how, min(0.9, part * seconds))
    with warehouse(folder).lock():  # nobody holds it any more
        return Difference.between(folder, expected)


@pytest.mark.parametrize("number", range(CASES))
def test_a_sync_whose_database_went_away_is_whole_after_the_next(
    simulators: Bench, own: Server, behind: Path, whole: Any, tmp_path: Path, number: int
) -> None:
    how = tuple(HOW)[number % 2]
    part = (number + 1) / (CASES + 1)
    assert check(simulators, own, behind, whole, tmp_path, how, part) == NOTHING


@pytest.mark.matrix
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("number", range(MATRIX_CASES))
def test_the_database_goes_away_at_any_moment(
    simulators: Bench,
    own: Server,
    behind: Path,
    whole: Any,
    tmp_path: Path,
    figures: Figures,
    how: str,
    number: int,
) -> None:
    found = check(simulators, own, behind, whole, tmp_path, how, number / MATRIX_CASES)
    figures.add("load", f"PostgreSQL {how}", found)
    assert found == NOTHING
