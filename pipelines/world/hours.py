"""When the shop is open and when its customers write. Times are whole seconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pipelines.world.things import Opening

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
FIRST_MONDAY = 4 * DAY  # 1 January 1970 was a Thursday

DEMAND_BY_HOUR = (
    2,
    1,
    0.6,
    0.4,
    0.3,
    0.5,
    1,
    3,
    7,
    11,
    13,
    13,
    11,
    9,
    8,
    9,
    10,
    11,
    11,
    10,
    9,
    8,
    6,
    4,
)
DEMAND_BY_WEEKDAY = (1.25, 1.15, 1.1, 1.05, 1.1, 0.8, 0.5)
DEMAND_BY_MONTH = (0.8, 0.75, 0.95, 0.95, 1.15, 1.0, 1.05, 1.05, 1.0, 1.05, 1.2, 1.35)


class Hours:
    """A channel's opening hours. `offset` is local minus UTC, in seconds."""

    def __init__(self, openings: Sequence[Opening], *, offset: int) -> None:
        self._offset = offset
        self._week = sorted(
            (o.weekday * DAY + o.start * MINUTE, o.weekday * DAY + o.end * MINUTE) for o in openings
        )

    def minute_of_day(self, at: int) -> int:
        return (at + self._offset) % DAY // MINUTE

    def next_open(self, at: int) -> int:
        """`at` itself when the shop is open then, else the next opening."""
        return self._stretch(at)[0]

    def is_open(self, at: int) -> bool:
        return self.next_open(at) == at

    def worked(self, at: int, seconds: int) -> int:
        """The time at which so much opening time has passed since `at`."""
        start, end = self._stretch(at)
        while start + seconds >= end:
            seconds -= end - start
            start, end = self._stretch(end)
        return start + seconds

    def _stretch(self, at: int) -> tuple[int, int]:
        position = (at + self._offset - FIRST_MONDAY) % WEEK
        monday = at - position
        for start, end in self._week:
            if position < end:
                return max(at, monday + start), monday + end
        start, end = self._week[0]
        return monday + WEEK + start, monday + WEEK + end


def arrivals(rng: Random, *, midnight: int, mean: float) -> list[int]:
    """When customers start to write on one local day, in order."""
    hours = rng.choices(range(24), DEMAND_BY_HOUR, k=about(rng, mean))
    return sorted(midnight + hour * HOUR + rng.randrange(HOUR) for hour in hours)


def about(rng: Random, mean: float) -> int:
    """A whole number that is `mean` on average and varies as counts of independent things do."""
    return int(max(0.0, rng.gauss(mean, mean**0.5)) + rng.random())


def lasting(rng: Random, *, median: float, spread: float = 1.0) -> int:
    """A duration in seconds, at least 1: many short ones and a long tail."""
    return max(1, int(median * rng.lognormvariate(0.0, spread)))
