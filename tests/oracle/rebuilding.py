"""A warehouse whose raw rows come and go between builds, and what two builds differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from history_rows import TABLES

from pipelines.building.build import BuildResult
from pipelines.warehouse import Connection

if TYPE_CHECKING:
    from place import Place

Row = dict[str, Any]
Named = tuple[str, Row]
Tables = Mapping[str, Counter[str]]

KEPT_APART = frozenset({"touched", "built_rows", "build_state", "to_publish", "phone_keys"})
"""What a build remembers; phones stay in the last one when nobody has them any more."""


class Bench:
    """A warehouse, and the settings it is built with."""

    def __init__(self, place: Place, **options: Any) -> None:
        self.place, self.options = place, options

    def copy(self, folder: Path) -> Bench:
        """The same warehouse elsewhere."""
        return Bench(self.place.copy(folder), **self.options)

    def build(self, as_of: datetime, **options: Any) -> BuildResult:
        return self.place.build(as_of=as_of, **(self.options | options))

    def add(self, rows: Iterable[Named]) -> None:
        """Insert rows, also ones that are there."""
        for table, found in _by_table(rows).items():
            columns = [*TABLES[table].columns, "account", "payload", "row_hash", "fetched_at"]
            self.place.add(table, found, [*columns, "_dlt_load_id"])

    def erase(self, rows: Iterable[Named]) -> None:
        """Delete all copies of rows."""
        with self.place.warehouse.connect() as connection:
            for table, row in rows:
                sql = f"delete from {table} where account = $1 and id = $2"
                connection.execute(sql, [row["account"], row["id"]])

    def replace(self, rows: Iterable[Named]) -> None:
        """Put rows in the place of their other versions."""
        rows = list(rows)
        self.erase(rows)
        self.add(rows)

    def tables(self) -> Tables:
        """All that the models made: intermediate tables and marts."""
        sql = (
            "select table_schema || '.' || table_name from information_schema.tables "
            "where table_schema in ('intermediate', 'marts') order by 1"
        )
        with self.place.warehouse.connect() as connection:
            return {
                name: _rows(connection, name)
                for (name,) in connection.execute(sql).fetchall()
                if name.split(".")[1] not in KEPT_APART
            }


def differences(some: Tables, others: Tables) -> list[str]:
    """One line per table that differs: how many rows only one side has, and one of each."""
    lines = [f"{name}: only on one side" for name in sorted(some.keys() ^ others.keys())]
    for name in sorted(some.keys() & others.keys()):
        only = [a - b for a, b in ((some[name], others[name]), (others[name], some[name]))]
        if any(only):
            counts = [rows.total() for rows in only]
            lines.append(f"{name}: {counts[0]} rows of the first, {counts[1]} of the second")
            lines += [f"    {next(iter(rows))}" for rows in only if rows]
    return lines


def _rows(connection: Connection, name: str) -> Counter[str]:
    """The rows of a table; sums of fractions depend on the order they are added in."""
    cursor = connection.execute(f"select * from {name}")
    names = [column[0] for column in cursor.description or []]
    return Counter(
        repr([(n, _rounded(v)) for n, v in zip(names, row, strict=True)])
        for row in cursor.fetchall()
    )


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def _by_table(rows: Iterable[Named]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for table, row in rows:
        found.setdefault(table, []).append(row)
    return found
