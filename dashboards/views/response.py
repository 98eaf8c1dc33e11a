"""Response time: how long customers wait for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboards import charts, formats, parts
from dashboards.parts import Tile
from dashboards.reading import Row
from dashboards.sheet import Sheet

LISTED = 15
Pick = dict[str, Any]
Picks = dict[str, Pick]
"""Chart → what was clicked in it."""


def show(sheet: Sheet) -> None:
    now = sheet.row("response_summary")
    before = sheet.row_before("response_summary")
    _lead(sheet, now)
    _tiles(sheet, now, before or {})
    n = sheet.t("measured_n", n=sheet.number(now["measured"]), waiting=sheet.number(now["waiting"]))
    picks = {"trend": _trend(sheet, n)}
    left, right = st.columns(2)
    with left:
        picks["distribution"] = _distribution(sheet, n)
    with right:
        picks["hours"] = _hours(sheet, n)
    standing = in_order(st.session_state.get("response-picks", {}), picks)
    st.session_state["response-picks"] = standing
    turns(sheet, next(reversed(standing.values()), None))


def in_order(before: Picks, picks: Mapping[str, Pick | None]) -> Picks:
    """The picks that stand in the charts, the one that was made last at the end.

    A pick goes on standing in its chart while another chart is clicked.

    Args:
        before: what this gave in the run before.
        picks: chart → what is picked in it now.
    """
    stood = {chart: pick for chart, pick in before.items() if picks[chart] == pick}
    return {
        **stood,
        **{chart: pick for chart, pick in picks.items() if pick and chart not in stood},
    }


def _lead(sheet: Sheet, now: Row) -> None:
    if not now["turns"]:
        parts.lead(sheet.t("response.nothing"))
        return
    sentence = sheet.t(
        "response.lead",
        who=sheet.t(f"response.who_{sheet.filters.scope}"),
        p50=formats.duration(now["p50_seconds"]),
        p90=formats.duration(now["p90_seconds"]),
    )
    if not now["measured"]:
        sentence = sheet.t("response.unmeasured")
    more = sheet.t(
        "response.more",
        n=sheet.number(now["measured"]),
        turns=sheet.number(now["turns"]),
        waiting=sheet.number(now["waiting"]),
        closed=sheet.number(now["closed_unanswered"]),
    )
    if sheet.filters.clock == "business" and not now["measured"] and now["answered"]:
        more += " " + sheet.t("response.no_hours")
    parts.lead(sentence, more)


def _tiles(sheet: Sheet, now: Row, before: Row) -> None:
    met, breached = now["sla_met"], now["sla_breached"]
    old_met, old_judged = before.get("sla_met"), _sum(before, "sla_met", "sla_breached")
    parts.tiles(
        sheet,
        [
            Tile(
                "p50",
                formats.duration(now["p50_seconds"]),
                sheet.t("n", n=sheet.number(now["measured"])),
                parts.compared(sheet, now["p50_seconds"], before.get("p50_seconds"), "seconds"),
            ),
            Tile(
                "p90",
                formats.duration(now["p90_seconds"]),
                sheet.t("n", n=sheet.number(now["measured"])),
                parts.compared(sheet, now["p90_seconds"], before.get("p90_seconds"), "seconds"),
            ),
            Tile(
                "sla",
                sheet.percent(met, met + breached),
                sheet.t("of", part=sheet.number(met), whole=sheet.number(met + breached)),
                parts.compared(
                    sheet, _share(met, met + breached), _share(old_met, old_judged), "percent"
                ),
            ),
            Tile(
                "in_window",
                sheet.percent(now["answered_in_window"], now["mature"]),
                sheet.t(
                    "of",
                    part=sheet.number(now["answered_in_window"]),
                    whole=sheet.number(now["mature"]),
                ),
                parts.compared(
                    sheet,
                    _share(now["answered_in_window"], now["mature"]),
                    _share(before.get("answered_in_window"), before.get("mature")),
                    "percent",
                ),
            ),
            Tile(
                "answered",
                sheet.number(now["answered"]),
                sheet.t("of_turns", count=now["turns"], whole=sheet.number(now["turns"])),
                parts.compared(sheet, now["answered"], before.get("answered")),
            ),
            Tile(
                "still_waiting",
                sheet.number(now["waiting"]),
                sheet.t("closed_n", n=sheet.number(now["closed_unanswered"])),
                parts.compared(sheet, now["waiting"], before.get("waiting")),
                tone="warn" if now["waiting"] else "",
            ),
        ],
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _sum(row: Mapping[str, Any], *names: str) -> float | None:
    return sum(row[name] for name in names) if row else None


def _trend(sheet: Sheet, n: str) -> dict[str, Any] | None:
    with parts.card(sheet, "response_trend", n=n, csv="response_raw"):
        rows = parts.timeline(sheet, sheet.rows("response_trend"))
        previous = _previous(sheet, len(rows))
        values = [
            charts.tipped(
                {
                    **parts.chartable([row])[0],
                    "p50": row.get("p50_seconds"),
                    "p90": row.get("p90_seconds"),
                    "previous": old,
                },
                {
                    sheet.t(f"grain.{sheet.filters.grain}"): row["name"],
                    sheet.t("line.p50"): formats.duration(row.get("p50_seconds")),
                    sheet.t("line.p90"): formats.duration(row.get("p90_seconds")),
                    **({sheet.t("line.previous"): formats.duration(old)} if previous else {}),
                    sheet.t("column.answered"): sheet.number(row.get("measured")),
                    sheet.t("column.still_waiting"): sheet.number(row.get("waiting")),
                },
            )
            for row, old in zip(rows, previous or [None] * len(rows), strict=True)
        ]
        if not any(row["p50"] is not None for row in values):
            parts.note(sheet.t("nothing"))
            return None
        names = {key: sheet.t(f"line.{key}") for key in ("p50", "p90", "previous")}
        marks = {"p50": ("blue", "solid"), "p90": ("orange", "dashed")}
        marks |= {"previous": ("grey", "dotted")} if previous else {}
        parts.legend_of_lines({names[key]: mark for key, mark in marks.items()})
        spec = charts.percentiles(parts.palette(), sheet.language, values, names)
        alt = sheet.t("chart.response_trend.name")
        picked = parts.draw(spec, "response-trend", alt, picks=True)
        counts = {
            "measured": (sheet.t("column.answered"), "blue"),
            "waiting": (sheet.t("column.still_waiting"), "red"),
        }
        parts.legend(dict(counts.values()), first=sheet.t("bottom_up"))
        volume = charts.stacked(
            parts.palette(), sheet.language, values, counts, height=90, shown=False,
            is_clickable=False,
        )  # fmt: skip
        parts.draw(volume, "response-volume", sheet.t("column.turns"))
        if any(row.get("is_provisional") for row in rows):
            st.html(f'<div class="dc-legend">{parts.html(sheet.t("provisional"))}</div>')
        days = parts.picked_days(sheet, picked)
        return days and {**days, "name": sheet.bucket(days["pick_from"])}
    return None


def _previous(sheet: Sheet, length: int) -> list[float | None]:
    """The median of each bucket of the period before, at the place it is compared with."""
    if not sheet.filters.compare:
        return []
    from dataclasses import replace

    before = replace(sheet, filters=sheet.filters.before())
    old = parts.timeline(before, before.rows("response_trend"))
    found: list[float | None] = [row.get("p50_seconds") for row in old][-length:]
    return [*[None] * (length - len(found)), *found]


def _distribution(sheet: Sheet, n: str) -> dict[str, Any] | None:
    with parts.card(sheet, "response_distribution", n=n, csv="response_raw"):
        rows = {row["bucket"]: row["turns"] for row in sheet.rows("response_distribution")}
        total = sum(rows.values())
        if not total:
            parts.note(sheet.t("nothing"))
            return None
        values = [
            charts.tipped(
                {
                    "name": parts.bucket_name(sheet, bucket),
                    "bucket": bucket,
                    "count": rows.get(bucket, 0),
                    "label": sheet.percent(rows.get(bucket, 0), total),
                },
                {
                    sheet.t("column.answered_in"): parts.bucket_name(sheet, bucket),
                    sheet.t("column.turns"): sheet.number(rows.get(bucket, 0)),
                    sheet.t("column.share"): sheet.percent(rows.get(bucket, 0), total),
                },
            )
            for bucket in range(len(parts.BUCKETS) + 1)
        ]
        spec = charts.bars(parts.palette(), sheet.language, values, height=260)
        alt = sheet.t("chart.response_distribution.name")
        picked = parts.draw(spec, "response-distribution", alt, picks=True)
        if not isinstance(picked.get("bucket"), int):
            return None
        bucket = picked["bucket"]
        return {**parts.bucket_bounds(bucket), "name": parts.bucket_name(sheet, bucket)}
    return None


def _hours(sheet: Sheet, n: str) -> dict[str, Any] | None:
    with parts.card(sheet, "response_hours", n=n, csv="response_raw"):
        rows = sheet.rows("response_hours")
        if not rows:
            parts.note(sheet.t("nothing"))
            return None
        what = st.segmented_control(
            sheet.t("response.hours_of"),
            ["p50_seconds", "turns"],
            default="p50_seconds",
            required=True,
            format_func=lambda key: sheet.t(f"response.hours_{key}"),
            key="response-hours-of",
            label_visibility="collapsed",
        )
        is_seconds = what == "p50_seconds"
        days = formats.WEEKDAYS[sheet.language]
        values = [
            charts.tipped(
                {
                    "x": row["hour"],
                    "day": days[row["weekday"] - 1],
                    "value": row[what] if not is_seconds else _at_least_one(row[what]),
                    "cell": f"{row['weekday']}-{row['hour']}",
                },
                {
                    sheet.t("column.hour"): f"{days[row['weekday'] - 1]} {row['hour']:02d}:00",
                    sheet.t("line.p50"): formats.duration(row["p50_seconds"]),
                    sheet.t("column.turns"): sheet.number(row["turns"]),
                },
            )
            for row in rows
        ]
        spec = charts.hours(
            parts.palette(), sheet.language, values, days, is_seconds=is_seconds
        )  # fmt: skip
        alt = sheet.t("chart.response_hours.name")
        picked = parts.draw(spec, f"response-hours-{what}", alt, picks=True)
        weekday, _, hour = str(picked.get("cell", "")).partition("-")
        if not (weekday.isdigit() and hour.isdigit()):
            return None
        name = f"{days[int(weekday) - 1]} {int(hour):02d}:00"
        return {"pick_weekday": int(weekday), "pick_hour": int(hour), "name": name}
    return None


def _at_least_one(seconds: float | None) -> float | None:
    # A logarithm has no place for 0 seconds.
    return None if seconds is None else max(seconds, 1)


def turns(sheet: Sheet, picked: dict[str, Any] | None) -> None:
    """The turns behind what was clicked, or the slowest of the view."""
    chosen = dict(picked or {})
    name = chosen.pop("name", "")
    with parts.card(sheet, "response_turns", csv="response_raw"):
        rows = sheet.rows("response_turns", limit=LISTED, **chosen)
        about = sheet.t("response.turns_of", name=name) if name else sheet.t("response.slowest")
        parts.listed(sheet, len(rows), rows[0]["found"] if rows else 0, about)
        if sheet.filters.clock == "business" and any(r["outcome"] == "waiting" for r in rows):
            parts.note(sheet.t("response.waits_elapsed"))
        parts.table(
            {
                "contact": sheet.t("column.contact"),
                "channel": sheet.t("column.channel"),
                "since": sheet.t("column.asked"),
                "until": sheet.t("column.answered_at"),
                "seconds#": sheet.t("column.response"),
                "who": sheet.t("column.who"),
                "outcome": sheet.t("column.outcome"),
                "sla": sheet.t("column.sla"),
            },
            [
                {
                    "contact": parts.link(sheet, row["thread"], sheet.contact(row)),
                    "channel": row["channel"] or sheet.t("unknown_channel"),
                    "since": sheet.moment(row["started_at"], row["timezone"]),
                    "until": sheet.moment(row["responded_at"], row["timezone"]),
                    "seconds": formats.duration(
                        row["waiting_seconds"] if row["outcome"] == "waiting" else row["seconds"]
                    ),
                    "who": sheet.t(f"kind.{row['responder_kind'] or 'none'}"),
                    "outcome": parts.badge(
                        sheet.t(f"outcome.{row['outcome']}"),
                        "bad" if row["outcome"] == "waiting" else "quiet",
                    ),
                    "sla": sheet.t(f"sla.{row['sla_status'] or 'none'}"),
                }
                for row in rows
            ],
            empty=sheet.t("nothing"),
        )
