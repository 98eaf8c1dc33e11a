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
    _lead(sheet, now, kinds)
    parts.tiles(
        sheet,
        [
            *(_shares(sheet, now, kinds) if sheet.filters.scope == "any" else ()),
            *(
                Tile("author_coverage", sheet.percent(row["author_coverage"], 1),
                     f"{row['provider']} · {row['account']}")
                for row in sheet.accounts
            ),
        ],
    )  # fmt: skip
    _agents(sheet, now)
    _assigned(sheet)


def _shares(sheet: Sheet, now: Row, kinds: dict[str, Row]) -> list[Tile]:
    """Who gave how many of all answers. Of those that only people count for, all are people's."""
    answered = {kind: row["answered"] for kind, row in kinds.items()}
    return [
        Tile(
            name,
            sheet.number(answered.get(kind, 0)),
            sheet.percent(answered.get(kind, 0), now["answered"]),
        )
        for name, kind in (("by_people", "human"), ("by_bot", "bot"), ("by_unknown", "unknown"))
    ]


def _lead(sheet: Sheet, now: Row, kinds: dict[str, Row]) -> None:
    people = kinds.get("human")
    if not people:
        parts.lead(sheet.t("team.none_of_agents" if sheet.filters.agent else "team.nothing"))
        return
    lead = "team.lead_at_least" if "unknown" in kinds else "team.lead"
    parts.lead(
        sheet.t(
            lead if sheet.filters.scope == "any" else "team.lead_people",
            n=sheet.number(people["answered"]),
            share=sheet.percent(people["answered"], now["answered"]),
            p50=formats.duration(people["p50_seconds"]),
        ),
        sheet.t("team.more", answered=sheet.number(now["answered"])),
    )


def _agents(sheet: Sheet, now: Row) -> None:
    n = sheet.t("measured_n", n=sheet.number(now["answered"]), waiting=sheet.number(now["waiting"]))
    with parts.card(sheet, "team_agents", n=n, csv="response_raw"):
        messages = _messages(sheet)
        rows = _rows(sheet, messages)
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


def _rows(sheet: Sheet, messages: dict[str, int]) -> list[Row]:
    """Who answered, and behind them who wrote and answered no turn."""
    rows = sheet.rows("team_agents")
    answered = {row["agent_key"] for row in rows}
    nothing = {"answered": 0, "threads": 0, "p50_seconds": None, "p90_seconds": None}
    judged = {"sla_met": 0, "sla_breached": 0}
    return rows + [
        {"agent_key": agent, **nothing, **judged}
        for agent, written in messages.items()
        if written and agent not in answered
    ]


def _messages(sheet: Sheet) -> dict[str, int]:
    """What each agent wrote. Nothing of single channels, by which it is not counted, nor when the
    warehouse is from before it was."""
    if sheet.filters.channel:
        return {}
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
