"""Read-only SQL on what is published, in the format that is asked for."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from pipelines.errors import UsageError
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from polars import DataFrame

FORMATS = ("table", "csv", "json", "parquet")


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
    if format_ == "csv":
        frame.write_csv(out)
    elif format_ == "parquet":
        frame.write_parquet(out)
    elif format_ == "json":
        rows = json.dumps(frame.to_dicts(), default=_plain, ensure_ascii=False)
        out.write(f"{rows}\n".encode())
    else:
        _print_table(frame)


def _plain(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def _print_table(frame: DataFrame) -> None:
    from pipelines.commands.show import table

    sys.stdout.write(table(frame.columns, frame.rows()))
