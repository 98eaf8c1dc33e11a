"""Analysts' pages are held to the models: descriptions, the picture of the marts, exposures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MARTS = ROOT / "models" / "marts"
UNITS = {"_seconds": "second", "_usd": "dollar", "_rate": "0 to 1", "_coverage": "0 to 1"}
Column = Mapping[str, Any]


@cache
def marts() -> Mapping[str, Sequence[Column]]:
    """Mart → its described columns."""
    described = [
        model
        for file in sorted(MARTS.glob("*.yml"))
        for model in yaml.safe_load(file.read_text("utf-8")).get("models", [])
    ]
    return {model["name"]: model["columns"] for model in described}


def lacks(column: Column) -> str | None:
    """What a column's description does not say: anything, its unit, or what null means."""
    text = str(column.get("description", "")).strip()
    if not text:
        return "description"
    units = [unit for suffix, unit in UNITS.items() if column["name"].endswith(suffix)]
    if any(unit not in text.lower() for unit in units):
        return "unit"
    is_required = {"type": "not_null"} in column.get("constraints", [])
    return "null" if not is_required and "null" not in text.lower() else None


@pytest.mark.parametrize("mart", sorted(file.stem for file in MARTS.glob("*.sql")))
def test_every_column_says_what_it_is_its_unit_and_what_null_means(mart: str) -> None:
    columns = marts()[mart]
    found = {column["name"]: lacks(column) for column in columns}
    assert {name: what for name, what in found.items() if what} == {}
    selected = (MARTS / f"{mart}.sql").read_text("utf-8").rpartition("final as (")[2]
    assert [name for name in found if not re.search(rf"\b{name}\b", selected)] == []


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ({"name": "a"}, "description"),
        ({"name": "a", "description": "Some text."}, "null"),
        ({"name": "wait_seconds", "description": "How long; null if not."}, "unit"),
        ({"name": "wait_seconds", "description": "Seconds; null if not."}, None),
        ({"name": "a", "description": "A.", "constraints": [{"type": "not_null"}]}, None),
    ],
)
def test_a_poor_description_is_found_out(column: Column, what: str | None) -> None:
    assert lacks(column) == what


def lines(page: str) -> list[tuple[str, str, str]]:
    """The lines of the picture: two marts and the key that joins them."""
    return re.findall(r"^ +(\w+) [|o}]+--[|o{]+ (\w+) : (\w+)$", page, re.MULTILINE)


def test_the_picture_of_the_marts_is_true() -> None:
    drawn = lines((ROOT / "docs" / "marts.md").read_text("utf-8"))
    has = {mart: {column["name"] for column in columns} for mart, columns in marts().items()}
    wrong = [line for line in drawn if not all(line[2] in has.get(m, ()) for m in line[:2])]
    assert wrong == []
    assert {mart for line in drawn for mart in line[:2]} == set(has)


def test_the_picture_has_every_relation_that_the_models_test() -> None:
    drawn = set(lines((ROOT / "docs" / "marts.md").read_text("utf-8")))
    tested = {
        (re.sub(r"ref\('(\w+)'\)", r"\1", arguments["to"]), mart, column["name"])
        for mart, columns in marts().items()
        for column in columns
        for test in column.get("data_tests", [])
        if isinstance(test, dict) and (arguments := test.get("relationships", {}).get("arguments"))
        if column["name"] == arguments["field"]
    }
    assert len(tested) > 5
    assert tested - drawn == set()


def test_the_dashboard_is_exposed_with_every_mart_it_reads() -> None:
    queries = (ROOT / "dashboards" / "queries").rglob("*.sql")
    read = {mart for file in queries for mart in re.findall(r"marts\.(\w+)", file.read_text())}
    (exposure,) = yaml.safe_load((MARTS / "exposures.yml").read_text("utf-8"))["exposures"]
    exposed = {re.sub(r"ref\('(\w+)'\)", r"\1", name) for name in exposure["depends_on"]}
    assert exposed == read & marts().keys()


def test_the_index_of_ready_queries_has_them_all() -> None:
    folder = ROOT / "docs" / "queries"
    index = (folder / "README.md").read_text("utf-8")
    files = {file.name for file in folder.glob("*.sql")}
    assert len(files) >= 10
    assert set(re.findall(r"\((\w+\.sql)\)", index)) == files
