"""Read-only SQL on what is published, in the format that is asked for."""

from __future__ import annotations

import json
from io import BytesIO
from math import isfinite
from typing import TYPE_CHECKING, Any, BinaryIO

from pipelines.errors import UsageError
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from polars import DataFrame

FORMATS = ("table", "csv", "json", "parquet")

FORMULA = "^ *[=+@\t\r-]"
NUMBER = r"^[+-]?([\d .,()-]+|infinity)$"
"""Phones too: a spreadsheet makes another number of one at most."""


def answer(warehouse: Warehouse, sql: str, *, format_: str, out: BinaryIO) -> None:
    """Write the rows of a query.

    Raises:
        NotPublished: nothing is published.
        UsageError: SQL that the warehouse refuses, or a format that there is not.
    """
    if format_ not in FORMATS:
        raise UsageError(f"no format {format_!r}", hint=f"known: {', '.join(FORMATS)}")
    if format_ == "parquet" and out.isatty():
        raise UsageError("parquet is not for a terminal", hint="add: > rows.parquet")
    _write(warehouse.answer(sql), format_, out)


def _write(frame: DataFrame, format_: str, out: BinaryIO) -> None:
    if format_ == "parquet":
        made = BytesIO()
        frame.write_parquet(made)
        out.write(made.getbuffer())
    else:
        out.write(TEXTS[format_](frame).encode())
    out.flush()  # who reads no further is told here, not when Python ends


def _flat(frame: DataFrame) -> DataFrame:
    """The same, with each list and each object as JSON in its field."""
    from polars import Series, String

    nested = [column for column in frame.get_columns() if column.dtype.is_nested()]
    for column in nested:
        texts = [None if value is None else _dumped(value) for value in column.to_list()]
        frame = frame.with_columns(Series(column.name, texts, String))
    return frame


def _csv(frame: DataFrame) -> str:
    return _harmless(_flat(frame)).write_csv()


def _harmless(frame: DataFrame) -> DataFrame:
    """The same, with an apostrophe before text that a spreadsheet would run: customers write it."""
    from polars import String

    for column in frame.get_columns():
        if column.dtype == String:
            text = column.alias("text")  # Polars takes some names for patterns
            runs = text.str.contains(FORMULA) & ~text.str.contains(NUMBER)
            quoted = text.str.replace("^", "'").zip_with(runs.fill_null(value=False), text)
            frame = frame.with_columns(quoted.alias(column.name))
    return frame


def _json(frame: DataFrame) -> str:
    return f"{_dumped(frame.to_dicts())}\n"


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False)
    except ValueError:  # JSON has no infinity, and no number that is none
        return json.dumps(_finite(value), default=_plain, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _plain(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def _table(frame: DataFrame) -> str:
    from pipelines.commands.show import table

    return table(frame.columns, _flat(frame).rows())


TEXTS = {"table": _table, "csv": _csv, "json": _json}
