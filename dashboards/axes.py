"""Axes of charts: days, counts and durations, as a reader of the language writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dashboards.formats import MONTHS

Spec = dict[str, Any]
Values = Sequence[Mapping[str, Any]]

SECOND_TICKS = [1, 10, 60, 300, 900, 3600, 14400, 86400, 259200, 864000, 2592000, 7776000]
SECONDS_LABEL = (
    "datum.value < 60 ? datum.value + ' s' : datum.value < 3600 ? round(datum.value / 60) + ' min' "
    ": datum.value < 86400 ? round(datum.value / 3600) + ' h' : round(datum.value / 86400) + ' d'"
)
EXTENT = 44
"""Pixels for the numbers of an axis, the same in charts that stand below each other."""

TICKS = 8
"""About how many days are named on an axis."""


def days_axis(language: str, values: Values, *, shown: bool = True) -> Spec:
    """A time axis with the months of a language; buckets are days, so all of it is in UTC.

    Args:
        values: rows of a timeline; with `with_year` their days are named with it.
    """
    months = ", ".join(f"'{name}'" for name in MONTHS[language])
    label = f"utcdate(datum.value) + ' ' + [{months}][utcmonth(datum.value)]"
    if values and values[0].get("with_year"):
        label += " + ' ' + utcyear(datum.value)"
    return {
        "title": None,
        "labelExpr": label,
        "grid": False,
        "labelOverlap": True,
        "labelSeparation": 6,
        # Left alone, an axis of few days names each of them several times.
        "tickCount": {"interval": "day", "step": 1} if _length(values) <= TICKS else TICKS,
        "labels": shown,
        "ticks": shown,
        "domain": shown,
    }


def _length(values: Values) -> int:
    """The days of a timeline."""
    if not values:
        return 0
    ends = datetime.fromisoformat(values[0]["at"]), datetime.fromisoformat(values[-1]["until"])
    return (ends[1] - ends[0]).days


def count_label(language: str) -> str:
    """A number on an axis, as a reader of the language writes it; in millions when it is long."""
    millions, whole = "format(datum.value / 1e6, '~g')", "format(datum.value, ',')"
    if language == "es":
        millions, whole = f"replace({millions}, '.', ',')", f"replace({whole}, ',', '.')"
    return f"datum.value < 1e6 ? {whole} : {millions} + ' M'"


def counts_axis(language: str) -> Spec:
    """An axis of whole numbers."""
    return {
        "title": None,
        "tickCount": 4,
        "tickMinStep": 1,
        "labelExpr": count_label(language),
        "minExtent": EXTENT,
    }


def times(language: str, values: Values, field: str = "at", *, shown: bool = True) -> Spec:
    """A column of times on such an axis."""
    axis = days_axis(language, values, shown=shown)
    return {"field": field, "type": "temporal", "scale": {"type": "utc"}, "axis": axis}


def span(language: str, values: Values) -> Spec:
    """From the first instant of a bucket to the last."""
    return {"x": times(language, values), "x2": {"field": "until"}}


def whole(values: Values, x: Spec) -> Spec:
    """An axis over the whole view, so that charts that stand below each other agree."""
    domain = [values[0]["at"], values[-1]["until"]] if values else None
    return {**x, "scale": {**x["scale"], **({"domain": domain} if domain else {})}}


def seconds_axis(values: Sequence[float | None]) -> Spec:
    """A logarithmic axis: a bot's second and a weekend's days in one chart."""
    there = [max(value, 1.0) for value in values if value is not None] or [1.0, 3600.0]
    low = max((t for t in SECOND_TICKS if t <= min(there)), default=1)
    high = min((t for t in SECOND_TICKS if t >= max(there)), default=max(there))
    ticks = [t for t in SECOND_TICKS if low <= t <= high]
    return {
        "scale": {"type": "log", "domain": [low, max(high, low * 2)], "nice": False, "clamp": True},
        "axis": {"values": ticks, "labelExpr": SECONDS_LABEL, "title": None, "minExtent": EXTENT},
    }
