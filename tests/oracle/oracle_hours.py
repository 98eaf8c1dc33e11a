"""Business time and service targets (definitions §5), by walking a calendar day by day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from oracle_identity import Thread

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ONE_DAY = timedelta(days=1)
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Hours:
    """When a channel is open: weekly intervals (`"09:00-13:00"`) and days that differ."""

    timezone: str
    week: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exceptions: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, day: date) -> Sequence[str]:
        """The intervals that start on a day."""
        usual = self.week.get(WEEKDAYS[day.weekday()], ())
        return self.exceptions.get(day.isoformat(), usual)


@dataclass(frozen=True)
class Sla:
    """Targets in seconds, and the clock they are held against."""

    first_response_seconds: float | None = None
    response_seconds: float | None = None
    clock: str = "calendar"

    def target(self, *, is_first: bool) -> float | None:
        """The target of a session's first response, or of any other."""
        return self.first_response_seconds if is_first else self.response_seconds


@dataclass(frozen=True)
class Rules:
    """Everything configured: by `account/channel`, by account, and `default`."""

    timezone: str = "UTC"
    hours: Mapping[str, Hours] = field(default_factory=dict)
    slas: Mapping[str, Sla] = field(default_factory=dict)

    def hours_of(self, thread: Thread) -> Hours | None:
        """The calendar of a thread's channel."""
        return next((self.hours[name] for name in _scopes(thread) if name in self.hours), None)

    def sla_of(self, thread: Thread) -> Sla | None:
        """The targets of a thread's channel."""
        return next((self.slas[name] for name in _scopes(thread) if name in self.slas), None)

    def zone_of(self, thread: Thread) -> ZoneInfo:
        """The zone that cuts the days of a thread's channel."""
        hours = self.hours_of(thread)
        return ZoneInfo(hours.timezone if hours else self.timezone)


def _scopes(thread: Thread) -> Iterator[str]:
    if thread.channel_key:
        prefix = f"{thread.provider}:{thread.account}:"
        yield f"{thread.account}/{thread.channel_key.removeprefix(prefix)}"
    yield thread.account
    yield "default"


def business_seconds(hours: Hours | None, start: datetime, end: datetime) -> float | None:
    """Open seconds in [start, end); None without a calendar."""
    if hours is None:
        return None
    overlap = 0.0
    for opens, closes in union(open_spans(hours, start, end)):
        overlap += max((min(closes, end) - max(opens, start)).total_seconds(), 0.0)
    return overlap


def open_spans(hours: Hours, start: datetime, end: datetime) -> list[Span]:
    """Every interval, as UTC instants, of the local days that can touch [start, end)."""
    zone = ZoneInfo(hours.timezone)
    day = start.astimezone(zone).date() - 2 * ONE_DAY
    last = end.astimezone(zone).date() + ONE_DAY
    spans = []
    while day <= last:
        spans += [_span(interval, day, zone) for interval in hours.of(day)]
        day += ONE_DAY
    return spans


def _span(interval: str, day: date, zone: ZoneInfo) -> Span:
    opens, closes = interval.split("-")
    following = day + ONE_DAY if _minutes(closes) <= _minutes(opens) else day
    return _wall(day, opens, zone), _wall(following, closes, zone)


def _minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def _wall(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """A wall-clock time of a local day as an instant; 24:00 is the next day's midnight."""
    days, minutes = divmod(_minutes(clock), 24 * 60)
    hour, minute = divmod(minutes, 60)
    local = day + days * ONE_DAY
    return datetime(local.year, local.month, local.day, hour, minute, tzinfo=zone).astimezone(UTC)


def union(spans: Sequence[Span]) -> list[Span]:
    """The same time without overlaps."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
