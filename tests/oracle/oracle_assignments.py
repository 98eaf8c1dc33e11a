"""Who had a conversation: as Kapso tells it, as syncs saw it at Waspy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from oracle_values import Raw, Row, instant, text, word

Rows = list[dict[str, Any]]


def assignment_rows(raw: Raw) -> Rows:
    """`fct_assignments`."""
    return [*_told(raw), *_observed(raw)]


def _told(raw: Raw) -> Rows:
    """An assignment that is over ended, at the latest, when the conversation's next one began."""
    rows = [row for row in raw["raw_kapso.assignments"] if text(row["user_id"])]
    found = []
    for row in rows:
        mine = (instant(row["created_at"]), row["id"])
        later = [
            (instant(other["created_at"]), other["id"])
            for other in rows
            if _place(other) == _place(row)
        ]
        following = [other for other in later if _after(other, mine)]
        is_active = word(row["active"]) == "true"
        ended = min(following, key=_in_time)[0] if following and not is_active else None
        found.append(
            _row("kapso", row, row["id"], row["user_id"], mine[0])
            | {"unassigned_at": ended, "is_active": is_active, "is_observed": False}
        )
    return found


def _place(row: Row) -> tuple[object, ...]:
    return row["account"], text(row["conversation_id"])


def _in_time(one: tuple[datetime | None, str]) -> tuple[bool, str, str]:
    return one[0] is None, str(one[0]), one[1]


def _after(one: tuple[datetime | None, str], other: tuple[datetime | None, str]) -> bool:
    return _in_time(one) > _in_time(other)


def _observed(raw: Raw) -> Rows:
    """Looks at one conversation that follow one another with one assignee are one assignment."""
    looks: dict[tuple[str, str], list[tuple[datetime, str | None, Row]]] = {}
    for row in raw["raw_waspy.conversation_states"]:
        seen = instant(row["observed_from"])
        assert seen is not None
        place = (row["account"], row["conversation_id"])
        looks.setdefault(place, []).append((seen, text(row["assigned_to"]), row))
    for row in raw["raw_waspy.conversations"]:
        seen = instant(row["fetched_at"])
        if (row["account"], row["id"]) not in looks and seen:
            looks[row["account"], row["id"]] = [
                (seen, text(row["assigned_to"]), row | {"conversation_id": row["id"]})
            ]
    return [found for seen in looks.values() for found in _runs(sorted(seen, key=lambda s: s[0]))]


def _runs(looks: list[tuple[datetime, str | None, Row]]) -> Rows:
    runs: list[list[tuple[datetime, str | None, Row]]] = []
    for look in looks:
        if runs and runs[-1][-1][1] == look[1]:
            runs[-1].append(look)
        else:
            runs.append([look])
    found = []
    for number, run in enumerate(runs, 1):
        since, agent, row = run[0]
        if agent:
            # Nobody at first is no assignment and no change.
            place = number if runs[0][0][1] else number - 1
            name = f"{row['conversation_id']}:{place}"
            following = runs[number][0][0] if number < len(runs) else None
            found.append(
                _row("waspy", row, name, agent, since)
                | {
                    "unassigned_at": following,
                    "is_active": following is None,
                    "is_observed": True,
                }
            )
    return found


def _row(room: str, row: Row, name: str, agent: str, at: datetime | None) -> dict[str, Any]:
    conversation = text(row["conversation_id"])
    return {
        "assignment_key": f"{room}:{row['account']}:{name}",
        "provider": room,
        "account": row["account"],
        "conversation_key": conversation and f"{room}:{row['account']}:{conversation}",
        "agent_key": f"{room}:{row['account']}:{agent}",
        "assigned_at": at,
    }
