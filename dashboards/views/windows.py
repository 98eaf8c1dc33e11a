"""Service windows: how many of Meta's 24-hour windows were answered, and how many ran out."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards import charts, formats, parts
from dashboards.parts import Tile
from dashboards.reading import Row
from dashboards.sheet import Sheet

PARTS = {"answered": "green", "still_open": "sky", "expired_unanswered": "red"}
LISTED = 15


def show(sheet: Sheet) -> None:
    now = sheet.row("windows_summary")
    before = sheet.row_before("windows_summary") or {}
    _lead(sheet, now)
    _tiles(sheet, now, before)
    n = sheet.t("windows_n", count=now["opened"], n=sheet.number(now["opened"]))
    left, right = st.columns([3, 2])
    with left:
        picked = _trend(sheet, n)
    with right:
        _left(sheet, now)
    _by_channel(sheet, n)
    _expired(sheet, picked)


def _lead(sheet: Sheet, now: Row) -> None:
    if not now["opened"]:
        parts.lead(sheet.t("windows.nothing"))
        return
    closed = now["opened"] - now["still_open"]
    sentence = sheet.t(
        "windows.lead",
        share=sheet.percent(now["answered"], closed),
        count=now["expired_unanswered"],
        n=sheet.number(now["expired_unanswered"]),
    )
    more = sheet.t(
        "windows.more",
        opened=sheet.number(now["opened"]),
        open=sheet.number(now["still_open"]),
    )
    if now["answered"]:
        more += " " + sheet.t("windows.more_left", left=formats.left(now["p50_seconds_left"]))
    parts.lead(sentence if closed else sheet.t("windows.none_ended"), more)


def _tiles(sheet: Sheet, now: Row, before: Row) -> None:
    whole = now["opened"]
    parts.tiles(
        sheet,
        [
            Tile(
                "opened",
                sheet.number(whole),
                sheet.t("windows.open_now", n=sheet.number(now["still_open"])),
                parts.compared(sheet, whole, before.get("opened")),
            ),
            Tile(
                "windows_answered",
                sheet.number(now["answered"]),
                sheet.percent(now["answered"], whole),
                parts.compared(sheet, now["answered"], before.get("answered")),
            ),
            Tile(
                "expired_unanswered",
                sheet.number(now["expired_unanswered"]),
                sheet.percent(now["expired_unanswered"], whole),
                parts.compared(sheet, now["expired_unanswered"], before.get("expired_unanswered")),
                tone="bad" if now["expired_unanswered"] else "",
            ),
            Tile(
                "left_p50",
                formats.left(now["p50_seconds_left"]),
                sheet.t("windows.tight", value=formats.left(now["p10_seconds_left"]))
                if now["answered"]
                else "",
                parts.compared(
                    sheet, now["p50_seconds_left"], before.get("p50_seconds_left"), "seconds"
                ),
            ),
            Tile(
                "reopened",
                sheet.number(now["reopened_by_template"]),
                sheet.percent(now["reopened_by_template"], whole),
                parts.compared(
                    sheet, now["reopened_by_template"], before.get("reopened_by_template")
                ),
            ),
        ],
    )


def _trend(sheet: Sheet, n: str) -> dict[str, Any] | None:
    with parts.card(sheet, "windows_trend", n=n, csv="windows_raw"):
        rows = sheet.rows("windows_trend")
        if not rows:
            parts.note(sheet.t("nothing"))
            return None
        values = [
            charts.tipped(
                parts.chartable([row])[0],
                {
                    sheet.t(f"grain.{sheet.filters.grain}"): row["name"],
                    **{
                        sheet.t(f"windows.{key}"): sheet.number(row.get(key))
                        for key in ("opened", *PARTS)
                    },
                },
            )
            for row in parts.timeline(sheet, rows)
        ]
        names = {key: (sheet.t(f"windows.{key}"), colour) for key, colour in PARTS.items()}
        parts.legend(dict(names.values()), first=sheet.t("bottom_up"))
        spec = charts.stacked(parts.palette(), sheet.language, values, names, height=260)
        alt = sheet.t("chart.windows_trend.name")
        return parts.picked_days(sheet, parts.draw(spec, "windows-trend", alt, picks=True))
    return None


def _left(sheet: Sheet, now: Row) -> None:
    n = sheet.t("windows_n", count=now["answered"], n=sheet.number(now["answered"]))
    with parts.card(sheet, "windows_left", n=n, csv="windows_raw"):
        rows = {row["hours_left"]: row["windows"] for row in sheet.rows("windows_left")}
        total = sum(rows.values())
        if not total:
            parts.note(sheet.t("nothing"))
            return
        values = [
            charts.tipped(
                {"name": str(hours), "bucket": hours, "count": rows.get(hours, 0), "label": ""},
                {
                    sheet.t("column.hours_left"): f"{hours}–{hours + 1} h",
                    sheet.t("column.windows"): sheet.number(rows.get(hours, 0)),
                    sheet.t("column.share"): sheet.percent(rows.get(hours, 0), total),
                },
            )
            for hours in range(23, -1, -1)
        ]
        spec = charts.bars(parts.palette(), sheet.language, values, height=280, colour="green")
        parts.draw(spec, "windows-left", sheet.t("chart.windows_left.name"))


def _by_channel(sheet: Sheet, n: str) -> None:
    with parts.card(sheet, "windows_by_channel", n=n, csv="windows_raw"):
        rows = sheet.rows("windows_by_channel")
        parts.table(
            {
                "channel": sheet.t("column.channel"),
                "opened#": sheet.t("windows.opened"),
                "answered#": sheet.t("windows.answered"),
                "share#": sheet.t("column.share"),
                "expired#": sheet.t("windows.expired_unanswered"),
                "reopened#": sheet.t("tile.reopened.name"),
                "left#": sheet.t("tile.left_p50.name"),
            },
            [
                {
                    "channel": row["channel"] or sheet.t("unknown_channel"),
                    "opened": sheet.number(row["opened"]),
                    "answered": sheet.number(row["answered"]),
                    "share": sheet.percent(row["answered"], row["opened"]),
                    "expired": sheet.number(row["expired_unanswered"]),
                    "reopened": sheet.number(row["reopened_by_template"]),
                    "left": formats.left(row["p50_seconds_left"]),
                }
                for row in rows
            ],
            empty=sheet.t("nothing"),
        )


def _expired(sheet: Sheet, picked: dict[str, Any] | None) -> None:
    with parts.card(sheet, "windows_expired", csv="windows_raw"):
        rows = sheet.rows("windows_list", limit=LISTED, **(picked or {}))
        about = sheet.t("windows.newest")
        if picked:
            about = sheet.t("windows.expired_of", name=sheet.bucket(picked["pick_from"]))
        parts.listed(sheet, len(rows), rows[0]["found"] if rows else 0, about)
        parts.table(
            {
                "contact": sheet.t("column.contact"),
                "channel": sheet.t("column.channel"),
                "opened": sheet.t("column.opened_at"),
                "closed": sheet.t("column.closed_at"),
                "requests#": sheet.t("column.requests"),
                "calls#": sheet.t("column.calls"),
            },
            [
                {
                    "contact": parts.link(sheet, row["thread"], sheet.contact(row)),
                    "channel": row["channel"] or sheet.t("unknown_channel"),
                    "opened": sheet.moment(row["opened_at"], row["timezone"]),
                    "closed": sheet.moment(row["closes_at"], row["timezone"]),
                    "requests": sheet.number(row["requests"]),
                    "calls": sheet.number(row["calls"]),
                }
                for row in rows
            ],
            empty=sheet.t("windows.none_expired"),
        )
