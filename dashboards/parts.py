"""Pieces of a page. What comes from the warehouse is text here: escaped, never markdown or HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from dashboards import charts, formats
from dashboards.axes import Spec
from dashboards.filters import bucket_end, buckets
from dashboards.reading import QueryFailed, Row
from dashboards.sheet import Sheet

BUCKETS = (60, 300, 900, 3600, 14400, 28800, 86400)
"""Where the buckets of durations begin, but the first, in seconds."""


class Html(str):
    """Text that is HTML already: made here, from escaped parts."""

    __slots__ = ()


def html(value: Any) -> Html:
    """A value as HTML: escaped, unless it is HTML of ours."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


@dataclass(frozen=True)
class Tile:
    """One number: its name, what it is made of, and whether it is good or bad news.

    Attributes:
        tone: `bad`, `warn` or nothing; said in words too.
    """

    key: str
    value: str
    note: str = ""
    delta: str = ""
    tone: str = ""


def lead(sentence: str, more: str = "") -> None:
    """The page's answer in one sentence, and what else to know. `**` marks its numbers."""
    st.html(
        f'<div class="dc-lead" data-testid="lead">{_marked(sentence)}</div>'
        + (f'<div class="dc-more">{_marked(more)}</div>' if more else "")
    )


def _marked(text: str) -> Html:
    """Our own texts: `**` around numbers, backticks around commands. What comes in between is
    escaped first, so that a name with a mark in it is only a name with a mark in it."""
    found = escape(text)
    for mark, tag in (("**", "b"), ("`", "code")):
        pieces = found.split(mark)
        found = "".join(f"<{tag}>{p}</{tag}>" if i % 2 else p for i, p in enumerate(pieces))
    return Html(found)


def tiles(sheet: Sheet, shown: Sequence[Tile]) -> None:
    """A row of numbers, each with its definition."""
    cells = "".join(
        f'<div class="dc-tile {tile.tone}" data-tile="{tile.key}">'
        f'<div class="dc-label">{_label(sheet, tile.key)}</div>'
        f'<div class="dc-value">{escape(tile.value)}</div>'
        f'<div class="dc-note">{escape(tile.note)}'
        f"{f'<span class=dc-delta>{escape(tile.delta)}</span>' if tile.delta else ''}</div></div>"
        for tile in shown
    )
    many = " many" if len(shown) > 6 else ""
    st.html(f'<div class="dc-tiles{many}">{cells}</div>')


def _label(sheet: Sheet, key: str) -> Html:
    """A tile's name and its question mark, which never stands alone on a line."""
    rest, _, last = escape(sheet.t(f"tile.{key}.name")).rpartition(" ")
    mark = hint(sheet.t(f"tile.{key}.means"))
    return Html(f'{rest} <span class="dc-together">{last}{mark}</span>'.lstrip())


def hint(text: str) -> Html:
    """A definition: on hover, and on a tap or the tab key."""
    return Html(
        f'<span class="dc-hint" tabindex="0" role="note">?<span class="dc-tip">{escape(text)}'
        "</span></span>"
    )


@contextmanager
def card(sheet: Sheet, key: str, *, n: str = "", csv: str = "", **extra: Any) -> Iterator[None]:
    """A chart or a table with its name, definition, count and file; says so when it can't be drawn.

    Args:
        key: of its texts, under `chart`.
        n: how many rows stand behind it, in words.
        csv: the query of the raw rows.
        extra: values for that query.
    """
    with st.container(border=True, key=f"card-{key}"):
        head = (
            f'<div class="dc-head"><span class="dc-title">{escape(sheet.t(f"chart.{key}.name"))}'
            f"</span>{hint(sheet.t(f'chart.{key}.means'))}"
            f'<span class="dc-n">{escape(n)}</span></div>'
        )
        st.html(head)
        try:
            yield
        except QueryFailed as error:
            failed(sheet, error)
            return
        if csv:
            st.download_button(
                sheet.t("csv"),
                sheet.csv(csv, **extra),
                file_name=f"doblecheck-{csv.replace('_', '-')}.csv",
                mime="text/csv",
                key=f"csv-{key}",
                help=sheet.t("csv_means"),
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )


def failed(sheet: Sheet, error: QueryFailed) -> None:
    """Why there is nothing to see."""
    note(sheet.t(f"failed.{error.reason}"), tone="warn")


def note(text: str, tone: str = "") -> None:
    """A line of text in a box."""
    st.html(f'<div class="dc-note-box {tone}" role="status">{_marked(text)}</div>')


def legend(names: Mapping[str, str], *, first: str = "") -> None:
    """What the colours of a chart mean: name → colour. It wraps, as one inside the chart can't.

    Args:
        first: how to tell them apart without colours: in what order they stand.
    """
    marks = "".join(
        f'<span><i style="background:{palette()[colour]}"></i>{escape(name)}</span>'
        for name, colour in names.items()
    )
    st.html(f'<div class="dc-colours">{html(first)}{marks}</div>')


def legend_of_lines(names: Mapping[str, tuple[str, str]]) -> None:
    """What the lines of a chart mean: name → colour and dash, in words of CSS."""
    marks = "".join(
        f'<span><i class="line" style="border-top:2px {dash} {palette()[colour]}"></i>'
        f"{escape(name)}</span>"
        for name, (colour, dash) in names.items()
    )
    st.html(f'<div class="dc-colours">{marks}</div>')


def draw(spec: Spec, key: str, alt: str, *, picks: bool = False) -> dict[str, Any]:
    """Draw a chart; what was clicked in it, if anything."""
    if not picks:
        spec = _without_picks(spec)
        st.vega_lite_chart(spec=spec, key=key, width="stretch", theme=None, alt=alt)
        return {}
    event: Any = st.vega_lite_chart(
        spec=spec, key=key, width="stretch", theme=None, alt=alt, on_select="rerun"
    )
    found = (event or {}).get("selection", {}).get(charts.PICK) or [{}]
    return dict(found[0])


def _without_picks(spec: Spec) -> Spec:
    layers = [_without_picks(layer) for layer in spec.get("layer", ())]
    rest = {k: v for k, v in spec.items() if k not in ("params", "layer")}
    return {**rest, **({"layer": layers} if layers else {})}


def palette() -> Mapping[str, Any]:
    """The colours of the viewer's theme."""
    return charts.PALETTES["dark" if st.context.theme.type == "dark" else "light"]


def timeline(sheet: Sheet, rows: Sequence[Row]) -> list[Row]:
    """One row per bucket of the view, in order; those without data have a None in every column."""
    by_bucket = {row["bucket"]: row for row in rows}
    nothing = dict.fromkeys(rows[0] if rows else ("bucket",))
    # Days of this year, by the data's clock, are known without it.
    with_year = {day.year for day in sheet.filters.days} != {sheet.filters.last.year}
    found = []
    for first in buckets(sheet.filters):
        end = bucket_end(first, sheet.filters.grain)
        at, until = _instant(first), _instant(end + timedelta(days=1))
        found.append(
            {
                **(by_bucket.get(first) or nothing),
                "bucket": first.isoformat(),
                "first": first,
                "name": sheet.bucket(first),
                "at": at.isoformat(),
                "mid": (at + (until - at) / 2).isoformat(),
                "until": until.isoformat(),
                "with_year": with_year,
            }
        )
    return found


def chartable(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows without what JSON has no word for."""
    return [{k: v for k, v in row.items() if not isinstance(v, date | datetime)} for row in rows]


def _instant(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def picked_days(sheet: Sheet, picked: Mapping[str, Any]) -> dict[str, Any] | None:
    """The days of a clicked bucket, as values for a query; None when none was, or when the view has
    changed since and has no such bucket."""
    try:
        first = date.fromisoformat(str(picked["bucket"]))
    except (KeyError, ValueError):
        return None
    if first not in buckets(sheet.filters):
        return None
    return {"pick_from": first, "pick_to": bucket_end(first, sheet.filters.grain)}


def listed(sheet: Sheet, shown: int, found: int, about: str = "") -> None:
    """What a list is of, and how much of it is shown."""
    count = sheet.t("shown", shown=sheet.number(shown), found=sheet.number(found))
    st.html(f'<div class="dc-legend">{html(" · ".join(filter(None, (about, count))))}</div>')


def bucket_name(sheet: Sheet, bucket: int) -> str:
    """`1–5 min`."""
    return sheet.t(f"bucket.b{bucket}")


def bucket_bounds(bucket: int) -> dict[str, Any]:
    """A bucket of durations, as values for a query."""
    low = BUCKETS[bucket - 1] if bucket else 0
    high = BUCKETS[bucket] if bucket < len(BUCKETS) else None
    return {"pick_low": low, "pick_high": high}


def table(
    columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], *, empty: str, foot: int = 0
) -> None:
    """A table.

    Args:
        columns: key → heading; a key that ends with `#` stands to the right.
        rows: under those keys without the mark.
        empty: what to say when there are none.
        foot: how many of the last rows are totals.
    """
    if not rows:
        note(empty)
        return
    head = "".join(
        f'<th class="{"num" if key.endswith("#") else ""}">{html(name)}</th>'
        for key, name in columns.items()
    )
    body = "".join(
        f'<tr class="{"foot" if i >= len(rows) - foot else ""}">'
        + "".join(_cell(key, columns[key], html(row.get(key.rstrip("#"), ""))) for key in columns)
        + "</tr>"
        for i, row in enumerate(rows)
    )
    st.html(
        f'<div class="dc-scroll"><table class="dc-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(key: str, name: str, text: Html) -> str:
    """One cell; on a phone, where it carries its heading along, one without a value is left out."""
    kind = ("num " if key.endswith("#") else "") + ("none" if text == formats.NOTHING else "")
    return f'<td class="{kind.strip()}" data-label="{escape(name)}">{text}</td>'


def link(sheet: Sheet, thread: str, text: str) -> Html:
    """A link to a conversation, in the same view."""
    query: dict[str, Any] = {**sheet.filters.query(), "thread": thread, "lang": sheet.language}
    return Html(f'<a href="conversation?{escape(urlencode(query, doseq=True))}">{escape(text)}</a>')


def badge(text: str, tone: str = "") -> Html:
    """A short word in a box."""
    return Html(f'<span class="dc-badge {tone}">{escape(text)}</span>')


def state_badge(sheet: Sheet, state: str) -> Html:
    """A window's state, in a word and a colour."""
    tone = {"at_risk": "bad", "open": "good", "expired": "quiet"}[state]
    return badge(sheet.t(f"window_state.{state}"), tone)


def compared(sheet: Sheet, now: float | None, before: float | None, kind: str = "number") -> str:
    """How a number differs from the period before, in words: `antes 1.234`."""
    if not sheet.filters.compare:
        return ""
    start, end = sheet.filters.before().days
    first = sheet.first_day()
    if first and start < first <= end:
        return sheet.t("before_incomplete")
    if before is None or (first and end < first):
        return sheet.t("before_nothing")
    value = formats.duration(before) if kind == "seconds" else sheet.number(before)
    if kind == "percent":
        value = sheet.percent(before, 1)
    return sheet.t("before", arrow=_arrow(now, before), value=value)


def _arrow(now: float | None, before: float) -> str:
    if now is None or now == before:
        return "="
    return "▲" if now > before else "▼"
