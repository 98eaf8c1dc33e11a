"""Rows of DuckDB as a frame. What a frame or Python can't hold, DuckDB writes as text before."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

import polars
from duckdb.sqltypes import DuckDBPyType

HELD = {
    *("boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double"),
    *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint", "decimal"),
    *("varchar", "uuid", "enum", "null"),
    *("date", "time", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"),
    "timestamp with time zone",
}
"""Types that a frame holds."""

NESTED = ("list", "array", "struct")
WIDE = ("hugeint", "uhugeint")

EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = date.min.toordinal() - EPOCH, date.max.toordinal() - EPOCH
PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def frame(relation: Any) -> polars.DataFrame:
    """All rows of a relation; a name that comes twice is numbered."""
    odd = {i for i, type_ in enumerate(relation.types) if not _is_held(type_)}
    found = _fetched(relation, odd)
    far = {i for i, column in enumerate(found.get_columns()) if _is_far(column)}
    if far:
        found = _fetched(relation, odd | far)
    for i, type_ in enumerate(relation.types):
        if type_.id in WIDE:
            found.replace_column(i, _number(found.to_series(i)))
    return found


def _fetched(relation: Any, as_text: Collection[int]) -> polars.DataFrame:
    names = _distinct(relation.columns)
    if as_text:
        places = range(1, len(names) + 1)
        told = (f"cast(#{i} as varchar)" if i - 1 in as_text else f"#{i}" for i in places)
        relation = relation.project(", ".join(told))
    rows = relation.to_arrow_table().rename_columns(names)
    return polars.DataFrame(polars.from_arrow(rows))


def _is_held(type_: DuckDBPyType) -> bool:
    if type_.id in NESTED:
        children = (child for _, child in type_.children if isinstance(child, DuckDBPyType))
        return all(_is_held(child) for child in children)
    return type_.id in HELD


def _distinct(names: list[str]) -> list[str]:
    """Names as DuckDB itself numbers them in a table: a, a_1, a_2."""
    made: list[str] = []
    for name in names:
        number, tried = 0, name
        while tried in made:
            number += 1
            tried = f"{name}_{number}"
        made.append(tried)
    return made


def _is_far(column: polars.Series) -> bool:
    """Whether a date or time in it is infinite, or beyond the years that Python counts."""
    if isinstance(column.dtype, polars.List | polars.Array):
        return _is_far(column.explode())
    if isinstance(column.dtype, polars.Struct):
        return any(map(_is_far, column.struct.unnest().get_columns()))
    if isinstance(column.dtype, polars.Datetime):
        days = column.cast(polars.Int64) // PER_DAY[column.dtype.time_unit]
    elif column.dtype == polars.Date:
        days = column.cast(polars.Int32).cast(polars.Int64)
    else:
        return False
    return not days.drop_nulls().is_between(FIRST_DAY, LAST_DAY).all()


def _number(column: polars.Series) -> polars.Series:
    """Sums of integers come as decimals."""
    try:
        return column.cast(polars.Int64)
    except polars.exceptions.InvalidOperationError:
        return column.cast(polars.Float64)
