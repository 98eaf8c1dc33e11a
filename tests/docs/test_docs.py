"""The documentation is held to the code: what a page links to or names in backticks exists.

Each check is a pure function from a text to what is wrong with it; a bad sample shows that it can
find something.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from pipelines.events import webhook_tables
from pipelines.provider import SHARED_TABLES, Provider
from pipelines.providers import find

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "dashboards", "docs", "flows", "models", "pipelines", "tests")
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(\s*([^()\s]+)[^)]*\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
_MODEL = re.compile(r"((?:stg|int|fct|dim|mart)_[a-z0-9_]+)(?:\.([a-z0-9_]+))?")
_RAW = re.compile(r"(raw_[a-z]+)\.([a-z0-9_]+)")
_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")
_MODULE = re.compile(rf"(?:{'|'.join(FOLDERS)})(?:\.\w+)+")


@dataclass(frozen=True)
class Known:
    """What the code has, by the names that a page may use.

    Attributes:
        tests: test functions.
        models: model → its columns; those of a model without a contract are empty and not checked.
        raw: schema → tables.
        paths: says whether a path from the repository's top exists.
    """

    tests: Collection[str]
    models: Mapping[str, Collection[str]]
    raw: Mapping[str, Collection[str]]
    paths: Callable[[str], bool]


def prose(text: str) -> str:
    """A page without its fenced blocks, whose content is not the page's own words."""
    return _FENCED.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(prose(text)))
    return {title.replace(" ", "-") for title in kept}


def broken_links(page: str, text: str, pages: Mapping[str, str], known: Known) -> list[str]:
    """Targets of links between files that lead nowhere; `page` is a path from the top."""
    return [
        target
        for target in _LINK.findall(prose(text))
        if "://" not in target and not _leads_somewhere(page, target, pages, known)
    ]


def _leads_somewhere(page: str, target: str, pages: Mapping[str, str], known: Known) -> bool:
    file, _, anchor = target.partition("#")
    path = _normal(PurePosixPath(page).parent / file) if file else page
    if anchor and path in pages:
        return anchor in anchors(pages[path])
    return not anchor and known.paths(path)


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def unknown_names(text: str, known: Known) -> list[str]:
    """Tests, paths, modules, models, columns and raw tables in backticks that there are not."""
    return [name for name in _CODE.findall(prose(text)) if not _is_known(name, known)]


def _is_known(name: str, known: Known) -> bool:
    if re.fullmatch(r"test_\w+", name):
        return name in known.tests
    if match := _MODEL.fullmatch(name):
        columns = known.models.get(match[1])
        return columns is not None and (not match[2] or not columns or match[2] in columns)
    if match := _RAW.fullmatch(name):
        return match[2] in known.raw.get(match[1], ())
    if _PATH.fullmatch(name):
        return known.paths(name)
    if _MODULE.fullmatch(name):
        parts = name.split(".")
        # The last part may be a name inside the module.
        ways = ("/".join(parts[: len(parts) - less]) for less in range(min(2, len(parts) - 1)))
        return any(known.paths(f"{way}.py") or known.paths(f"{way}/__init__.py") for way in ways)
    return True


def resources_without_a_row(text: str, resources: Iterable[str]) -> list[str]:
    """Resources that no table row of a room's page begins with."""
    return [name for name in resources if not re.search(rf"^\| *`{name}` *\|", text, re.MULTILINE)]


@cache
def pages() -> dict[str, str]:
    """Every page, by its path from the top."""
    files = [
        *ROOT.glob("*.md"),
        *(file for name in FOLDERS for file in ROOT.glob(f"{name}/**/*.md")),
    ]
    return {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in sorted(files)}


@cache
def known() -> Known:
    return Known(
        tests=frozenset(_tests()),
        models={file.stem: _columns(file) for file in ROOT.glob("models/*/**/*.sql")},
        raw={room.schema: _raw_tables(room) for room in find()}
        | {webhook_tables.SCHEMA: webhook_tables.COLUMNS},
        paths=lambda path: (ROOT / path).exists(),
    )


def _tests() -> Iterable[str]:
    for file in ROOT.glob("tests/**/test_*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.name


def _columns(model: Path) -> frozenset[str]:
    described = model.with_suffix(".yml")
    text = described.read_text("utf-8") if described.exists() else ""
    return frozenset(re.findall(r"^      - name: (\w+)$", text, re.MULTILINE))


def _raw_tables(room: Provider) -> frozenset[str]:
    return frozenset({"sync_state", *(table.name for table in (*room.tables, *SHARED_TABLES))})


@pytest.mark.parametrize("page", pages())
def test_a_page_links_to_what_exists(page: str) -> None:
    assert broken_links(page, pages()[page], pages(), known()) == []


@pytest.mark.parametrize("page", pages())
def test_a_page_names_what_exists(page: str) -> None:
    assert unknown_names(pages()[page], known()) == []


@pytest.mark.parametrize("room", find(), ids=lambda room: room.name)
def test_a_rooms_page_has_a_row_for_every_resource(room: Provider) -> None:
    text = pages()[f"pipelines/providers/{room.name}/README.md"]
    assert resources_without_a_row(text, room.resources) == []


@pytest.mark.parametrize("index", ["docs/README.md", "docs/decisions/README.md"])
def test_an_index_leads_to_every_page_of_its_folder(index: str) -> None:
    folder = PurePosixPath(index).parent
    listed = {
        _normal(folder / target.partition("#")[0]) for target in _LINK.findall(pages()[index])
    }
    beside = {page for page in pages() if PurePosixPath(page).parent == folder}
    assert beside - {index} - listed == set()


def test_the_changelog_lists_every_mart() -> None:
    marts = {file.stem for file in ROOT.glob("models/marts/*.sql")}
    assert resources_without_a_row(pages()["CHANGELOG.md"], sorted(marts)) == []


BAD = """\
# A page

See [here](other.md), [there](missing.md), [a part](other.md#part-one), [no part](other.md#two),
[outside](https://example.com/x.md) and [above](../gone.md).

`test_there`, `test_gone`, `fct_things`, `fct_gone`, `fct_things.id`, `fct_things.gone`,
`raw_shop.rows`, `raw_shop.gone`, `pipelines/a.py`, `pipelines/gone.py`, `pipelines.a`,
`pipelines.a.name`, `pipelines.gone.name`, `select 1`.

| resource | endpoint |
| --- | --- |
| `rows` | `/rows` |

```sh
cat `pipelines/elsewhere.py`  # [not](a-link.md)
```
"""
SMALL = Known(
    tests={"test_there"},
    models={"fct_things": {"id"}},
    raw={"raw_shop": {"rows"}},
    paths={"docs/other.md", "docs/page.md", "pipelines/a.py"}.__contains__,
)
FEW = {"docs/page.md": BAD, "docs/other.md": "# Other\n\n## Part, one\n"}


def test_a_bad_page_is_found_out() -> None:
    assert broken_links("docs/page.md", BAD, FEW, SMALL) == [
        "missing.md",
        "other.md#two",
        "../gone.md",
    ]
    assert unknown_names(BAD, SMALL) == [
        "test_gone",
        "fct_gone",
        "fct_things.gone",
        "raw_shop.gone",
        "pipelines/gone.py",
        "pipelines.gone.name",
    ]
    assert resources_without_a_row(BAD, ["rows", "columns"]) == ["columns"]


def test_the_checks_see_the_pages_the_tests_and_the_models() -> None:
    assert {"README.md", "CHANGELOG.md", "docs/decisions/identity.md"} <= set(pages())
    assert "test_a_bad_page_is_found_out" in known().tests
    assert "window_closes_at" in known().models["fct_turns"]
    assert known().raw["raw_kapso"] >= {"messages", "rejected", "sync_state"}
