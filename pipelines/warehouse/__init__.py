"""The warehouse: the one place that knows DuckDB from Postgres.

`base` says what a warehouse can do and holds the SQL that both understand; `embedded` is DuckDB,
`postgres` is PostgreSQL. Each is imported when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipelines.errors import ConfigError
from pipelines.warehouse.base import (
    Connection,
    SyncState,
    Warehouse,
    all_sync_states,
    disk_full,
    ensure_raw_tables,
)
from pipelines.warehouse.stored import StoredRows

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.settings import Settings

__all__ = [
    "Connection",
    "StoredRows",
    "SyncState",
    "Warehouse",
    "all_sync_states",
    "at",
    "disk_full",
    "ensure_raw_tables",
    "open_warehouse",
]


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse that the settings name.

    Raises:
        ConfigError: its URL is none, or of a kind that this version can't use.
    """
    url = settings.warehouse_url
    hint = "duckdb:///data/warehouse.duckdb (four slashes: absolute) or postgresql://…"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("warehouse.url is not a URL", hint=hint) from None
    if parts.scheme == "duckdb" and (parts.query or parts.fragment):
        raise ConfigError("warehouse.url: the path of a file ends at ? and #", hint=hint)
    if parts.scheme == "duckdb" and not parts.netloc and parts.path.strip("/"):
        return at(settings.path(parts.path[1:]), settings.data_path)
    if parts.scheme in ("postgresql", "postgres"):
        from pipelines.warehouse.postgres import PostgresWarehouse

        return PostgresWarehouse(url, settings.data_path)
    raise ConfigError(f"warehouse.url: {parts.scheme or 'no'} URLs are not supported", hint=hint)


def at(path: Path, data_dir: Path) -> Warehouse:
    """The DuckDB warehouse in a file."""
    from pipelines.warehouse.embedded import DuckDBWarehouse

    return DuckDBWarehouse(path, data_dir)
