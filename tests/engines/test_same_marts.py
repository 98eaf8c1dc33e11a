"""The same raw rows give the same marts on DuckDB and on PostgreSQL, row by row: built at once on
the one, in two portions on the other.

Longer runs: `DOBLECHECK_ENGINES_SEED=7 pytest -m matrix tests/engines/test_same_marts.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from engines.same import differences, marts
from histories import AS_OF, TABLES, Rows, play, random_threads
from real_postgres import new_server

from pipelines.building import build as building
from pipelines.business_time import parse_hours
from pipelines.provider import COMMON_COLUMNS
from pipelines.providers import find
from pipelines.warehouse import Warehouse, at
from pipelines.warehouse.postgres import PostgresWarehouse

SEED = int(os.environ.get("DOBLECHECK_ENGINES_SEED", "20261122"))
WORLDS, MESSAGES = 5, 700
MATRIX_BUILDS = 10

HOURS = parse_hours(
    timezone="Europe/Madrid",
    monday=["09:00-13:00", "14:00-18:00"],
    saturday=["22:00-06:00"],
    exceptions={"2026-03-28": ["20:00-04:00"]},
)

RULES: dict[str, Any] = {
    "as_of": AS_OF,
    "timezone": "America/Bogota",
    "business_hours": {"default": HOURS},
    "sla": {"default": building.Sla(900, 3600, "business")},
}


def worlds(seed: int) -> Rows:
    """The rows of several made-up worlds, each with accounts of its own."""
    rows: Rows = {name: [] for name in TABLES}
    for number in range(WORLDS):
        for table, found in play(list(random_threads(seed + number, MESSAGES))).items():
            rows[table] += [row | {"account": f"{row['account']}-{number}"} for row in found]
    return rows


def built(warehouse: Warehouse, raw: Rows, *, portions: int = 1) -> Any:
    """The marts that a warehouse makes of raw rows: of all at once, or of some at a time."""
    warehouse.ensure_raw_tables(find())
    for portion in range(portions):
        with warehouse.connect() as connection:
            for table, rows in raw.items():
                columns = [*TABLES[table].columns, *COMMON_COLUMNS]
                some = [[row[name] for name in columns] for row in rows[portion::portions]]
                warehouse.insert(connection, table, some)
        result = building.build(warehouse, **RULES)
        assert result.is_full == (portion == 0)
        warehouse.publish()
    return marts(warehouse)


def compared(folder: Path, url: str, seed: int) -> Sequence[str]:
    raw = worlds(seed)
    duckdb = built(at(folder / "duckdb" / "warehouse.duckdb", folder / "duckdb"), raw)
    postgres = built(PostgresWarehouse(url, folder / "postgres"), raw, portions=2)
    assert len(duckdb["fct_messages"][1]) == sum(
        len(rows) for table, rows in raw.items() if table.endswith(".messages")
    )
    told = differences(duckdb, postgres)
    duckdb["fct_turns"][1].pop()
    assert len(differences(duckdb, postgres)) > len(told)  # it would have been noticed
    return told


@pytest.mark.parametrize("server", ["postgres", "older_postgres"])
def test_five_random_worlds_give_the_same_marts(
    tmp_path: Path, request: pytest.FixtureRequest, server: str
) -> None:
    url = request.getfixturevalue(server).database()
    assert compared(tmp_path, url, SEED) == []


@pytest.mark.matrix
@pytest.mark.parametrize("number", range(1, MATRIX_BUILDS + 1))
def test_fifty_random_worlds_give_the_same_marts(
    tmp_path: Path, postgres_url: str, number: int
) -> None:
    assert compared(tmp_path, postgres_url, SEED + number * WORLDS) == []


@pytest.mark.matrix
def test_a_crash_of_the_server_forgets_a_build_and_the_next_makes_all(
    tmp_path: Path,
) -> None:
    """What models make is not in PostgreSQL's log, so a crash empties it; what readers see is."""
    server = new_server()
    warehouse = PostgresWarehouse(server.database(), tmp_path)
    before = built(warehouse, worlds(SEED))
    server.restart()
    assert differences(before, marts(warehouse)) == []
    assert building.build(warehouse, **RULES).is_full
    warehouse.publish()
    assert differences(before, marts(warehouse)) == []
    assert not building.build(warehouse, **RULES).is_full
