"""Two warehouses compared, row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from pipelines.warehouse import Connection, Warehouse

Row = tuple[Any, ...]

COLUMNS = (
    "select table_name, column_name from information_schema.columns "
    "where table_schema = $1 order by table_name, ordinal_position"
)


def columns(connection: Connection, schema: str) -> dict[str, list[str]]:
    """Table → its columns, in order."""
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(COLUMNS, [schema]).fetchall():
        found.setdefault(table, []).append(column)
    return found


def marts(warehouse: Warehouse) -> dict[str, tuple[list[str], list[Row]]]:
    """Mart → columns and rows, as readers see them."""
    with warehouse.reader() as connection:
        return {
            name: (names, connection.execute(f'select * from marts."{name}"').fetchall())
            for name, names in columns(connection, "marts").items()
        }


def differences(
    one: Mapping[str, tuple[list[str], list[Row]]], other: Mapping[str, tuple[list[str], list[Row]]]
) -> list[str]:
    """What differs between marts, in words; columns and tables included."""
    told = [f"only one has {name}" for name in sorted(one.keys() ^ other.keys())]
    for name in sorted(one.keys() & other.keys()):
        (names, rows), (other_names, other_rows) = one[name], other[name]
        if names != other_names:
            told.append(f"{name}: {set(names) ^ set(other_names) or 'another order'}")
            continue
        if len(rows) != len(other_rows):
            told.append(f"{name}: {len(rows)} rows and {len(other_rows)}")
        pairs = zip_longest(_sorted(rows), _sorted(other_rows), fillvalue=(None,) * len(names))
        told += [f"{name}: {difference}" for pair in pairs if (difference := _of(names, *pair))]
    return told


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted((tuple(map(_plain, row)) for row in rows), key=_key)


def _key(row: Row) -> tuple[list[str], list[str]]:
    """Rows in an order that the last digits of a fraction do not change."""
    exact = [repr(value) for value in row if not isinstance(value, float)]
    return exact, [f"{value:.6g}" for value in row if isinstance(value, float)]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.timestamp()
    return float(value) if isinstance(value, Decimal) else value


def _of(names: Sequence[str], one: Row, other: Row) -> str:
    """The columns in which two rows differ; fractions may by the order of an addition."""
    wrong = [
        f"{name}: {a!r} and {b!r}"
        for name, a, b in zip(names, one, other, strict=True)
        if a != b
        and not (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9))
    ]
    return ", ".join(wrong)
