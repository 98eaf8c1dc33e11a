"""Aggregates of definitions §6 beyond response times: what is counted per day, agent and hour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from oracle_daily import mean, percentile_cont
from oracle_hours import Rules
from oracle_values import seconds

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]
Cell = tuple[Any, ...]

ARRIVED = ("delivered", "read", "played")
READ = ("read", "played")


def cells(rows: Iterable[Row], cell_of: Callable[[Row], Cell]) -> dict[Cell, list[Row]]:
    """The rows of each cell."""
    found: dict[Cell, list[Row]] = {}
    for row in rows:
        found.setdefault(cell_of(row), []).append(row)
    return found


def rows_of(names: Sequence[str], found: Mapping[Cell, Row]) -> Rows:
    """Cells as rows: their names, then what was counted."""
    return [{**dict(zip(names, cell, strict=True)), **row} for cell, row in found.items()]


def count(rows: Iterable[Row], **equal: object) -> int:
    """How many rows have these values."""
    return sum(all(row[name] == value for name, value in equal.items()) for row in rows)


def among(rows: Iterable[Row], name: str, values: Sequence[object]) -> int:
    return sum(row[name] in values for row in rows)


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def known(rows: Iterable[Row], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def waits(rows: Iterable[Row], start: str, end: str) -> list[float]:
    return [seconds(row[start], row[end]) for row in rows if row[start] and row[end]]


def local(rules: Rules, row: Row, at: datetime) -> datetime:
    return at.astimezone(rules.zone_of(row["thread"]))


def window_days(windows: Sequence[Row], rules: Rules) -> Rows:
    """`mart_daily_service_windows`."""
    names = ("provider", "account", "channel_key")

    def cell(row: Row) -> Cell:
        return (local(rules, row, row["opened_at"]).date(), *(row[name] for name in names))

    return rows_of(
        ("day", *names),
        {
            key: {
                "opened": len(found),
                "answered": count(found, is_answered=True),
                "expired_unanswered": count(found, is_expired_unanswered=True),
                "reopened_by_template": count(found, is_reopened_by_template=True),
                "p50_seconds_left_at_first_response": percentile_cont(
                    known(found, "seconds_left_at_first_response"), 0.5
                ),
            }
            for key, found in cells(windows, cell).items()
        },
    )


def message_days(messages: Sequence[Row], rules: Rules) -> Rows:
    """`mart_daily_messages`: also what was imported, not what has no time."""
    names = ("provider", "account", "channel_key", "direction", "message_type")

    def cell(row: Row) -> Cell:
        return (local(rules, row, row["occurred_at"]).date(), *(row[name] for name in names))

    timed = [row for row in messages if row["occurred_at"]]
    return rows_of(
        ("day", *names),
        {
            key: {
                "messages": len(found),
                "delivered": among(found, "status", ARRIVED),
                "read": among(found, "status", READ),
                "failed": count(found, status="failed"),
                "p50_delivery_seconds": percentile_cont(
                    waits(found, "occurred_at", "delivered_at"), 0.5
                ),
                "p50_read_seconds": percentile_cont(waits(found, "occurred_at", "read_at"), 0.5),
            }
            for key, found in cells(timed, cell).items()
        },
    )


def agent_days(
    turns: Sequence[Row], messages: Sequence[Row], senders: Mapping[str, str], rules: Rules
) -> Rows:
    """`mart_daily_agents`: scope human; `senders` is message key → agent key, where one is told."""

    def nobody(row: Row) -> str:
        return f"{row['provider']}:{row['account']}:unattributed"

    def turn_cell(row: Row) -> Cell:
        agent = row["agent_key"] or nobody(row)
        day = local(rules, row, row["started_at"]).date()
        return (day, row["provider"], row["account"], agent)

    def message_cell(row: Row) -> Cell:
        agent = senders.get(row["message_key"]) or nobody(row)
        day = local(rules, row, row["occurred_at"]).date()
        return (day, row["provider"], row["account"], agent)

    answered = cells((turn for turn in turns if turn["scope"] == "human"), turn_cell)
    written = [
        row
        for row in messages
        if row["direction"] == "outbound" and row["occurred_at"]
        if row["sender_kind"] == "human" or row["message_key"] in senders
    ]
    wrote = cells(written, message_cell)
    return rows_of(
        ("day", "provider", "account", "agent_key"),
        {
            key: _agent_row(answered.get(key, []), wrote.get(key, []))
            for key in {**answered, **wrote}
        },
    )


def _agent_row(turns: Sequence[Row], messages: Sequence[Row]) -> dict[str, Any]:
    times = known(turns, "response_seconds")
    conversations = {row["conversation_key"] for row in messages if row["conversation_key"]}
    return {
        "turns": len(turns),
        "answered": count(turns, outcome="answered"),
        "waiting": count(turns, outcome="waiting"),
        "p50_response_seconds": percentile_cont(times, 0.5),
        "p90_response_seconds": percentile_cont(times, 0.9),
        "messages": len(messages),
        "conversations": len(conversations),
    }


def template_days(sends: Sequence[Row], rules: Rules) -> Rows:
    """`mart_daily_templates`."""
    names = ("provider", "account", "template_key")

    def cell(row: Row) -> Cell:
        return (local(rules, row, row["occurred_at"]).date(), *(row[name] for name in names))

    timed = [row for row in sends if row["occurred_at"]]
    return rows_of(
        ("day", *names), {key: _template_row(found) for key, found in cells(timed, cell).items()}
    )


def _template_row(sends: Sequence[Row]) -> dict[str, Any]:
    delivered, read = count(sends, is_delivered=True), count(sends, is_read=True)
    failed = count(sends, is_failed=True)
    replied = [row for row in sends if row["replied_at"]]
    costs = known(sends, "estimated_cost_usd")
    return {
        "sends": len(sends),
        "delivered": delivered,
        "read": read,
        "failed": failed,
        "replied": len(replied),
        "delivery_rate": share(delivered, len(sends)),
        "read_rate": share(read, delivered),
        "failure_rate": share(failed, len(sends)),
        "reply_rate": share(len(replied), len(sends)),
        "p50_reply_seconds": percentile_cont(waits(replied, "occurred_at", "replied_at"), 0.5),
        "estimated_cost_usd": float(sum(costs)) if costs else None,
    }


def call_days(calls: Sequence[Row], rules: Rules) -> Rows:
    """`mart_daily_calls`."""
    names = ("provider", "account", "channel_key")

    def cell(row: Row) -> Cell:
        return (local(rules, row, row["started_at"]).date(), *(row[name] for name in names))

    timed = [row for row in calls if row["started_at"]]
    return rows_of(
        ("day", *names), {key: _call_row(found) for key, found in cells(timed, cell).items()}
    )


def _call_row(calls: Sequence[Row]) -> dict[str, Any]:
    inbound, missed = count(calls, direction="inbound"), count(calls, is_missed=True)
    answered = count(calls, direction="inbound", is_answered=True)
    talks = known([call for call in calls if call["is_answered"]], "duration_seconds")
    called_back = known(calls, "callback_seconds")
    return {
        "calls": len(calls),
        "inbound": inbound,
        "outbound": count(calls, direction="outbound"),
        "inbound_answered": answered,
        "outbound_answered": count(calls, direction="outbound", is_answered=True),
        "missed": missed,
        "called_back": len(called_back),
        "answer_rate": share(answered, inbound),
        "callback_rate": share(len(called_back), missed),
        "avg_duration_seconds": mean(talks),
        "p50_duration_seconds": percentile_cont(talks, 0.5),
        "p50_callback_seconds": percentile_cont(called_back, 0.5),
    }


def hours(turns: Sequence[Row], rules: Rules) -> Rows:
    """`mart_hourly_load`: scope any."""
    names = ("provider", "account", "channel_key")

    def cell(row: Row) -> Cell:
        at = local(rules, row, row["started_at"])
        return (*(row[name] for name in names), at.isoweekday(), at.hour)

    asked = (turn for turn in turns if turn["scope"] == "any")
    return rows_of(
        (*names, "weekday", "hour"),
        {
            key: {
                "turns": len(found),
                "p50_response_seconds": percentile_cont(known(found, "response_seconds"), 0.5),
            }
            for key, found in cells(asked, cell).items()
        },
    )
