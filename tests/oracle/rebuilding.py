"""A warehouse whose raw rows come and go between builds, and what two builds differ in."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from history_rows import TABLES

from pipelines.build import BuildResult, build
from pipelines.providers import find
from pipelines.warehouse import at

Row = dict[str, Any]
Named = tuple[str, Row]
Tables = Mapping[str, "pa.Table"]

KEPT_APART = frozenset({"touched", "built_rows", "build_state", "phone_keys"})
"""What a build remembers; phones stay in the last one when nobody has them any more."""


class Bench:
    """A warehouse, and the settings it is built with."""

    def __init__(self, folder: Path, **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.options = folder, options
        self.path = folder / "warehouse.duckdb"
        at(self.path, folder).ensure_raw_tables(find())

    def copy(self, folder: Path) -> Bench:
        """The same warehouse elsewhere."""
        folder.mkdir(parents=True)
        shutil.copy(self.path, folder / self.path.name)
        return Bench(folder, **self.options)

    def build(self, as_of: datetime, **options: Any) -> BuildResult:
        return build(at(self.path, self.folder), as_of=as_of, **(self.options | options))

    def add(self, rows: Iterable[Named]) -> None:
        """Insert rows, also ones that are there."""
        for table, found in _by_table(rows).items():
            columns = [*TABLES[table].columns, "account", "payload", "row_hash", "fetched_at"]
            columns.append("_dlt_load_id")
            landed = pa.table({name: [row[name] for row in found] for name in columns})
            with self._open() as connection:
                connection.register("landed", landed)
                connection.execute(f"insert into {table} by name select * from landed")

    def erase(self, rows: Iterable[Named]) -> None:
        """Delete all copies of rows."""
        for table, found in _by_table(rows).items():
            with self._open() as connection:
                connection.executemany(
                    f"delete from {table} where account = ? and id = ?",
                    [(row["account"], row["id"]) for row in found],
                )

    def replace(self, rows: Iterable[Named]) -> None:
        """Put rows in the place of their other versions."""
        rows = list(rows)
        self.erase(rows)
        self.add(rows)

    def run(self, statement: str) -> None:
        with self._open() as connection:
            connection.execute(statement)

    def tables(self) -> Tables:
        """All that the models made: intermediate tables and marts, sorted."""
        with self._open() as connection:
            names = connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables "
                "where table_schema in ('intermediate', 'marts') order by 1"
            ).fetchall()
            return {
                name: _sorted(connection, name)
                for (name,) in names
                if name.split(".")[1] not in KEPT_APART
            }

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(self.path))
        connection.execute("set TimeZone = 'UTC'")
        return connection


def differences(some: Tables, others: Tables) -> list[str]:
    """One line per table that differs: how many rows only one side has, and one of each."""
    lines = [f"{name}: only on one side" for name in sorted(some.keys() ^ others.keys())]
    for name in sorted(some.keys() & others.keys()):
        if some[name].equals(others[name]):
            continue
        left, right = (_counted(table) for table in (some[name], others[name]))
        only = [[dict(row) for row in a if row not in b] for a, b in ((left, right), (right, left))]
        lines.append(f"{name}: {len(only[0])} rows of the first, {len(only[1])} of the second")
        lines += [f"    {rows[0]}" for rows in only if rows]
    return lines


def _counted(table: pa.Table) -> set[tuple[tuple[str, Any], ...]]:
    return {tuple(row.items()) for row in table.to_pylist()}


def _sorted(connection: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    """All rows; sums of fractions depend on the order they are added in, so they are rounded."""
    columns = ", ".join(
        f'round("{column}", 6) as "{column}"' if kind == "DOUBLE" else f'"{column}"'
        for column, kind, *_ in connection.execute(f"describe {name}").fetchall()
    )
    return connection.sql(f"select {columns} from {name} order by all").to_arrow_table()


def _by_table(rows: Iterable[Named]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for table, row in rows:
        found.setdefault(table, []).append(row)
    return found
