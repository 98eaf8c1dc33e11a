"""What the numbers of the pages are counted from, once more: the rows of the marts, in Python."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dashboard_stage import ZONE

from dashboards import formats
from pipelines.warehouse import at

FIRST, LAST = date(2026, 10, 22), date(2026, 11, 20)
EDGES = (60, 300, 900, 3600, 14400, 28800, 86400)
Row = dict[str, Any]


def percentile(values: Iterable[float | None], share: float) -> float | None:
    """Linear interpolation between the two nearest ranks."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    place = (len(known) - 1) * share
    low = int(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (place - low)


def bucket(seconds: float) -> int:
    return sum(seconds >= edge for edge in EDGES)


class Marts:
    """The rows of the marts, read whole."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, list[Row]] = {}
        with at(folder / "warehouse.duckdb", folder).reader() as db:
            tables = db.execute(
                "select table_name from information_schema.tables where table_schema = 'marts'"
            ).fetchall()
            for (name,) in tables:
                cursor = db.execute(f"select * from marts.{name}")
                columns = [column[0] for column in cursor.description or []]
                self.rows[name] = [
                    dict(zip(columns, row, strict=True)) for row in cursor.fetchall()
                ]
        self.zones = {r["channel_key"]: r["timezone"] for r in self["dim_channels"]}
        self.channels = {
            r["channel_key"]: r["name"] or r["channel_id"] for r in self["dim_channels"]
        }

    def __getitem__(self, name: str) -> list[Row]:
        return self.rows[name]

    def local(self, row: Row, column: str) -> datetime:
        zone = self.zones.get(row["channel_key"], ZONE)
        found: datetime = row[column]
        return found.astimezone(ZoneInfo(zone)).replace(tzinfo=None)

    def of_view(self, name: str, column: str, **equal: Any) -> list[Row]:
        """The rows that begin on a local day of the view."""
        return [
            row
            for row in self[name]
            if row[column] is not None
            and FIRST <= self.local(row, column).date() <= LAST
            and all(row[key] == value for key, value in equal.items())
        ]


class Says:
    """How a reader of a language writes numbers."""

    def __init__(self, language: str) -> None:
        self.language = language

    def n(self, value: float | None) -> str:
        return formats.number(value, self.language)

    def share(self, part: float, whole: float) -> str:
        return formats.percent(part, whole, self.language)

    def long(self, seconds: float | None) -> str:
        return formats.duration(seconds)

    def left(self, seconds: float | None) -> str:
        return formats.left(seconds)

    def at(self, value: datetime | None) -> str:
        return formats.moment(value, ZONE, self.language)

    def usd(self, value: float | None) -> str:
        return formats.money(value, self.language)


def numbers(text: str) -> list[str]:
    """The numbers of a text, in order, with their signs of thousands and decimals."""
    return re.findall(r"\d[\d.,]*\d|\d", text)


def said(*texts: str) -> list[str]:
    return [number for text in texts for number in numbers(text)]


Expected = dict[str, list[str]]


def waiting_of(marts: Marts) -> list[Row]:
    return [r for r in marts["mart_backlog"] if r["scope"] == "any"]


def turns_of(marts: Marts) -> list[Row]:
    return marts.of_view("fct_turns", "started_at", scope="any")


def by_day(rows: Iterable[Row], day: Callable[[Row], date]) -> dict[date, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[day(row)].append(row)
    return found


def days() -> list[date]:
    return [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]


def seconds(value: float | None) -> str:
    return "gap" if value is None else f"{max(value, 1):.6g}"
