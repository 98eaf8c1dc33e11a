"""`docs/architecture.md` shows the imports that there are, and no others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import grimp
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
PACKAGES = ("pipelines", "flows", "dashboards", "models")
GROUND = "ground"

Edges = set[tuple[str, str]]


def drawn(page: str) -> Edges:
    """The arrows of the picture."""
    return set(re.findall(r"^ *(\w+)(?:\[[^\]]*\])? --> (\w+)", page, re.MULTILINE))


def areas(page: str) -> dict[str, str]:
    """Module or package, as the table names it → its area."""
    rows = re.findall(r"^\| (\w+) \| (`[^|]+`) \|", page, re.MULTILINE)
    return {module: area for area, names in rows for module in re.findall(r"`([^`]+)`", names)}


def imports() -> Edges:
    """Which module imports which, each by its first name below `pipelines`, or by its package."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    return {
        (_short(importer), _short(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if _short(importer) != _short(imported)
    }


def _short(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == "pipelines" and rest else first


def between_areas(imported: Edges, area: Mapping[str, str]) -> Edges:
    """The same arrows between areas; those that end on the ground are everybody's."""
    arrows = {(area[a], area[b]) for a, b in imported}
    return {(a, b) for a, b in arrows if a != b and b != GROUND}


def modules() -> set[str]:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {_short(module) for module in graph.modules} - {"pipelines"}


def test_every_module_has_one_area() -> None:
    assert set(areas(PAGE)) == modules()


def test_the_picture_shows_the_imports_and_no_others() -> None:
    assert drawn(PAGE) == between_areas(imports(), areas(PAGE))


def test_the_ground_stands_on_nothing() -> None:
    area = areas(PAGE)
    assert not [(a, b) for a, b in imports() if area[a] == GROUND != area[b]]


@pytest.mark.parametrize("line", ["graph TD\n    a --> b", "    a[one: two] --> b"])
def test_an_arrow_is_found(line: str) -> None:
    assert drawn(line) == {("a", "b")}
