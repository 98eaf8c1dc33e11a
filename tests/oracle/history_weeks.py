"""Random opening hours: overlaps, nights, exceptions, and zones with every sort of clock change."""

from __future__ import annotations

import random
from datetime import date, timedelta

from oracle_hours import WEEKDAYS, Hours

ZONES = (
    "Africa/Casablanca",  # back and forth around Ramadan
    "America/Argentina/Buenos_Aires",
    "America/Havana",
    "America/New_York",
    "America/Santiago",  # changes at midnight
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # half an hour
    "Europe/Madrid",
    "Pacific/Apia",
)


def random_hours(rng: random.Random, first: date, days: int) -> Hours:
    """A calendar with exceptions on some of the days."""
    week = {day: _intervals(rng) for day in WEEKDAYS if rng.random() < 0.8}
    dates = [first + timedelta(days=rng.randrange(days)) for _ in range(3)]
    return Hours(rng.choice(ZONES), week, {day.isoformat(): _intervals(rng) for day in dates})


def _intervals(rng: random.Random) -> list[str]:
    return [f"{_clock(rng, 95)}-{_clock(rng, 96)}" for _ in range(rng.randrange(4))]


def _clock(rng: random.Random, last: int) -> str:
    """A quarter of an hour; the 96th is 24:00."""
    hour, quarter = divmod(rng.randint(0, last), 4)
    return f"{hour:02d}:{quarter * 15:02d}"
