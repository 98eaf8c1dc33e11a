"""Calls: answered, missed, and how long until somebody called or wrote back."""

from __future__ import annotations

from dashboards import charts, formats, parts
from dashboards.parts import Tile
from dashboards.reading import Row
from dashboards.sheet import Sheet

PARTS = {"answered_inbound": "green", "missed": "red", "outbound": "grey"}
LISTED = 15


def show(sheet: Sheet) -> None:
    now = sheet.row("calls_summary")
    before = sheet.row_before("calls_summary") or {}
    if not now["calls"]:
        parts.lead(sheet.t("calls.nothing"))
        return
    _lead(sheet, now)
    _tiles(sheet, now, before)
    n = sheet.t("calls_n", count=now["calls"], n=sheet.number(now["calls"]))
    _trend(sheet, n)
    _missed(sheet)


def _lead(sheet: Sheet, now: Row) -> None:
    back = sheet.number(now["called_back"])
    if now["called_back"]:
        p50 = formats.duration(now["p50_callback_seconds"])
        back = sheet.t("calls.back_after", n=back, p50=p50)
    share = sheet.percent(now["answered_inbound"], now["inbound"])
    parts.lead(
        sheet.t("calls.lead", share=share) if now["inbound"] else sheet.t("calls.nobody_called"),
        sheet.t("calls.more", count=now["missed"], n=sheet.number(now["missed"]), back=back),
    )


def _tiles(sheet: Sheet, now: Row, before: Row) -> None:
    parts.tiles(
        sheet,
        [
            Tile(
                "calls_inbound",
                sheet.number(now["inbound"]),
                sheet.t("calls.outbound_n", n=sheet.number(now["outbound"])),
                parts.compared(sheet, now["inbound"], before.get("inbound")),
            ),
            Tile(
                "calls_answered",
                sheet.percent(now["answered_inbound"], now["inbound"]),
                sheet.t(
                    "of",
                    part=sheet.number(now["answered_inbound"]),
                    whole=sheet.number(now["inbound"]),
                ),
            ),
            Tile(
                "calls_missed",
                sheet.number(now["missed"]),
                sheet.t("calls.never", n=sheet.number(now["missed"] - now["called_back"])),
                parts.compared(sheet, now["missed"], before.get("missed")),
                tone="bad" if now["missed"] > now["called_back"] else "",
            ),
            Tile(
                "callback",
                formats.duration(now["p50_callback_seconds"]),
                sheet.t("n", n=sheet.number(now["called_back"])),
                parts.compared(
                    sheet,
                    now["p50_callback_seconds"],
                    before.get("p50_callback_seconds"),
                    "seconds",
                ),
            ),
            Tile(
                "talk",
                formats.duration(now["p50_duration_seconds"]),
                sheet.t("n", n=sheet.number(now["talks"])),
            ),
        ],
    )


def _trend(sheet: Sheet, n: str) -> None:
    with parts.card(sheet, "calls_trend", n=n, csv="calls_raw"):
        values = [
            charts.tipped(
                parts.chartable([row])[0],
                {
                    sheet.t(f"grain.{sheet.filters.grain}"): row["name"],
                    **{sheet.t(f"calls.{key}"): sheet.number(row.get(key)) for key in PARTS},
                },
            )
            for row in parts.timeline(sheet, sheet.rows("calls_trend"))
        ]
        names = {key: (sheet.t(f"calls.{key}"), colour) for key, colour in PARTS.items()}
        parts.legend(dict(names.values()), first=sheet.t("bottom_up"))
        spec = charts.stacked(
            parts.palette(), sheet.language, values, names, height=240, is_clickable=False
        )
        parts.draw(spec, "calls-trend", sheet.t("chart.calls_trend.name"))


def _missed(sheet: Sheet) -> None:
    with parts.card(sheet, "calls_missed", csv="calls_raw"):
        rows = sheet.rows("calls_missed", limit=LISTED)
        parts.listed(sheet, len(rows), rows[0]["found"] if rows else 0)
        parts.table(
            {
                "contact": sheet.t("column.contact"),
                "channel": sheet.t("column.channel"),
                "at": sheet.t("column.called_at"),
                "back#": sheet.t("column.callback"),
            },
            [
                {
                    "contact": parts.link(sheet, row["thread"], sheet.contact(row)),
                    "channel": row["channel"] or sheet.t("unknown_channel"),
                    "at": sheet.moment(row["started_at"], row["timezone"]),
                    "back": formats.duration(row["callback_seconds"])
                    if row["callback_seconds"] is not None
                    else parts.badge(sheet.t("calls.nobody"), "bad"),
                }
                for row in rows
            ],
            empty=sheet.t("calls.none_missed"),
        )
