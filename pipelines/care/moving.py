"""Move a DuckDB warehouse to PostgreSQL: what cannot be built or read again goes over.

Raw rows, positions, cursors, webhooks and who was erased, in one transaction and counted on both
sides. The next sync goes on where the last one ended; models and marts are built there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UsageError, WarehouseError
from pipelines.provider import Provider

if TYPE_CHECKING:
    from pipelines.warehouse import Connection
    from pipelines.warehouse.embedded import DuckDBWarehouse
    from pipelines.warehouse.postgres import PostgresWarehouse

COPY_FILE = "copy.csv"
"""Where a table is on its way."""

LOADS = (
    "create table if not exists {schema}._dlt_loads (load_id varchar not null, "
    "schema_name varchar, status bigint not null, inserted_at timestamptz not null, "
    "schema_version_hash varchar)"
)
"""As dlt makes it: cursors count only when the load that brought them is in it."""


@dataclass(frozen=True)
class Moved:
    """One table that went over."""

    table: str
    rows: int


def move(
    source: DuckDBWarehouse,
    target: PostgresWarehouse,
    rooms: Sequence[Provider],
    *,
    on_table: Callable[[Moved], None] = lambda moved: None,
) -> list[Moved]:
    """Copy everything; return the tables. The caller holds both locks.

    Raises:
        UsageError: the target holds rows already.
        WarehouseError: a table has other rows there than here; then nothing went over.
    """
    source.ensure_raw_tables(rooms)
    target.ensure_raw_tables(rooms)
    done = []
    with source.connect() as here, target.transaction() as there:
        for schema in (room.schema for room in rooms):
            if _has(here, schema, "_dlt_loads"):
                there.execute(LOADS.format(schema=schema))
        for schema, table, columns in _tables(here, rooms):
            name = f'{schema}."{table}"'
            if _count(there, name):
                raise UsageError(
                    f"{target.name} has rows in {schema}.{table}",
                    hint="copy into an empty database",
                )
            file = source.data_dir / COPY_FILE
            try:
                _write(here, name, columns, file)
                target.copy_csv(there, name, columns, file)
            finally:
                file.unlink(missing_ok=True)
            moved = Moved(f"{schema}.{table}", _count(there, name))
            if moved.rows != _count(here, name):
                raise WarehouseError(
                    f"{moved.table} has other rows there than here", hint="nothing was copied"
                )
            done.append(moved)
            on_table(moved)
    return done


def _tables(
    connection: Connection, rooms: Sequence[Provider]
) -> Iterator[tuple[str, str, list[str]]]:
    """Schema, name and columns of every table that goes over."""
    schemas = [*(room.schema for room in rooms), "raw_webhooks", "erasure"]
    found: dict[tuple[str, str], list[str]] = {}
    rows = connection.execute(
        "select table_schema, table_name, column_name from information_schema.columns "
        "where table_schema in (select unnest($1::text[])) "
        "and (table_name not like '!_dlt!_%' escape '!' or table_name = '_dlt_loads') "
        "order by table_schema, table_name, ordinal_position",
        [schemas],
    ).fetchall()
    for schema, table, column in rows:
        found.setdefault((schema, table), []).append(column)
    for (schema, table), columns in found.items():
        yield schema, table, columns


def _write(connection: Connection, name: str, columns: Sequence[str], file: Path) -> None:
    """A table as CSV: texts in quotes, also empty ones, and nulls without."""
    names = ", ".join(f'"{column}"' for column in columns)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    path = str(file).replace("'", "''")
    connection.execute(
        f"copy (select {names} from {name}) to '{path}' (format csv, header false, force_quote *)"
    )


def _has(connection: Connection, schema: str, table: str) -> bool:
    sql = "select 1 from information_schema.tables where table_schema = $1 and table_name = $2"
    return bool(connection.execute(sql, [schema, table]).fetchall())


def _count(connection: Connection, name: str) -> int:
    row: tuple[Any, ...] | None = connection.execute(f"select count(*) from {name}").fetchone()
    return int(row[0]) if row else 0
