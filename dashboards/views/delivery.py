"""Delivery and templates: what becomes of the messages that the business sends."""

from __future__ import annotations

import streamlit as st

from dashboards import charts, formats, parts
from dashboards.parts import Tile
from dashboards.reading import Row
from dashboards.sheet import Sheet

STEPS = ("sent", "delivered", "read", "replied")
LISTED = 15


def show(sheet: Sheet) -> None:
    now = sheet.row("delivery_summary")
    before = sheet.row_before("delivery_summary") or {}
    _lead(sheet, now)
    _tiles(sheet, now, before)
    n = sheet.t("messages_n", count=now["outbound"], n=sheet.number(now["outbound"]))
    left, right = st.columns([3, 2])
    with left:
        _trend(sheet, n)
    with right:
        _failures(sheet, now)
    _funnel(sheet)
    _templates(sheet)
    _broadcasts(sheet)


def _lead(sheet: Sheet, now: Row) -> None:
    if not now["outbound"]:
        parts.lead(sheet.t("delivery.nothing"))
        return
    parts.lead(
        sheet.t(
            "delivery.lead",
            delivered=sheet.percent(now["delivered"], now["outbound"]),
            read=sheet.percent(now["read"], now["delivered"]),
        )
        if now["delivered"]
        else sheet.t("delivery.undelivered"),
        sheet.t(
            "delivery.more",
            n=sheet.number(now["outbound"]),
            failed=sheet.number(now["failed"]),
        ),
    )


def _tiles(sheet: Sheet, now: Row, before: Row) -> None:
    parts.tiles(
        sheet,
        [
            Tile(
                "outbound",
                sheet.number(now["outbound"]),
                sheet.t("delivery.on_the_way", n=sheet.number(now["on_the_way"])),
                parts.compared(sheet, now["outbound"], before.get("outbound")),
            ),
            Tile(
                "delivered",
                sheet.percent(now["delivered"], now["outbound"]),
                sheet.t(
                    "of",
                    part=sheet.number(now["delivered"]),
                    whole=sheet.number(now["outbound"]),
                ),
            ),
            Tile(
                "read",
                sheet.percent(now["read"], now["delivered"]),
                sheet.t("of", part=sheet.number(now["read"]), whole=sheet.number(now["delivered"])),
            ),
            Tile(
                "failed",
                sheet.number(now["failed"]),
                sheet.percent(now["failed"], now["outbound"]),
                parts.compared(sheet, now["failed"], before.get("failed")),
                tone="warn" if now["failed"] else "",
            ),
            Tile(
                "to_delivery",
                formats.duration(now["p50_delivery_seconds"]),
                sheet.t("n", n=sheet.number(now["delivery_measured"])),
            ),
            Tile(
                "to_read",
                formats.duration(now["p50_read_seconds"]),
                sheet.t("n", n=sheet.number(now["read_measured"])),
            ),
            Tile(
                "cost",
                formats.money(now["estimated_cost_usd"], sheet.language),
                sheet.t("delivery.charged", n=sheet.number(now["charged"])),
            ),
        ],
    )


def _trend(sheet: Sheet, n: str) -> None:
    with parts.card(sheet, "delivery_trend", n=n, csv="delivery_raw"):
        rows = sheet.rows("delivery_trend")
        if not rows:
            parts.note(sheet.t("nothing"))
            return
        values = []
        for row in parts.timeline(sheet, rows):
            split = _split(row)
            values.append(
                charts.tipped(
                    {**parts.chartable([row])[0], **split},
                    {
                        sheet.t(f"grain.{sheet.filters.grain}"): row["name"],
                        **{
                            sheet.t(f"delivery.{key}"): sheet.number(row.get(key))
                            for key in ("outbound", "delivered", "read", "failed")
                        },
                    },
                )
            )
        names = {
            "only_read": (sheet.t("delivery.read"), "blue"),
            "only_delivered": (sheet.t("delivery.delivered_unread"), "sky"),
            "not_yet": (sheet.t("delivery.not_delivered"), "grey"),
            "only_failed": (sheet.t("delivery.failed"), "red"),
        }
        parts.legend(dict(names.values()), first=sheet.t("bottom_up"))
        spec = charts.stacked(
            parts.palette(), sheet.language, values, names, height=260, is_clickable=False
        )
        parts.draw(spec, "delivery-trend", sheet.t("chart.delivery_trend.name"))


def _split(row: Row) -> dict[str, int]:
    """Parts that do not overlap, so that they can stand on one another."""
    outbound, delivered = row.get("outbound") or 0, row.get("delivered") or 0
    read, failed = row.get("read") or 0, row.get("failed") or 0
    return {
        "only_read": read,
        "only_delivered": delivered - read,
        "not_yet": outbound - delivered - failed,
        "only_failed": failed,
    }


def _failures(sheet: Sheet, now: Row) -> None:
    n = sheet.t("messages_n", count=now["failed"], n=sheet.number(now["failed"]))
    with parts.card(sheet, "delivery_failures", n=n, csv="delivery_raw"):
        rows = sheet.rows("delivery_failures")
        known = sheet.t("error").split("\n")
        means = dict(line.split(" ", 1) for line in known if line)
        parts.table(
            {
                "code": sheet.t("column.error"),
                "means": sheet.t("column.means"),
                "failed#": sheet.t("delivery.failed"),
                "share#": sheet.t("column.share"),
            },
            [
                {
                    "code": row["error_code"] or sheet.t("unknown"),
                    "means": means.get(row["error_code"], sheet.t("delivery.unknown_error"))
                    if row["error_code"]
                    else formats.NOTHING,
                    "failed": sheet.number(row["failed"]),
                    "share": sheet.percent(row["failed"], now["failed"]),
                }
                for row in rows
            ],
            empty=sheet.t("delivery.no_failures"),
        )


def _funnel(sheet: Sheet) -> None:
    with parts.card(sheet, "delivery_funnel", csv="delivery_sends_raw"):
        row = sheet.row("delivery_funnel")
        if not row["sent"]:
            parts.note(sheet.t("delivery.no_templates"))
            return
        lines = "".join(
            f'<div class="row"><span>{parts.html(sheet.t(f"delivery.step_{step}"))}</span>'
            f'<span><div class="bar {"failed" if step == "failed" else ""}" '
            f'style="width:{100 * (row[step] or 0) / row["sent"]:.1f}%"></div></span>'
            f'<span class="val">{parts.html(sheet.number(row[step]))} · '
            f"{parts.html(sheet.percent(row[step], row['sent']))}</span></div>"
            for step in (*STEPS, "failed")
        )
        st.html(f'<div class="dc-funnel">{lines}</div>')


def _templates(sheet: Sheet) -> None:
    with parts.card(sheet, "delivery_templates", csv="delivery_sends_raw"):
        rows = sheet.rows("delivery_templates")
        parts.table(
            {
                "template": sheet.t("column.template"),
                "category": sheet.t("column.category"),
                "sent#": sheet.t("delivery.step_sent"),
                "delivered#": sheet.t("delivery.step_delivered"),
                "read#": sheet.t("delivery.step_read"),
                "replied#": sheet.t("delivery.step_replied"),
                "wait#": sheet.t("column.reply_after"),
                "failed#": sheet.t("delivery.step_failed"),
                "cost#": sheet.t("column.cost"),
            },
            [
                {
                    "template": f"{row['template']} ({row['language']})"
                    if row["language"]
                    else row["template"],
                    "category": sheet.word("template_category", row["category"])
                    if row["category"]
                    else formats.NOTHING,
                    "sent": sheet.number(row["sent"]),
                    "delivered": sheet.percent(row["delivered"], row["sent"]),
                    "read": sheet.percent(row["read"], row["delivered"]),
                    "replied": sheet.percent(row["replied"], row["sent"]),
                    "wait": formats.duration(row["p50_reply_seconds"]),
                    "failed": sheet.number(row["failed"]),
                    "cost": formats.money(row["estimated_cost_usd"], sheet.language),
                }
                for row in rows
            ],
            empty=sheet.t("delivery.no_templates"),
        )


def _broadcasts(sheet: Sheet) -> None:
    with parts.card(sheet, "delivery_broadcasts"):
        rows = sheet.rows("delivery_broadcasts", limit=LISTED)
        parts.listed(sheet, len(rows), rows[0]["found"] if rows else 0)
        parts.table(
            {
                "name": sheet.t("column.broadcast"),
                "status": sheet.t("column.status"),
                "at": sheet.t("column.started"),
                "recipients#": sheet.t("column.recipients"),
                "delivered#": sheet.t("delivery.step_delivered"),
                "read#": sheet.t("delivery.step_read"),
                "responded#": sheet.t("delivery.step_replied"),
                "failed#": sheet.t("delivery.step_failed"),
            },
            [
                {
                    "name": row["name"] or sheet.t("unnamed"),
                    "status": sheet.word("broadcast_status", row["status"])
                    if row["status"]
                    else formats.NOTHING,
                    "at": sheet.moment(row["started_at"], sheet.site.timezone),
                    "recipients": sheet.number(row["recipients"]),
                    **{
                        key: sheet.number(row[key])
                        for key in ("delivered", "read", "responded", "failed")
                    },
                }
                for row in rows
            ],
            empty=sheet.t("delivery.no_broadcasts"),
        )
