"""What nobody needs any more: packages that were set aside, the room of rows that are gone."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from pipelines.provider import Provider
from pipelines.warehouse import Warehouse

log = logging.getLogger(__name__)

SET_ASIDE_DAYS = 30


def clean_up(warehouse: Warehouse) -> int:
    """Remove packages that were set aside long ago; return how many. They hold what customers
    wrote. The caller holds the warehouse's lock."""
    oldest = time.time() - SET_ASIDE_DAYS * 86400
    old = [p for p in _set_aside(warehouse.data_dir) if p.stat().st_mtime < oldest]
    for place in old:
        shutil.rmtree(place)
    log.info("%d packages that were set aside are removed", len(old))
    return len(old)


def forget_rejected(
    warehouse: Warehouse, rooms: Iterable[Provider], *, days: float, now: datetime
) -> None:
    """Remove rows that could not be landed or understood long ago. The caller holds the lock."""
    oldest = now - timedelta(days=days)
    with warehouse.connect() as connection:
        for room in rooms:
            connection.execute(
                f"delete from {room.schema}.rejected where fetched_at < $1", [oldest]
            )
        connection.execute("delete from raw_webhooks.rejected where received_at < $1", [oldest])


def compact(warehouse: Warehouse) -> None:
    """Write a DuckDB file anew and publish it. PostgreSQL uses the room of deleted rows again by
    itself; writing its tables anew would shut the receiver and the dashboard out meanwhile. The
    caller holds the warehouse's lock."""
    from pipelines.warehouse.embedded import DuckDBWarehouse

    if isinstance(warehouse, DuckDBWarehouse):
        warehouse.compact()


def _set_aside(data_dir: Path) -> list[Path]:
    folder = data_dir / "dlt" / "set_aside"
    return list(folder.iterdir()) if folder.exists() else []
