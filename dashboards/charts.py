"""Vega-Lite specifications. Colours keep apart for colour-blind eyes (after Okabe and Ito) and are
never the only mark of a difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dashboards.axes import (
    SECOND_TICKS,
    SECONDS_LABEL,
    Spec,
    Values,
    count_label,
    counts_axis,
    seconds_axis,
    span,
    times,
    whole,
)

PALETTES = {
    "light": {
        "blue": "#0072b2",
        "orange": "#d98200",
        "green": "#00805f",
        "red": "#c2410c",
        "sky": "#6db6e3",
        "grey": "#8a9692",
        "text": "#4d5a56",
        "grid": "#e4e9e7",
        "heat": ["#cfe6df", "#8fc7b9", "#3f9d8a", "#0b6e5f", "#063f37"],
        # what is written on the heat's low and high half
        "ink": ["#16211e", "#ffffff"],
    },
    "dark": {
        "blue": "#5bb2ea",
        "orange": "#f0ac45",
        "green": "#3fc39c",
        "red": "#f2794a",
        "sky": "#d4ecfb",
        "grey": "#8b9894",
        "text": "#aab6b2",
        "grid": "#2a3431",
        "heat": ["#26433c", "#2a6a5d", "#2f8f7d", "#5fc4af", "#c4f3e8"],
        "ink": ["#e6ecea", "#101614"],
    },
}

PICK = "pick"
MANY = 120
"""Buckets of a chart, beyond which each is a few pixels wide."""


def config(palette: Mapping[str, Any]) -> Spec:
    """The look of every chart."""
    return {
        "background": "transparent",
        "view": {"stroke": None},
        "font": "inherit",
        "axis": {
            "labelColor": palette["text"],
            "titleColor": palette["text"],
            "gridColor": palette["grid"],
            "domainColor": palette["grid"],
            "tickColor": palette["grid"],
            "labelFontSize": 12,
            "titleFontWeight": "normal",
        },
        "legend": {"labelColor": palette["text"], "title": None, "labelFontSize": 12},
    }


def _spec(palette: Mapping[str, Any], values: Values, height: int, *layers: Spec) -> Spec:
    """A chart of layers that draw `values`, or data of their own.

    Each layer carries its rows: those of the chart itself Streamlit would turn into a pandas frame,
    whose import takes longer than all the rest of the page.
    """
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": config(palette),
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": {"left": 4, "right": 4, "top": 6, "bottom": 4},
        "layer": [{"data": {"values": list(values)}, **layer} for layer in layers],
    }


def _click(field: str) -> Spec:
    return {"name": PICK, "select": {"type": "point", "fields": [field], "on": "click"}}


def percentiles(
    palette: Mapping[str, Any],
    language: str,
    values: Values,
    names: Mapping[str, str],
) -> Spec:
    """Median and 90th percentile over time; a bucket without a value is a gap in the line.

    Args:
        values: rows of a timeline with p50, p90, previous (may be missing), is_provisional.
        names: what to call each line.
    """
    lines = [
        key for key in ("p50", "p90", "previous") if any(v.get(key) is not None for v in values)
    ]
    numbers = [row.get(key) for row in values for key in lines]
    is_long = len(values) > MANY
    colours = {"p50": palette["blue"], "p90": palette["orange"], "previous": palette["grey"]}
    dashes = {"p50": [1, 0], "p90": [7, 3], "previous": [2, 3]}
    long = [
        {**row, "line": names[key], "seconds": None if row[key] is None else max(row[key], 1)}
        for key in lines
        for row in values
    ]
    domain = [names[key] for key in lines]
    colour = {
        "field": "line",
        "type": "nominal",
        "sort": domain,
        "scale": {"domain": domain, "range": [colours[key] for key in lines]},
        "legend": None,
    }
    dash = {
        "field": "line",
        "type": "nominal",
        "sort": domain,
        "scale": {"domain": domain, "range": [dashes[key] for key in lines]},
        "legend": None,
    }
    y = {"field": "seconds", "type": "quantitative", **seconds_axis(numbers)}
    encoding = {"x": whole(values, times(language, values, "mid")), "y": y, "color": colour}
    layers: list[Spec] = [
        {
            "data": {"values": [row for row in values if row["is_provisional"]]},
            "mark": {"type": "rect", "color": palette["text"], "opacity": 0.07},
            "encoding": span(language, values),
        },
        {
            "mark": {"type": "line", "strokeWidth": 2, "interpolate": "linear"},
            "encoding": {**encoding, "strokeDash": dash},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 8 if is_long else 26},
            "encoding": {**encoding, "opacity": {"value": 1}},
        },
        {
            # What the pointer hits: the whole height of a bucket.
            "data": {"values": list(values)},
            "params": [_click("bucket")],
            "mark": {"type": "rect", "opacity": 0.001, "cursor": "pointer"},
            "encoding": {**span(language, values), "tooltip": tooltip(values)},
        },
    ]
    return _spec(palette, long, 260, *layers)


def tipped(row: Mapping[str, Any], tips: Mapping[str, str]) -> dict[str, Any]:
    """A row with the texts that stand beside the pointer, in that order."""
    texts = {f"tip{i}": value for i, value in enumerate(tips.values())}
    return {**row, **texts, "tips": list(tips)}


def tooltip(values: Values) -> list[Spec]:
    """The texts of tipped rows."""
    names: Sequence[str] = next((row["tips"] for row in values if "tips" in row), [])
    return [{"field": f"tip{i}", "type": "nominal", "title": name} for i, name in enumerate(names)]


def stacked(
    palette: Mapping[str, Any],
    language: str,
    values: Values,
    parts: Mapping[str, tuple[str, str]],
    *,
    height: int = 220,
    shown: bool = True,
    is_clickable: bool = True,
) -> Spec:
    """Counts per bucket, one part on the other.

    Args:
        values: rows of a timeline with a count per part.
        parts: key → name and colour, from the bottom up.
    """
    long = [piece for row in values for piece in _pieces(row, parts)]
    colour = {
        "field": "part",
        "type": "nominal",
        "scale": {
            "domain": [name for name, _ in parts.values()],
            "range": [palette[colour] for _, colour in parts.values()],
        },
        "legend": None,
    }
    return _spec(
        palette,
        long,
        height,
        {
            "params": [_click("bucket")] if is_clickable else [],
            "mark": {
                "type": "rect",
                "cursor": "pointer" if is_clickable else "default",
                "x2Offset": 0 if len(values) > MANY else -1,  # thin bars would be all gap
            },
            "encoding": {
                "x": whole(values, times(language, values, shown=shown)),
                "x2": {"field": "until"},
                "y": {
                    "field": "low",
                    "type": "quantitative",
                    "axis": counts_axis(language),
                },
                "y2": {"field": "high"},
                "color": colour,
                "tooltip": tooltip(values),
            },
        },
    )


def _pieces(
    row: Mapping[str, Any], parts: Mapping[str, tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    """A bucket's parts with where each begins and ends: Vega stacks no bars of dates."""
    low = 0
    for key, (name, _) in parts.items():
        high = low + (row.get(key) or 0)
        if high > low:
            yield {**row, "part": name, "low": low, "high": high}
        low = high


def bars(
    palette: Mapping[str, Any],
    language: str,
    values: Values,
    *,
    colour: str = "blue",
    parts: Mapping[str, str] | None = None,
    height: int = 220,
) -> Spec:
    """Bars in a given order, with a label on each; without labels, with an axis.

    Args:
        values: name, bucket, count; `part` when there are parts; label, on one row of each bar.
        parts: name → colour, from the bottom up.
    """
    x = _names(values)
    is_labelled = any(row.get("label") for row in values)
    y: Spec = {
        "field": "count",
        "type": "quantitative",
        "axis": None if is_labelled else counts_axis(language),
    }
    coloured: Spec = {"color": {"value": palette[colour]}}
    if parts:
        coloured = _in_order(palette, parts)
        places = {name: place for place, name in enumerate(parts)}
        values = [{**row, "order": places[row["part"]]} for row in values]
    drawn = {
        "params": [_click("bucket")],
        "mark": {"type": "bar", "cursor": "pointer", "cornerRadiusEnd": 2},
        "encoding": {"x": x, "y": y, **coloured, "tooltip": tooltip(values)},
    }
    labels = {
        "data": {"values": _tops(values)},
        "mark": {"type": "text", "dy": -7, "color": palette["text"], "fontSize": 12},
        "encoding": {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}},
    }
    return _spec(palette, values, height, drawn, labels)


def _names(values: Values) -> Spec:
    """The axis of bars, in the order in which they come."""
    return {
        "field": "name",
        "type": "ordinal",
        "sort": list(dict.fromkeys(row["name"] for row in values)),
        "axis": {
            "title": None,
            "labelAngle": 0,
            "labelOverlap": True,
            "labelFontSize": 11,
            "labelSeparation": 4,
            # The unit below its number: side by side they have no place on a phone.
            "labelExpr": "split(replace(datum.label, regexp(' (?=[a-z]+$)'), '|'), '|')",
        },
    }


def _in_order(palette: Mapping[str, Any], parts: Mapping[str, str]) -> Spec:
    """The parts of bars, each in its colour, from the bottom up."""
    scale = {"domain": list(parts), "range": [palette[name] for name in parts.values()]}
    return {
        "color": {"field": "part", "type": "nominal", "scale": scale, "legend": None},
        "order": {"field": "order", "type": "quantitative"},
    }


def _tops(values: Values) -> list[dict[str, Any]]:
    """Where labels stand: over the whole bar, of which only the first part carries one."""
    return [
        {**row, "count": sum(r["count"] for r in values if r["name"] == row["name"])}
        for row in values
        if row.get("label")
    ]


def hours(
    palette: Mapping[str, Any],
    language: str,
    values: Values,
    days: Sequence[str],
    *,
    is_seconds: bool,
) -> Spec:
    """Weekdays and hours as a table of colours, with what the colours stand for."""
    legend: Spec = {"orient": "right", "gradientLength": 120, "gradientThickness": 10}
    if not is_seconds:
        legend |= {"labelExpr": count_label(language), "tickMinStep": 1}
        return heat(palette, values, days, scale={}, legend=legend)
    numbers = [row["value"] for row in values if row["value"]]
    ticks = [t for t in SECOND_TICKS if numbers and min(numbers) <= t <= max(numbers)]
    ends = [min(numbers), max(numbers)] if numbers else []
    legend |= {"labelExpr": SECONDS_LABEL, "values": ticks if len(ticks) > 1 else ends}
    return heat(palette, values, days, scale={"type": "log"}, legend=legend)


def shares(
    palette: Mapping[str, Any], values: Values, rows: Sequence[str], *, x_title: str
) -> Spec:
    """Percentages as a table of colours, each with its number, so that no legend is needed."""
    half_a_year = range(1, 7)  # one month alone would be as wide as the page
    spec = heat(
        palette, values, rows, scale={"domain": [0, 100]}, legend=None, x_title=x_title,
        columns=half_a_year,
    )  # fmt: skip
    [colours] = spec["layer"]
    low, high = palette["ink"]
    written = {
        "data": colours["data"],
        "mark": {"type": "text", "fontSize": 11},
        "encoding": {
            "x": colours["encoding"]["x"],
            "y": colours["encoding"]["y"],
            "text": {"field": "label", "type": "nominal"},
            "color": {"condition": {"test": "datum.value >= 60", "value": high}, "value": low},
        },
    }
    return {**spec, "layer": [colours, written]}


def heat(
    palette: Mapping[str, Any],
    values: Values,
    days: Sequence[str],
    *,
    scale: Spec,
    legend: Spec | None,
    x_title: str | None = None,
    columns: Iterable[int] = (),
) -> Spec:
    """A table of colours. What has no value has no colour.

    Args:
        values: x, day, value, texts for the tooltip, cell.
        days: rows from the top down.
        columns: places that are there without a value too.
    """
    x_axis = {"title": x_title, "labelAngle": 0, "labelOverlap": True, "domain": False}
    places = sorted({row["x"] for row in values} | set(columns))
    x = {"field": "x", "type": "ordinal", "scale": {"domain": places}}
    y = {"field": "day", "type": "ordinal", "sort": list(days), "scale": {"domain": list(days)}}
    color = {"field": "value", "type": "quantitative", "legend": legend}
    return _spec(
        palette,
        [row for row in values if row["value"] is not None],
        max(150, 24 * len(days) + 40),
        {
            "params": [_click("cell")],
            "mark": {"type": "rect", "cursor": "pointer", "stroke": None},
            "encoding": {
                "x": {**x, "axis": {**x_axis, "ticks": False}},
                "y": {**y, "axis": {"title": None, "domain": False}},
                "color": {**color, "scale": {"range": palette["heat"], **scale}},
                "tooltip": tooltip(values),
            },
        },
    )
