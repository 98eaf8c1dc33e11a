"""The providers' times, read once, and our own stamps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, reset_tzpath

# Rules of zones from the package that is installed with us, not from the system, whose may be years
# older than DuckDB's: a row's local day and its business time would go by two clocks.
reset_tzpath(())

OF_THE_MACHINE = re.compile(r"localtime$|Factory$|posix|right/")
"""Names of zones that Python finds among a machine's files, and databases do not know."""


def parse_time(told: object) -> datetime | None:
    """The instant that a provider's value names, in UTC; None when it names none.

    ISO 8601 with `Z` or an offset and any number of fraction digits, or Unix seconds as text or as
    a number. A time without a zone is UTC: both providers say that their times are.
    """
    if not told or isinstance(told, bool) or not isinstance(told, str | int | float):
        return None
    try:
        if not isinstance(told, str) or told.isdigit():
            return datetime.fromtimestamp(float(told), UTC)
        time = datetime.fromisoformat(told)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def sortable(text: object) -> str | None:
    """The same instant as text that sorts as it does: UTC, always six fraction digits."""
    time = parse_time(text)
    return None if time is None else time.isoformat(timespec="microseconds")


def newest(texts: Sequence[object]) -> str | None:
    """The latest of some times, sortable; None when none is named."""
    found = [text for text in texts if isinstance(text, str) and text]
    if found and len({len(text) for text in found}) == 1 and all(t[-1] == "Z" for t in found):
        found = [max(found)]  # written alike, they sort as they are
    return max(filter(None, map(sortable, found)), default=None)


def past(stamp: object, now: datetime) -> datetime | None:
    """The instant of a stamp of ours; None without one, and when it is later than now: our clock
    was wrong then, and what it says must not hold until that day comes."""
    time = parse_time(stamp)
    return None if time is None or time > now else time


def age_seconds(time: datetime | None, now: datetime) -> float | None:
    """How long ago an instant is, 0 when it is later than now; None without one."""
    return None if time is None else max((now - time).total_seconds(), 0.0)


def duration_text(seconds: float) -> str:
    """`45 s`, `4 min`, `2 h 05 min`, `3 d 07 h`: two units at most, rounded half up."""
    whole, minutes, hours = (int(seconds / unit + 0.5) for unit in (1, 60, 3600))
    if whole < 60:
        return f"{whole} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes <= 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def is_due(done_at: object, every: timedelta, now: datetime) -> bool:
    """Whether what was last done at a stamp of ours, or never, is to be done again."""
    time = past(done_at, now)
    return time is None or now - time >= every


def is_zone(name: str) -> bool:
    """Whether it is the name of a time zone in the IANA database, which every engine knows."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError, TypeError):
        return False
    return not OF_THE_MACHINE.match(name)
