"""Each dependency is there for a reason that stands beside it, and is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "pyproject.toml").read_text("utf-8")
PRODUCT = ("pipelines", "flows", "dashboards")
OTHERS = ("tests", "benchmarks", "models")
UNIMPORTED = {
    "fastapi": "a bound for Prefect",
    "sqlalchemy": "a bound for Prefect",
    "tzdata": "what zoneinfo reads",
    **dict.fromkeys(
        ("import-linter", "mypy", "pytest-xdist", "ruff", "sqlfluff"), "a tool of the Makefile"
    ),
}
LINE = re.compile(r'^    "([\w-]+)[^"]*",(?: # (.+))?$', re.MULTILINE)


def lines(key: str, after: str = "") -> dict[str, str]:
    """Dependency → the reason beside it, of one list of pyproject.toml."""
    found = re.search(rf"{after}.*?^{key} = \[\n(.*?)^\]", TEXT, re.MULTILINE | re.DOTALL)
    assert found
    return dict(LINE.findall(found[1]))


RUNTIME, DEV = lines("dependencies"), lines("dev", r"\[dependency-groups\]")


def imported(folders: tuple[str, ...]) -> set[str]:
    """The distributions whose modules these folders import."""
    owners = packages_distributions()
    ours = {*PRODUCT, *OTHERS, *(path.stem for path in ROOT.glob("tests/**/*"))}
    tops = {top for folder in folders for top in _tops(ROOT / folder)} - ours
    tops -= {*sys.stdlib_module_names, "toy"}
    return {name for top in tops for name in _owners(owners.get(top, [f"nothing has {top}"]))}


def _owners(names: list[str]) -> list[str]:
    """Of several that share a module, as dbt's do, those that are declared."""
    known = [name.lower().replace("_", "-") for name in names]
    return [name for name in known if name in RUNTIME | DEV] or known[:1]


def _tops(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.split(".")[0]


def test_the_lists_are_read_whole() -> None:
    project = tomllib.loads(TEXT)
    assert len(RUNTIME) == len(project["project"]["dependencies"])
    assert len(DEV) == len(project["dependency-groups"]["dev"])


@pytest.mark.parametrize("name", [*RUNTIME, *DEV])
def test_a_dependency_has_a_reason(name: str) -> None:
    assert (RUNTIME | DEV)[name], "say beside it why it is there"


def test_what_the_product_imports_is_declared_and_what_is_declared_is_imported() -> None:
    assert imported(PRODUCT) - RUNTIME.keys() == set()
    assert RUNTIME.keys() - imported(PRODUCT) - UNIMPORTED.keys() == set()


def test_what_the_tests_import_is_declared_and_what_is_declared_is_imported() -> None:
    assert imported(OTHERS) - RUNTIME.keys() - DEV.keys() == set()
    assert DEV.keys() - imported(OTHERS) - UNIMPORTED.keys() == set()


def test_the_lock_is_complete() -> None:
    """`make` installs what it names and nothing else: an older pip can't look for more."""
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    todo, seen = [Requirement("doblecheck")], set()
    declared = tomllib.loads(TEXT)
    todo += map(Requirement, declared["dependency-groups"]["dev"])
    while todo:
        wanted = todo.pop()
        for extra in ("", *wanted.extras):
            if (name := canonicalize_name(wanted.name), extra) not in seen:
                seen.add((name, extra))
                todo += [
                    further
                    for text in requires(name) or ()
                    if (further := Requirement(text)).marker is None
                    or further.marker.evaluate({"extra": extra})
                ]
    assert len(seen) > 150
    assert {name for name, _ in seen} - {canonicalize_name(name) for name in locked} == {
        "doblecheck"
    }
