"""What a build finds changed on PostgreSQL, where a row's fingerprint is that of its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from place import Place

from pipelines.building import changes
from pipelines.building.build import PREPARED
from pipelines.building.changes import Made
from pipelines.providers import find
from pipelines.warehouse.base import make_schema

ALICE, BOB, CARL = ("kapso:alice", "kapso:bob", "kapso:carl")


@pytest.fixture
def built(postgres_url: str, tmp_path: Path) -> Place:
    """A place where three contacts, of one load, count as built."""
    place = Place(tmp_path, postgres_url).ready()
    rows = [{"account": "shop", "id": name} for name in (ALICE, BOB, CARL)]
    place.add("raw_kapso.contacts", rows, ["account", "id"])
    with place.warehouse.connect() as connection:
        make_schema(connection, "intermediate")
        for name, columns in PREPARED.items():
            connection.execute(f"create table intermediate.{name} ({columns})")
        changes.passed(
            connection,
            find(),
            place.warehouse.fingerprint,
            Made("1", ""),
            as_of=datetime.now(UTC),
            full=True,
        )
    return place


def touched(place: Place) -> set[str]:
    with place.warehouse.connect() as connection:
        changes.find_touched(connection, find(), place.warehouse.fingerprint)
    sql = "select key from intermediate.touched where kind = 'contact_id' and key <> ''"
    return {row["key"] for row in place.rows(sql)}


@pytest.mark.parametrize("rewrite", ["", "vacuum full raw_kapso.contacts"])
def test_a_row_that_went_is_found_also_when_others_moved_to_its_place(
    built: Place, rewrite: str
) -> None:
    assert touched(built) == set()
    built.run(f"delete from raw_kapso.contacts where id = '{ALICE}'")
    if rewrite:
        built.run(rewrite)
    assert ALICE in touched(built)
