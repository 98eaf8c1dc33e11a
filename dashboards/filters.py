"""What the viewer chose: dates, numbers of the business, agents, scope and clock; all of it in the
URL, so that a view can be shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

PERIODS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}
GRAINS = ("day", "week", "month")
SCOPES = ("any", "human")
CLOCKS = ("calendar", "business")
KINDS = ("all", "first")
LISTS = ("provider", "account", "channel", "agent")
CHOICES = {"grain": GRAINS, "scope": SCOPES, "clock": CLOCKS, "turns": KINDS}
LONGEST = 10 * 366
"""Days: what is older has no chart."""

YEARS = range(1970, 2101)
"""Of days that a URL may ask for: around them there is still a calendar for the period before."""


@dataclass(frozen=True)
class Filters:
    """A view. Days are local to the channel; `last` is the day of the data's clock.

    Attributes:
        period: one of PERIODS, or `custom`, which takes `start` and `end`.
        provider, account, channel, agent: empty means all.
        turns: `first` keeps only the turns of first response time.
    """

    last: date
    period: str = "30d"
    start: date | None = None
    end: date | None = None
    grain: str = "day"
    scope: str = "any"
    clock: str = "calendar"
    turns: str = "all"
    compare: bool = False
    provider: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    channel: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()

    @property
    def days(self) -> tuple[date, date]:
        """First and last day."""
        if self.period == "custom" and self.start and self.end:
            return self.start, self.end
        return self.last - timedelta(days=PERIODS.get(self.period, 30) - 1), self.last

    def before(self) -> Filters:
        """The same view of the days just before, as many."""
        start, end = self.days
        length = (end - start).days + 1
        return replace(
            self,
            period="custom",
            start=start - timedelta(days=length),
            end=start - timedelta(days=1),
        )

    def values(self) -> dict[str, Any]:
        """The values that queries bind."""
        start, end = self.days
        return {
            "from_day": start,
            "to_day": end,
            "grain": self.grain,
            "scope": self.scope,
            "clock": self.clock,
            "only_first": self.turns == "first",
            "providers": list(self.provider) or None,
            "accounts": list(self.account) or None,
            "channels": list(self.channel) or None,
            "agents": list(self.agent) or None,
        }

    def query(self) -> dict[str, str | list[str]]:
        """As it stands in the URL: only what differs from the default."""
        found: dict[str, str | list[str]] = {}
        if self.period == "custom" and self.start and self.end:
            found |= {"from": self.start.isoformat(), "to": self.end.isoformat()}
        elif self.period != "30d":
            found["period"] = self.period
        for name in CHOICES:
            value = getattr(self, name)
            if value != Filters.__dataclass_fields__[name].default:
                found[name] = value
        if self.compare:
            found["compare"] = "1"
        for name in LISTS:
            if values := getattr(self, name):
                found[name] = list(values)
        return found


def parse(
    query: Mapping[str, Sequence[str]], known: Mapping[str, Sequence[str]], last: date
) -> tuple[Filters, list[str]]:
    """The view that a URL asks for, and the names of what it asks for in vain.

    Args:
        query: every value of every name.
        known: the values that the lists of LISTS can have.
        last: the day of the data's clock.
    """
    found: dict[str, Any] = {}
    unknown = []
    for name, choices in {**CHOICES, "period": tuple(PERIODS)}.items():
        if (asked := _only(query, name)) is not None:
            if asked in choices:
                found[name] = asked
            else:
                unknown.append(name)
    found["compare"] = _only(query, "compare") == "1"
    if _only(query, "compare") not in ("1", None):
        unknown.append("compare")
    if "from" in query or "to" in query:
        span = _span(_only(query, "from"), _only(query, "to"))
        if span:
            found |= {"period": "custom", "start": span[0], "end": span[1]}
        else:
            unknown.append("from")
    for name in LISTS:
        asked_values = query.get(name, ())
        found[name] = tuple(dict.fromkeys(v for v in asked_values if v in known.get(name, ())))
        if len(found[name]) < len(set(asked_values)):
            unknown.append(name)
    return Filters(last=last, **found), unknown


def _only(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = query.get(name, ())
    return values[-1] if values else None


def _span(start: str | None, end: str | None) -> tuple[date, date] | None:
    try:
        days = date.fromisoformat(start or ""), date.fromisoformat(end or "")
    except ValueError:
        return None
    is_known = all(day.year in YEARS for day in days)
    return days if is_known and timedelta(0) <= days[1] - days[0] <= timedelta(LONGEST) else None


def buckets(filters: Filters) -> list[date]:
    """The first day of every bucket of the view, empty ones too."""
    start, end = filters.days
    first = bucket_of(start, filters.grain)
    found = []
    while first <= end:
        found.append(first)
        first = _next(first, filters.grain)
    return found


def bucket_of(day: date, grain: str) -> date:
    """The first day of a day's bucket."""
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def bucket_end(first: date, grain: str) -> date:
    """The last day of a bucket."""
    return _next(first, grain) - timedelta(days=1)


def _next(first: date, grain: str) -> date:
    if grain == "month":
        return (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return first + timedelta(days=7 if grain == "week" else 1)
