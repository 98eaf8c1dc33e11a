"""The marts' columns are what was declared: others build on them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.building import contract
from pipelines.building.contract import Change, Contract

CHANGELOG = (Path(__file__).parents[2] / "CHANGELOG.md").read_text("utf-8")
COLUMNS = {"fct_things.id": "text not null", "fct_things.seconds": "double"}
FIRST = Contract("1.4", COLUMNS)


def untold(changes: list[Change], changelog: str) -> list[str]:
    """Changed columns that no table row of the changelog names."""
    rows = re.findall(r"^\| `([\w.]+)` \|", changelog, re.MULTILINE)
    return [column for change in changes for column in change.columns if column not in rows]


def test_the_marts_are_what_was_declared() -> None:
    now = contract.columns_of(contract.described())
    assert contract.difference(contract.declared(), now) is None, (
        "declare it: python -m pipelines.building.contract"
    )


def test_the_page_is_written_from_the_models() -> None:
    written = contract.page(contract.declared(), contract.described())
    assert contract.PAGE.read_text("utf-8") == written


def test_the_changelog_tells_every_changed_column() -> None:
    assert untold(list(contract.declared().changes), CHANGELOG) == []
    assert f"Contract {contract.declared().version}" in CHANGELOG


def test_dbt_enforces_every_mart() -> None:
    assert {m["name"] for m in contract.described()} == {
        file.stem for file in (contract.MODELS / "marts").glob("*.sql")
    }
    assert all(m["config"]["contract"]["enforced"] for m in contract.described())


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ({"fct_things.id": "text not null"}, Change("2.0", removed=["fct_things.seconds"])),
        (COLUMNS | {"fct_things.seconds": "text"}, Change("2.0", retyped=["fct_things.seconds"])),
        (COLUMNS | {"fct_things.id": "text"}, Change("2.0", retyped=["fct_things.id"])),
        (COLUMNS | {"fct_things.more": "text"}, Change("1.5", added=["fct_things.more"])),
        (
            {"fct_things.id": "text not null", "fct_things.took": "double"},
            Change("2.0", added=["fct_things.took"], removed=["fct_things.seconds"]),
        ),
    ],
    ids=["removed", "retyped", "may be null", "added", "renamed"],
)
def test_a_change_is_found_out_until_it_is_declared(now: dict[str, str], change: Change) -> None:
    found = contract.difference(FIRST, now)
    assert found is not None
    assert (found.version, found.columns) == (change.version, change.columns)
    declared = contract.after(FIRST, now)
    assert (declared.version, contract.difference(declared, now)) == (change.version, None)
    assert untold(list(declared.changes), "") == list(change.columns)
    assert untold(list(declared.changes), _told(change)) == []


def _told(change: Change) -> str:
    return "\n".join(f"| `{column}` | {change.version} | what to do |" for column in change.columns)
