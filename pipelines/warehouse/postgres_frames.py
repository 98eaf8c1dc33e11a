"""Rows of PostgreSQL as a frame whose columns have types, also when there are no rows."""

from __future__ import annotations

from typing import Any

import orjson
import polars
from psycopg import Cursor

TYPES: dict[str, Any] = {
    "bool": polars.Boolean,
    "int2": polars.Int64,
    "int4": polars.Int64,
    "int8": polars.Int64,
    "float4": polars.Float64,
    "float8": polars.Float64,
    "numeric": polars.Float64,
    "text": polars.String,
    "varchar": polars.String,
    "name": polars.String,
    "json": polars.String,
    "jsonb": polars.String,
    "date": polars.Date,
    "timestamp": polars.Datetime("us"),
    "timestamptz": polars.Datetime("us", "UTC"),
    "interval": polars.Duration("us"),
}
"""PostgreSQL's types; others become text."""


def frame(cursor: Cursor[Any]) -> polars.DataFrame:
    """All rows of a cursor; a name that comes twice is numbered."""
    described = cursor.description or []
    columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(described)
    made: dict[str, polars.Series] = {}
    for column, values in zip(described, columns, strict=True):
        type_ = TYPES.get(column.type_display, polars.String)
        name = column.name if column.name not in made else f"{column.name}_{len(made)}"
        made[name] = polars.Series(name, [_plain(v, type_) for v in values], type_, strict=False)
    return polars.DataFrame(list(made.values()))


def _plain(value: Any, type_: Any) -> Any:
    if value is None or type_ is not polars.String or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=str).decode()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
