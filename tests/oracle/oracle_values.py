"""Raw text to values, as plainly as possible: what can't be read is missing, never an error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]
"""One raw row: column name → text, as it was inserted."""

Raw = Mapping[str, Sequence[Row]]
"""Table name with its schema (`raw_kapso.messages`) → rows."""

DAY = timedelta(hours=24)


def text(value: Any) -> str | None:
    """The text without its margins; empty means missing."""
    return (str(value).strip() or None) if value is not None else None


def word(value: Any) -> str | None:
    """A name out of a list (a type, a status, a direction): its case says nothing."""
    found = text(value)
    return found.lower() if found else None


def first(*values: str | None) -> str | None:
    """The first that is there."""
    return next((value for value in values if value), None)


def instant(value: Any) -> datetime | None:
    """An ISO 8601 time in UTC; without an offset it is UTC already."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        parsed = datetime.fromisoformat(text(value) or "")
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def unix(value: Any) -> datetime | None:
    """Whole seconds since 1970, as Meta writes times, or ISO 8601.

    Milliseconds make no date of this era.
    """
    digits = text(value) or ""
    if not digits.isdigit():
        return instant(value)
    try:
        return datetime.fromtimestamp(int(digits), UTC)
    except (ValueError, OverflowError):
        return None


def number(value: Any) -> float | None:
    """A number that was sent as text or as a number; infinity and NaN are none."""
    try:
        found = float(text(value) or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def document(value: Any) -> Any:
    """A JSON column, decoded."""
    try:
        return json.loads(text(value) or "null")
    except ValueError:
        return None


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a JSON list column, without what else stands in it."""
    found = document(value)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def field(value: Any, name: str) -> Any:
    """A field of a JSON object column; None when there is no object."""
    found = document(value)
    return found.get(name) if isinstance(found, dict) else None


def seconds(start: datetime, end: datetime) -> float:
    """The length of a wait: never negative."""
    return max((end - start).total_seconds(), 0.0)
