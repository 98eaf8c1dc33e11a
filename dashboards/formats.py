"""Numbers, durations and times as a reader in Spanish or English writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.times import duration_text

NOTHING = "–"
MINUTE = 60
MONTHS = {
    "es": ("ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
}
WEEKDAYS = {
    "es": ("lun", "mar", "mié", "jue", "vie", "sáb", "dom"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
SPACE = "\N{NO-BREAK SPACE}"
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def number(value: float | None, language: str, digits: int = 0) -> str:
    """`12,345.6`, in Spanish `12.345,6`."""
    if value is None:
        return NOTHING
    text = f"{value:,.{digits}f}"
    return text.translate(str.maketrans(",.", ".,")) if language == "es" else text


def percent(part: float | None, whole: float | None, language: str) -> str:
    """A share with one decimal; nothing when there is no whole."""
    if part is None or not whole:
        return NOTHING
    text = number(100 * part / whole, language, 1)
    return f"{text}{SPACE}%" if language == "es" else f"{text}%"


def duration(seconds: float | None) -> str:
    """`45 s`, `4 min`, `2 h 05 min`, `3 d 07 h`."""
    return NOTHING if seconds is None else duration_text(seconds).replace(" ", SPACE)


def left(seconds: float | None) -> str:
    """A duration in whole minutes: there is never more time left than there is."""
    return duration(seconds if seconds is None or seconds < MINUTE else seconds // MINUTE * MINUTE)


def money(value: float | None, language: str) -> str:
    """US dollars: `US$ 12.50`, and no cents from a thousand up."""
    if value is None:
        return NOTHING
    return f"US${SPACE}{number(value, language, 2 if abs(value) < 1000 else 0)}"


def day(value: date | None, language: str, *, with_year: bool = True) -> str:
    """`20 nov 2026`."""
    if value is None:
        return NOTHING
    text = f"{value.day} {MONTHS[language][value.month - 1]}"
    return (f"{text} {value.year}" if with_year else text).replace(" ", SPACE)


def moment(value: datetime | None, zone: str, language: str) -> str:
    """`20 nov 2026 18:05` on the channel's clock."""
    if value is None:
        return NOTHING
    local = value.astimezone(ZoneInfo(zone))
    return f"{day(local.date(), language)}{SPACE}{local:%H:%M}"


def clock(value: datetime | None, zone: str) -> str:
    """`18:05` on the channel's clock."""
    return NOTHING if value is None else f"{value.astimezone(ZoneInfo(zone)):%H:%M}"


def csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A file that a spreadsheet reads as data: text that it would take for a formula is quoted."""
    import csv as writer
    import io

    out = io.StringIO()
    write = writer.writer(out, lineterminator="\r\n")
    write.writerow(columns)
    write.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def cell(value: Any) -> Any:
    """One cell: times in UTC, nothing for null, an apostrophe before what looks like a formula."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, str) and value.lstrip(" ").startswith(DANGEROUS):
        return f"'{value}"
    return "" if value is None else value


def plain(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON types, for a chart."""
    return [
        {k: v.isoformat() if isinstance(v, date) else v for k, v in row.items()} for row in rows
    ]
