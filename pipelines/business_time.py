"""Business hours, and the clock that turns them into seconds a database can subtract.

Hours are written in local wall-clock time; response times are UTC. In between stands one function
F: open seconds since the clock's first day. It is piecewise linear, so business time between two
instants is F(b) - F(a), two look-ups in a table. F is made here, from Python's zone data alone,
because databases ship their own and disagree about the newest rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pipelines.errors import ConfigError
from pipelines.times import is_zone

DAY = 24 * 60
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_INTERVAL = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)")

Minutes = tuple[int, int]
"""Start and end in minutes after local midnight; an end not after its start is the next day's."""


@dataclass(frozen=True)
class BusinessHours:
    """When one team is open.

    Attributes:
        timezone: IANA name of the zone the intervals are written in.
        week: weekday (0 = Monday) → intervals of that day; a missing weekday is closed.
        exceptions: date → intervals that replace that day's; empty means closed.
    """

    timezone: str
    week: Mapping[int, Sequence[Minutes]]
    exceptions: Mapping[date, Sequence[Minutes]] = field(default_factory=dict)

    def on(self, day: date) -> Sequence[Minutes]:
        """The intervals that start on this local day."""
        return self.exceptions.get(day, self.week.get(day.weekday(), ()))


class Segment(NamedTuple):
    """A stretch of one UTC day in which the clock runs (`is_open`) or stands."""

    utc_day: date
    starts_at: datetime
    ends_at: datetime
    open_seconds: float
    is_open: bool


def parse_hours(
    *,
    timezone: str,
    exceptions: Mapping[str | date, Sequence[str]] | None = None,
    **weekdays: Sequence[str],
) -> BusinessHours:
    """Hours from configuration text: `monday=["09:00-13:00", "14:00-18:00"]`.

    Raises:
        ConfigError: an unknown zone, weekday or date, or an interval that is not `HH:MM-HH:MM`.
    """
    unknown = sorted(set(weekdays) - set(WEEKDAYS))
    if unknown:
        raise ConfigError(
            f"unknown weekday in business hours: {unknown[0]}", hint=f"use {', '.join(WEEKDAYS)}"
        )
    return BusinessHours(
        timezone=parse_zone(timezone),
        week={WEEKDAYS.index(day): _intervals(day, texts) for day, texts in weekdays.items()},
        exceptions={
            _date(day): _intervals(str(day), texts) for day, texts in (exceptions or {}).items()
        },
    )


def parse_zone(name: str) -> str:
    """The name itself, when it is an IANA time zone.

    Raises:
        ConfigError: no such zone.
    """
    if not is_zone(name):
        raise ConfigError(
            f"unknown time zone: {name!r}",
            hint="use an IANA name such as America/Argentina/Buenos_Aires",
        )
    return name


def clock(hours: BusinessHours, *, first: date, last: date) -> Iterator[Segment]:
    """F over the UTC days from first to last, both included, cut at every UTC midnight.

    Each instant of those days is in exactly one segment; F there is `open_seconds` plus, when the
    segment is open, the seconds since `starts_at`.
    """
    total = 0.0
    shifts = _Cutter(open_intervals(hours, first=first, last=last))
    day = first
    while day <= last:
        for starts_at, ends_at, is_open in shifts.cut(_midnight(day), _midnight(_next(day))):
            yield Segment(day, starts_at, ends_at, total, is_open)
            total += (ends_at - starts_at).total_seconds() if is_open else 0.0
        day = _next(day)


def open_intervals(
    hours: BusinessHours, *, first: date, last: date
) -> Iterator[tuple[datetime, datetime]]:
    """The open stretches that touch these UTC days, in UTC, merged and ascending."""
    # A shift may start a local day earlier and last a day; zones reach from -12 to +14 hours.
    days = _days(first - timedelta(days=3), last + timedelta(days=2))
    zone = ZoneInfo(hours.timezone)
    shifts = sorted(
        (_instant(day, start, zone), _instant(day, _end(start, end), zone))
        for day in days
        for start, end in hours.on(day)
    )
    yield from _merge(shifts)


def _end(start: int, end: int) -> int:
    return end if end > start else end + DAY


def _instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall-clock time.

    A time that happens twice is its first occurrence; one that a clock change skips is read with
    the offset from before the change.
    """
    local = datetime.combine(day, time(), zone) + timedelta(minutes=minutes)
    return local.replace(fold=0).astimezone(UTC)


def _merge(shifts: Iterable[tuple[datetime, datetime]]) -> Iterator[tuple[datetime, datetime]]:
    current: tuple[datetime, datetime] | None = None
    for starts_at, ends_at in shifts:
        if ends_at <= starts_at:  # swallowed whole by a clock change
            continue
        if current is None:
            current = (starts_at, ends_at)
        elif starts_at <= current[1]:
            current = (current[0], max(current[1], ends_at))
        else:
            yield current
            current = (starts_at, ends_at)
    if current is not None:
        yield current


class _Cutter:
    """Intervals that can be read up to an instant, keeping what lies beyond it."""

    def __init__(self, intervals: Iterator[tuple[datetime, datetime]]) -> None:
        self._intervals = intervals
        self._head = next(intervals, None)

    def cut(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
        """Closed and open stretches that together fill [start, end)."""
        here = start
        while here < end:
            while self._head is not None and self._head[1] <= here:
                self._head = next(self._intervals, None)
            if self._head is None or self._head[0] >= end:
                yield here, end, False
                return
            opens, closes = self._head
            if opens > here:
                yield here, opens, False
            yield max(opens, here), min(closes, end), True
            here = min(closes, end)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _next(day: date) -> date:
    return day + timedelta(days=1)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=offset) for offset in range((last - first).days + 1))


def _date(day: str | date) -> date:
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError as error:
        raise ConfigError(
            f"not a date in business hours: {day!r}", hint="write it as 2026-12-25"
        ) from error


def _intervals(day: str, texts: Sequence[str]) -> tuple[Minutes, ...]:
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise ConfigError(
            f"business hours of {day} are not a list", hint='write ["09:00-13:00", "14:00-18:00"]'
        )
    return tuple(_interval(day, text) for text in texts)


def _interval(day: str, text: str) -> Minutes:
    match = _INTERVAL.fullmatch(text.strip()) if isinstance(text, str) else None
    start, end = _minutes(*match.groups()) if match else (DAY, DAY)
    if start >= DAY or end > DAY:
        raise ConfigError(
            f"business hours of {day}: {text!r} is not an interval",
            hint="write 09:00-18:00; an end up to 24:00, or past midnight as in 22:00-06:00",
        )
    return start, end


def _minutes(hour: str, minute: str, end_hour: str, end_minute: str) -> Minutes:
    return int(hour) * 60 + int(minute), int(end_hour) * 60 + int(end_minute)
