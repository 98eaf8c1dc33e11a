"""Does this installation compute what the definitions say? Published cases, built and compared.

A case is a small raw history with the mart rows that were worked out from it by hand
(`models/verification/`). All of them are built at once in a temporary warehouse, each as an account
of its own, so nothing of the user's is read or written.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from importlib import resources
from math import isclose
from pathlib import Path
from typing import Any

from pipelines.building import build
from pipelines.business_time import parse_hours
from pipelines.errors import UsageError
from pipelines.providers import find
from pipelines.times import parse_time
from pipelines.warehouse import Connection, at

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]

FETCHED_AT = "2026-03-19T00:00:00+00:00"
"""When the rows of every case were read, where a case does not say."""


@dataclass(frozen=True)
class Case:
    """One rule, with an example.

    Attributes:
        rule: the definition it is about, in a sentence.
        raw: raw table → rows.
        expect: mart → rows; a row names only the columns that the case is about.
        business_hours, sla: as in the settings, for this case alone.
    """

    name: str
    rule: str
    raw: Tables
    expect: Tables
    business_hours: Row | None = None
    sla: Row | None = None


@dataclass(frozen=True)
class Mismatch:
    """Rows of a mart that are not what a case says."""

    case: str
    rule: str
    mart: str
    expected: Sequence[Row]
    actual: Sequence[Row]


@dataclass(frozen=True)
class Verified:
    """How many cases came out as published, and how many values they hold."""

    total: int
    values: int
    mismatches: Sequence[Mismatch] = field(default=())

    @property
    def matched(self) -> int:
        """Cases in which every row is right."""
        return self.total - len({mismatch.case for mismatch in self.mismatches})


class Book:
    """The published cases."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(str(resources.files("models"))) / "verification"
        try:
            self._defaults = json.loads((self._folder / "defaults.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise UsageError(
                f"{self._folder} holds no cases: no defaults.json that can be read",
                hint=f"the published ones are in {resources.files('models') / 'verification'}",
            ) from None

    @property
    def as_of(self) -> datetime:
        """The clock of the cases."""
        return _instant(self._defaults["as_of"])

    @cached_property
    def cases(self) -> list[Case]:
        """Every case."""
        files = sorted(self._folder.glob("*.json"))
        texts = [file.read_text("utf-8") for file in files if file.name != "defaults.json"]
        return [Case(**values) for text in texts for values in json.loads(text)]

    def rows(self, case: Case) -> Iterator[tuple[str, dict[str, Any]]]:
        """The raw rows of a case, each with its table, as a sync would have landed them."""
        for table, rows in case.raw.items():
            for number, row in enumerate(rows, 1):
                common = {"account": case.name, "payload": "{}", "row_hash": "", "id": str(number)}
                common |= {"fetched_at": FETCHED_AT, "created_at": FETCHED_AT}
                yield table, common | self._defaults["raw"].get(table, {}) | dict(row)


def verify(folder: Path | None = None) -> Verified:
    """Build every case in a temporary warehouse and compare.

    Args:
        folder: where the cases are; default: those that are shipped.

    Raises:
        BuildFailed: the models do not build at all.
    """
    book = Book(folder)
    with tempfile.TemporaryDirectory(prefix="doblecheck-") as home:
        warehouse = at(Path(home) / "warehouse.duckdb", Path(home))
        warehouse.ensure_raw_tables(find())
        with warehouse.connect() as connection:
            fill(connection, book)
        build.build(
            warehouse,
            as_of=book.as_of,
            business_hours={
                case.name: parse_hours(**case.business_hours)
                for case in book.cases
                if case.business_hours
            },
            sla={case.name: build.Sla(**case.sla) for case in book.cases if case.sla},
        )
        with warehouse.connect() as connection:
            mismatches = [found for case in book.cases for found in _compare(connection, case)]
    values = sum(len(row) for c in book.cases for rows in c.expect.values() for row in rows)
    return Verified(len(book.cases), values, mismatches)


def fill(connection: Connection, book: Book) -> None:
    """Insert the raw rows of every case; the tables are there."""
    for case in book.cases:
        for table, row in book.rows(case):
            _insert(connection, table, row)


def _insert(connection: Connection, table: str, row: Row) -> None:
    known = _columns(connection, table)
    values = {name: value for name, value in row.items() if name in known}
    unknown = row.keys() - known - {"created_at"}
    if unknown:
        raise KeyError(f"{table} has no column {sorted(unknown)[0]}")
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f"${number}" for number, _ in enumerate(values, 1))
    connection.execute(f"insert into {table} ({names}) values ({marks})", list(values.values()))


def _columns(connection: Connection, table: str) -> set[str]:
    schema, _, name = table.partition(".")
    found = connection.execute(
        "select column_name from information_schema.columns"
        " where table_schema = $1 and table_name = $2",
        [schema, name],
    )
    return {column for (column,) in found.fetchall()}


def _compare(connection: Connection, case: Case) -> Iterator[Mismatch]:
    for mart, wanted in case.expect.items():
        columns = sorted({column for row in wanted for column in row}) or ["provider"]
        names = ", ".join(f'"{column}"' for column in columns)
        found = connection.execute(
            f"select {names} from marts.{mart} where account = $1", [case.name]
        ).fetchall()
        actual = [dict(zip(columns, row, strict=True)) for row in found]
        left = list(actual)
        missing = [row for row in wanted if not _taken(row, left)]
        if missing or left:
            yield Mismatch(case.name, case.rule, mart, wanted, [_shown(row) for row in actual])


def _taken(row: Row, rows: list[dict[str, Any]]) -> bool:
    """Whether one of the rows is this one; it is taken out of them."""
    for i, other in enumerate(rows):
        if all(_equal(value, other[name]) for name, value in row.items()):
            del rows[i]
            return True
    return False


def _equal(expected: Any, actual: Any) -> bool:
    if isinstance(actual, datetime) and isinstance(expected, str):
        return actual.astimezone(UTC) == _instant(expected)
    if isinstance(actual, date) and isinstance(expected, str):
        return actual.isoformat() == expected
    if isinstance(expected, bool) or isinstance(actual, bool) or None in (expected, actual):
        return expected is actual
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        return isclose(expected, actual, abs_tol=1e-6)
    return bool(expected == actual)


def _shown(row: Row) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()
    }


def _instant(text: str) -> datetime:
    found = parse_time(text)
    if found is None:
        raise ValueError(text)
    return found
