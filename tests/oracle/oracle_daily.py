"""Aggregates (definitions §6): days, percentiles, the backlog."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from oracle_hours import Rules
from oracle_turns import PROVISIONAL
from oracle_values import seconds

Row = Mapping[str, Any]


def percentile_cont(values: Sequence[float], share: float) -> float | None:
    """The value at a share of the way through, between two neighbours in proportion."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


def mean(values: Sequence[float]) -> float | None:
    """The average; of nothing, None."""
    return math.fsum(values) / len(values) if values else None


def backlog_row(turn: Row, as_of: datetime) -> dict[str, Any]:
    """One waiting turn; the seconds left are those of the window as it stands now, never < 0."""
    closes = turn["window_closes_at"]
    left = seconds(as_of, closes) if closes else None
    return {**turn, "window_seconds_left": left}


def daily_rows(turns: Sequence[Row], rules: Rules, as_of: datetime) -> list[dict[str, Any]]:
    """One row per local day, channel and scope in which a turn started."""
    cells: dict[tuple[Any, ...], list[Row]] = {}
    for turn in turns:
        day = turn["started_at"].astimezone(rules.zone_of(turn["thread"])).date()
        cell = tuple(turn[name] for name in ("provider", "account", "channel_key", "scope"))
        cells.setdefault((*cell, day), []).append(turn)
    return [_daily_row(cell, found, rules, as_of) for cell, found in cells.items()]


def _daily_row(
    cell: tuple[Any, ...], turns: Sequence[Row], rules: Rules, as_of: datetime
) -> dict[str, Any]:
    zone = rules.zone_of(turns[0]["thread"])
    names = ("provider", "account", "channel_key", "scope", "day")
    return {
        **dict(zip(names, cell, strict=True)),
        **_counts(turns),
        **_statistics(turns),
        "is_provisional": _ends(cell[-1], zone) > as_of - PROVISIONAL,
    }


def _ends(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a local day is over."""
    following = day + timedelta(days=1)
    midnight = datetime(following.year, following.month, following.day, tzinfo=zone)
    return midnight.astimezone(UTC)


def _counts(turns: Sequence[Row]) -> dict[str, int]:
    def count(name: str, value: object) -> int:
        return sum(turn[name] == value for turn in turns)

    return {
        "turns": len(turns),
        "answered": count("outcome", "answered"),
        "waiting": count("outcome", "waiting"),
        "closed_unanswered": count("outcome", "closed_unanswered"),
        "first_responses": len(_first_responses(turns)),
        "mature": count("is_mature", True),
        "answered_in_window": count("is_answered_in_window", True),
        "sla_met": count("sla_status", "met"),
        "sla_breached": count("sla_status", "breached"),
    }


def _first_responses(turns: Sequence[Row]) -> list[float]:
    answered = [turn for turn in turns if turn["outcome"] == "answered"]
    return [turn["response_seconds"] for turn in answered if turn["is_first_response"]]


def _statistics(turns: Sequence[Row]) -> dict[str, float | None]:
    def known(name: str) -> list[float]:
        return [turn[name] for turn in turns if turn[name] is not None]

    response, business = known("response_seconds"), known("business_response_seconds")
    return {
        "p50_first_response_seconds": percentile_cont(_first_responses(turns), 0.5),
        "avg_response_seconds": mean(response),
        "p50_response_seconds": percentile_cont(response, 0.5),
        "p90_response_seconds": percentile_cont(response, 0.9),
        "p95_response_seconds": percentile_cont(response, 0.95),
        "p50_business_response_seconds": percentile_cont(business, 0.5),
        "p90_business_response_seconds": percentile_cont(business, 0.9),
    }
