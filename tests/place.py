"""A warehouse of either engine, for tests: what they put in, build, and read."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from real_postgres import copied_database

from pipelines.building.build import BuildResult, build
from pipelines.building.dbt_runner import release
from pipelines.providers import find
from pipelines.warehouse import Warehouse, at
from pipelines.warehouse.postgres import PostgresWarehouse

Row = dict[str, Any]


class Place:
    """A warehouse in a folder of its own, and in a database when there is a URL.

    Statements take `?` or `$1`. What `build` built is published on PostgreSQL, where the marts of
    an unpublished build are not where readers look; on DuckDB the writer's file has them.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder, self.url = folder, url

    @property
    def warehouse(self) -> Warehouse:
        if self.url:
            return PostgresWarehouse(self.url, self.folder)
        return at(self.path, self.folder)

    @property
    def path(self) -> Path:
        """DuckDB's file."""
        return self.folder / "warehouse.duckdb"

    def ready(self) -> Place:
        """The same with all raw tables."""
        self.warehouse.ensure_raw_tables(find())
        return self

    def loosened(self) -> Place:
        """The same, where a row may be there twice: raw tables of PostgreSQL have keys, those of
        DuckDB have none."""
        if self.url:
            keys = self.rows(
                "select conrelid::regclass::text as name, conname from pg_constraint "
                r"where contype = 'p' and connamespace::regnamespace::text like 'raw\_%' "
                "and conrelid::regclass::text not like '%sync_state'"
            )
            for key in keys:
                self.run(f'alter table {key["name"]} drop constraint "{key["conname"]}"')
        return self

    def copy(self, folder: Path) -> Place:
        """The same warehouse elsewhere."""
        release()  # dbt holds the file open, and what it wrote last is not in it yet
        folder.mkdir(parents=True)
        if self.url:
            return Place(folder, copied_database(self.url))
        shutil.copy(self.path, folder / self.path.name)
        return Place(folder)

    def build(self, **options: Any) -> BuildResult:
        result = build(self.warehouse, **options)
        if self.url:
            self.warehouse.publish()
        return result

    def run(self, sql: str, *values: Any) -> None:
        """Statements; several of them take no values."""
        self.rows(sql, *values)

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """What a statement gives."""
        numbers = count(1)
        parts = sql.split("?")
        numbered = "".join(f"{part}${next(numbers)}" for part in parts[:-1]) + parts[-1]
        with self.warehouse.connect() as connection:
            cursor = connection.execute(numbered, list(values) or None)
            names = [column[0] for column in cursor.description or []]
            found = cursor.fetchall() if names else []
        return [dict(zip(names, row, strict=True)) for row in found]

    def add(self, table: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Insert rows of some columns, also ones that are there."""
        quoted = ", ".join(f'"{name}"' for name in columns)
        values = [[row[name] for name in columns] for row in rows]
        with self.warehouse.connect() as connection:
            self.warehouse.insert(connection, f"{table} ({quoted})", values)
