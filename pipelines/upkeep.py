"""What nobody needs any more: files that were set aside, and room that deleted rows left behind."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

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


def _set_aside(data_dir: Path) -> list[Path]:
    folder = data_dir / "dlt" / "set_aside"
    return list(folder.iterdir()) if folder.exists() else []
