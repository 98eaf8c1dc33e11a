"""Team: who answers, how many and how fast. The rows add up to all the answered turns."""

from __future__ import annotations

import streamlit as st

from dashboards import formats, parts
from dashboards.parts import Tile
from dashboards.reading import QueryFailed, Row
from dashboards.sheet import Sheet


def show(sheet: Sheet) -> None:
    now = sheet.row("response_summary")
    kinds = {row["responder_kind"]: row for row in sheet.rows("team_kinds")}
    human = kinds.get("human", {}).get("answered", 0)
    _lead(sheet, now, kinds)
    parts.tiles(
        sheet,
        [
            Tile(
                "by_people",
                sheet.number(human),
                sheet.percent(human, now["answered"]),
            ),
            *(
                Tile(
                    f"by_{kind}",
                    sheet.number(kinds.get(kind, {}).get("answered", 0)),
                    sheet.percent(kinds.get(kind, {}).get("answered", 0), now["answered"]),
                )
                for kind in ("bot", "unknown")
            ),
            *(
                Tile("author_coverage", sheet.percent(row["author_coverage"], 1),
                     f"{row['provider']} · {row['account']}")
                for row in sheet.accounts
            ),
        ],
    )  # fmt: skip
    _agents(sheet, now)
    _assigned(sheet)


def _lead(sheet: Sheet, now: Row, kinds: dict[str, Row]) -> None:
    people = kinds.get("human")
    if not people:
        parts.lead(sheet, sheet.t("team.none_of_agents" if sheet.filters.agent else "team.nothing"))
        return
    parts.lead(
        sheet,
        sheet.t(
            "team.lead_at_least" if "unknown" in kinds else "team.lead",
            share=sheet.percent(people["answered"], now["answered"]),
            p50=formats.duration(people["p50_seconds"]),
        ),
        sheet.t("team.more", answered=sheet.number(now["answered"])),
    )


def _agents(sheet: Sheet, now: Row) -> None:
    n = sheet.t("measured_n", n=sheet.number(now["answered"]), waiting=sheet.number(now["waiting"]))
    with parts.card(sheet, "team_agents", n=n, csv="response_raw"):
        rows = sheet.rows("team_agents")
        messages = _messages(sheet)
        total = {
            "agent": sheet.t("team.total"),
            "answered": sheet.number(sum(row["answered"] for row in rows)),
            "share": sheet.percent(sum(row["answered"] for row in rows), now["answered"]),
            "p50": formats.duration(now["p50_seconds"]),
            "p90": formats.duration(now["p90_seconds"]),
            "sla": sheet.percent(*_judged(rows)),
            "messages": sheet.number(sum(messages.get(row["agent_key"], 0) for row in rows))
            if messages
            else formats.NOTHING,
        }
        parts.table(
            {
                "agent": sheet.t("column.agent"),
                "answered#": sheet.t("column.answered"),
                "share#": sheet.t("column.share"),
                "p50#": sheet.t("line.p50"),
                "p90#": sheet.t("line.p90"),
                "sla#": sheet.t("column.sla_answered"),
                "threads#": sheet.t("column.threads"),
                "messages#": sheet.t("column.messages"),
            },
            [
                *(
                    {
                        "agent": sheet.agent(row["agent_key"]),
                        "answered": sheet.number(row["answered"]),
                        "share": sheet.percent(row["answered"], now["answered"]),
                        "p50": formats.duration(row["p50_seconds"]),
                        "p90": formats.duration(row["p90_seconds"]),
                        "sla": sheet.percent(*_judged([row])),
                        "threads": sheet.number(row["threads"]),
                        "messages": sheet.number(messages.get(row["agent_key"])),
                    }
                    for row in rows
                ),
                *([total] if rows else []),
            ],
            empty=sheet.t("nothing"),
            foot=1,
        )
        st.html(f'<div class="dc-legend">{parts.html(sheet.t("team.unattributed_means"))}</div>')


def _judged(rows: list[Row]) -> tuple[int, int]:
    met = sum(row["sla_met"] for row in rows)
    return met, met + sum(row["sla_breached"] for row in rows)


def _messages(sheet: Sheet) -> dict[str, int]:
    """What each agent wrote; nothing when the warehouse is from before that was counted."""
    try:
        rows = sheet.rows("team_messages")
    except QueryFailed:
        return {}
    return {row["agent_key"]: row["messages"] for row in rows}


def _assigned(sheet: Sheet) -> None:
    with parts.card(sheet, "team_assignments"):
        rows = sheet.rows("team_assignments")
        parts.table(
            {
                "agent": sheet.t("column.agent"),
                "active#": sheet.t("column.assigned_now"),
                "assignments#": sheet.t("column.assignments"),
            },
            [
                {
                    "agent": sheet.agent(row["agent_key"]),
                    "active": sheet.number(row["active"]),
                    "assignments": sheet.number(row["assignments"]),
                }
                for row in rows
            ],
            empty=sheet.t("nothing" if sheet.filters.agent else "team.no_assignments"),
        )
