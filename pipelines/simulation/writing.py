"""How values are written on the wire."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Any


def encode(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def stamp(at: datetime | None, *, digits: int = 0) -> str | None:
    """ISO-8601 in UTC with `Z` and 0, 3 or 6 fraction digits, cut and not rounded."""
    if at is None:
        return None
    spec = {0: "seconds", 3: "milliseconds", 6: "microseconds"}[digits]
    return at.isoformat(timespec=spec)[:-6] + "Z"


@lru_cache(maxsize=100_000)
def uuid_for(*parts: object) -> str:
    """The same UUID for the same parts, for ever."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))))


def is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
