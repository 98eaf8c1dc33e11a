"""Now: who waits, and whose window is about to close. The dates of the view do not count here."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards import charts, formats, parts
from dashboards.parts import Tile
from dashboards.sheet import Sheet

STATES = {"expired": "grey", "open": "blue", "at_risk": "red"}
LISTED = 15


def show(sheet: Sheet) -> None:
    now = sheet.row("now_summary")
    period = sheet.row("response_summary")
    _lead(sheet, now, period)
    parts.tiles(
        sheet,
        [
            Tile(
                "waiting_open",
                sheet.number(now["with_open_window"]),
                sheet.t("tile.waiting_open.note", value=formats.duration(now["longest_open"])),
            ),
            Tile("at_risk", sheet.number(now["at_risk"]), tone="bad" if now["at_risk"] else ""),
            Tile(
                "breached_open",
                sheet.number(now["breached_open"]),
                tone="warn" if now["breached_open"] else "",
            ),
            Tile(
                "waiting_expired",
                sheet.number(now["expired"]),
                sheet.t(
                    "tile.waiting_expired.note", value=formats.duration(now["longest_expired"])
                ),
            ),
            Tile(
                "median_period",
                formats.duration(period["p50_seconds"]),
                sheet.t("n_and_waiting", n=sheet.number(period["measured"]),
                        waiting=sheet.number(period["waiting"])),
            ),
        ],
    )  # fmt: skip
    _longest(sheet, now)
    left, right = st.columns([3, 2])
    with left:
        _by_age(sheet, now)
    with right:
        _freshness(sheet)


def _lead(sheet: Sheet, now: dict[str, Any], period: dict[str, Any]) -> None:
    count = now["with_open_window"]
    sentence = sheet.t(
        "now.lead" if period["measured"] else "now.lead_unmeasured",
        p50=formats.duration(period["p50_seconds"]),
        waiting=sheet.t("now.wait", count=count, n=sheet.number(count)),
        risk=sheet.t("now.risk", count=now["at_risk"], n=sheet.number(now["at_risk"])),
    )
    more = sheet.t(
        "now.more", count=now["expired"], n=sheet.number(now["expired"]),
        at=sheet.moment(sheet.as_of),
    )  # fmt: skip
    parts.lead(sentence, more)


def _longest(sheet: Sheet, now: dict[str, Any]) -> None:
    found = {
        "all": now["waiting"],
        "at_risk": now["at_risk"],
        "open": now["with_open_window"] - now["at_risk"],
        "expired": now["expired"],
    }
    # The count stands above the buttons that choose it.
    count = found[st.session_state.get("now-state", "all")]
    n = sheet.t("turns_n", count=count, n=sheet.number(count))
    with parts.card(sheet, "now_longest", n=n, csv="now_raw"):
        chosen = st.segmented_control(
            sheet.t("now.show"),
            list(found),
            default="all",
            required=True,
            format_func=lambda state: sheet.t(f"window_state.{state}"),
            key="now-state",
            label_visibility="collapsed",
        )
        state = None if chosen == "all" else chosen
        rows = sheet.rows("now_longest", limit=LISTED, window_state=state)
        parts.listed(sheet, len(rows), count)
        parts.table(
            {
                "contact": sheet.t("column.contact"),
                "channel": sheet.t("column.channel"),
                "since": sheet.t("column.since"),
                "waiting#": sheet.t("column.waiting"),
                "left#": sheet.t("column.window_left"),
                "requests#": sheet.t("column.requests"),
                "state": sheet.t("column.window"),
                "sla": sheet.t("column.sla"),
            },
            [
                {
                    "contact": parts.link(sheet, row["thread"], sheet.contact(row)),
                    "channel": row["channel"] or sheet.t("unknown_channel"),
                    "since": sheet.moment(row["started_at"], row["timezone"]),
                    "waiting": formats.duration(row["waiting_seconds"]),
                    "left": formats.left(row["window_seconds_left"] or None),
                    "requests": sheet.number(row["requests"]),
                    "state": parts.state_badge(sheet, row["window_state"]),
                    "sla": sheet.t(f"sla.{row['sla_status'] or 'none'}"),
                }
                for row in rows
            ],
            empty=sheet.t("now.nobody"),
        )


def _by_age(sheet: Sheet, now: dict[str, Any]) -> None:
    n = sheet.t("turns_n", count=now["waiting"], n=sheet.number(now["waiting"]))
    with parts.card(sheet, "now_by_age", n=n, csv="now_raw"):
        rows = sheet.rows("now_by_age")
        counts = {(row["bucket"], row["window_state"]): row["turns"] for row in rows}
        values = [
            charts.tipped(
                {
                    "name": parts.bucket_name(sheet, bucket),
                    "bucket": bucket,
                    "part": sheet.t(f"window_state.{state}"),
                    "count": counts.get((bucket, state), 0),
                    "label": sheet.number(_all(counts, bucket)) if state == "expired" else "",
                },
                {
                    sheet.t("column.waiting"): parts.bucket_name(sheet, bucket),
                    sheet.t("column.window"): sheet.t(f"window_state.{state}"),
                    sheet.t("column.turns"): sheet.number(counts.get((bucket, state), 0)),
                },
            )
            for bucket in range(len(parts.BUCKETS) + 1)
            for state in STATES
        ]
        names = {sheet.t(f"window_state.{state}"): colour for state, colour in STATES.items()}
        parts.legend(names, first=sheet.t("bottom_up"))
        spec = charts.bars(parts.palette(), sheet.language, values, parts=names)
        parts.draw(spec, "now-age", sheet.t("chart.now_by_age.name"))


def _all(counts: dict[tuple[int, str], int], bucket: int) -> int:
    return sum(turns for (place, _), turns in counts.items() if place == bucket)


def _freshness(sheet: Sheet) -> None:
    with parts.card(sheet, "now_freshness"):
        rows = sheet.rows("health_lag")
        synced = {(a["provider"], a["account"]): a["messages_read_at"] for a in sheet.accounts}
        parts.table(
            {
                "account": sheet.t("column.account"),
                "last": sheet.t("column.last_message"),
                "synced": sheet.t("column.last_synced"),
            },
            [
                {
                    "account": f"{row['provider']} · {row['account']}",
                    "last": sheet.moment(row["last_message_at"]),
                    "synced": sheet.moment(synced.get((row["provider"], row["account"]))),
                }
                for row in rows
            ],
            empty=sheet.t("nothing"),
        )
