"""A DuckDB warehouse with a table that tells whether it is whole."""

from __future__ import annotations

from pathlib import Path

from pipelines.warehouse.embedded import DuckDBWarehouse as Embedded


def new_warehouse(folder: Path) -> Embedded:
    return Embedded(folder / "its data" / "warehouse.duckdb", folder / "its data")


HELD = "select v from t where text = md5((v + i)::text) group by v having count(*) = 50000"
"""Tells the value of a table that is whole; it has more than is read when a file is opened."""


def fill(warehouse: Embedded, value: int) -> Path:
    with warehouse.connect() as connection:
        connection.execute(
            f"create or replace table t as select {value} as v, i, "
            f"md5(({value} + i)::text) as text from range(50000) as r (i)"
        )
    return warehouse.publish()


def read(warehouse: Embedded) -> int:
    with warehouse.reader() as connection:
        ((value,),) = connection.execute(HELD).fetchall()
    return int(value)
