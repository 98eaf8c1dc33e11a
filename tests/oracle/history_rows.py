"""Raw rows as a sync lands them: the tables' columns, and the spellings of times."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from pipelines.provider import Table
from pipelines.providers.kapso import tables as kapso
from pipelines.providers.waspy import tables as waspy

Rows = dict[str, list[dict[str, Any]]]

AS_OF = datetime(2026, 3, 31, 12, tzinfo=UTC)
"""After both spring changes of clocks, in the north and in the United States."""


TABLES: Mapping[str, Table] = {
    f"raw_{room}.{table.name}": table
    for room, tables in (("kapso", kapso.TABLES), ("waspy", waspy.TABLES))
    for table in tables
}


def row(table: str, **values: Any) -> dict[str, Any]:
    """One raw row: what is not given is null."""
    columns = dict.fromkeys(TABLES[table].columns)
    common = {"account": None, "payload": "{}", "row_hash": "h", "fetched_at": AS_OF}
    known = {name: value for name, value in values.items() if name in columns or name in common}
    return columns | common | {"_dlt_load_id": "1"} | known


def digest(*parts: object) -> int:
    """A number that looks random and is always the same."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:12], 16)


def iso(at: datetime) -> str:
    """A time as the providers write it: with or without fractions, seldom with an offset."""
    plain = at.strftime("%Y-%m-%dT%H:%M:%S")
    local = at.astimezone(timezone(timedelta(hours=-4))).isoformat()
    return (f"{plain}.000Z", f"{plain}.000000Z", f"{plain}Z", local)[digest(plain) % 4]


def unix(at: datetime) -> str:
    """A time as Meta writes it."""
    return str(int(at.timestamp()))
