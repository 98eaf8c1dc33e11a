"""Fixtures of the fault tests, and the figures that `make faults` writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fault_bench import URL, Bench, Difference, bench, contents, copied

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: make faults -->", "<!-- end of figures -->"


@dataclass
class Line:
    """One line of the table: what was tried, how often, and what it cost."""

    cases: int = 0
    lost: int = 0
    duplicated: int = 0
    note: str = ""


class Figures(dict[tuple[str, str], Line]):
    """Stage and fault → what was found."""

    def add(
        self, stage: str, fault: str, found: Difference | None = None, *, note: str = ""
    ) -> None:
        lost, duplicated = (found.lost, found.duplicated) if found else (0, 0)
        self.merge((stage, fault), Line(1, lost, duplicated, note))

    def merge(self, key: tuple[str, str], more: Line) -> None:
        line = self.setdefault(key, Line())
        line.cases += more.cases
        line.lost += more.lost
        line.duplicated += more.duplicated
        line.note = more.note or line.note


def table(figures: Figures) -> str:
    lines = ["| stage | fault | cases | lost | duplicated | note |", "| --- " * 6 + "|"]
    lines += [
        f"| {stage} | {fault} | {line.cases} | {line.lost} | {line.duplicated} | {line.note} |"
        for (stage, fault), line in sorted(figures.items())
    ]
    return "\n".join(lines)


FIGURES = Figures()


@pytest.fixture(scope="session")
def figures() -> Figures:
    return FIGURES


def pytest_sessionfinish(session: Any) -> None:
    """Write the table when the whole matrix was asked for; of several processes, the first does."""
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["figures"] = [(key, vars(line)) for key, line in FIGURES.items()]
        return
    if not os.environ.get("DOBLECHECK_WRITE_FIGURES") or not FIGURES or session.testsfailed:
        return
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(FIGURES)}\n{END}{after}", "utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what another process found."""
    for key, line in getattr(node, "workeroutput", {}).get("figures", []):
        FIGURES.merge(tuple(key), Line(**line))


@pytest.fixture(scope="session")
def simulators() -> Iterator[Bench]:
    with bench() as made:
        yield made


@pytest.fixture(scope="session")
def template(
    simulators: Bench, engine_url: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A warehouse two days behind its providers."""
    folder = tmp_path_factory.mktemp("template")
    if engine_url:
        (folder / URL).write_text(engine_url)
    simulators.begin(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(
    simulators: Bench, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A warehouse after a run that nothing disturbed."""
    folder = copied(template, tmp_path_factory.mktemp("undisturbed") / "shop")
    assert simulators.run(folder) == 0
    return folder


@pytest.fixture(scope="session")
def expected(undisturbed: Path) -> Any:
    """What it holds."""
    return contents(undisturbed)
