"""Turns and sessions (definitions §3), by scanning a thread's events one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from oracle_calls import Call
from oracle_hours import Rules, business_seconds
from oracle_identity import Thread
from oracle_messages import Message, in_order
from oracle_rooms import waspy_thread
from oracle_sessions import Event, Session, merge, moment, number_sessions
from oracle_values import DAY, Raw, Row, instant, seconds, word

SCOPES = ("any", "human")
PROVISIONAL = timedelta(days=7)
CALENDARS_BEGIN = datetime(2009, 1, 1, tzinfo=UTC)
CALENDARS_REACH = timedelta(days=366)
"""Before WhatsApp, and more than a year ahead, a date is nonsense and has no business time."""


@dataclass(frozen=True)
class Turn:
    """Requests of one thread that wait for the same closer: a reply, a close, or nothing yet."""

    thread: Thread
    scope: str
    number: int
    requests: tuple[Message, ...]
    closer: Event | None = None
    session: int = 0
    is_first_in_session: bool = False
    initiated_by: str = ""

    @property
    def started_at(self) -> datetime:
        """When the customer began to wait."""
        return moment(self.requests[0])

    @property
    def reply(self) -> Message | None:
        """The answer, if there is one."""
        return self.closer if isinstance(self.closer, Message) else None

    @property
    def outcome(self) -> str:
        """How the wait ended."""
        if self.closer is None:
            return "waiting"
        return "answered" if self.reply else "closed_unanswered"

    @property
    def is_first_response(self) -> bool:
        """Whether its response time is the session's first response time."""
        return self.is_first_in_session and self.initiated_by == "customer"

    def ended_at(self, as_of: datetime) -> datetime:
        """The reply, the close, or now."""
        return moment(self.closer) if self.closer else as_of


def read_closes(raw: Raw) -> dict[Thread, list[datetime]]:
    """When Waspy's conversations were first seen resolved or closed, and again after a reopening.

    Kapso's list of sessions tells no time of their ends, so it closes nothing.
    """
    closes: dict[Thread, list[datetime]] = {}
    for row in raw["raw_waspy.conversations"]:
        is_closed = False
        for status, seen in _observations(row, raw):
            if status in ("resolved", "closed") and not is_closed:
                closes.setdefault(waspy_thread(row, row), []).append(seen)
            is_closed = status in ("resolved", "closed")
    return {thread: sorted(found) for thread, found in closes.items()}


def _observations(conversation: Row, raw: Raw) -> list[tuple[str | None, datetime]]:
    """What a conversation's status was seen to be, oldest first; never noted: what it is now."""
    key = (conversation["account"], conversation["id"])
    noted = [
        (word(state["status"]), seen)
        for state in raw["raw_waspy.conversation_states"]
        if (state["account"], state["conversation_id"]) == key
        and (seen := instant(state["observed_from"]))
    ]
    now = instant(conversation["fetched_at"])
    if not noted and now:
        return [(word(conversation["status"]), now)]
    return sorted(noted, key=lambda observation: observation[1])


def read_turns(
    thread: Thread, messages: Sequence[Message], closes: Sequence[datetime]
) -> list[Turn]:
    """Every turn of one thread, in both scopes."""
    events = merge(in_order(messages), closes)
    sessions = number_sessions(events)
    both = [thread_turns(thread, scope, events) for scope in SCOPES]
    return [turn for turns in both for turn in place_in_sessions(turns, sessions)]


def thread_turns(thread: Thread, scope: str, events: Sequence[Event]) -> list[Turn]:
    """Collect requests until something closes them."""
    turns: list[Turn] = []
    waiting: list[Message] = []
    for event in events:
        if isinstance(event, Message) and event.is_request:
            waiting.append(event)
        elif _closes(event, scope) and waiting:
            turns.append(Turn(thread, scope, len(turns) + 1, tuple(waiting), event))
            waiting = []
    if waiting:
        turns.append(Turn(thread, scope, len(turns) + 1, tuple(waiting)))
    return turns


def _closes(event: Event, scope: str) -> bool:
    if isinstance(event, datetime):
        return True
    return event.is_human_reply if scope == "human" else event.is_reply


def place_in_sessions(turns: Sequence[Turn], sessions: dict[str, Session]) -> list[Turn]:
    """Give each turn the session of its first request."""
    placed, begun = [], set()
    for turn in turns:
        session = sessions[turn.requests[0].key]
        placed.append(
            replace(
                turn,
                session=session.number,
                is_first_in_session=session.number not in begun,
                initiated_by=session.initiated_by,
            )
        )
        begun.add(session.number)
    return placed


def opening_times(messages: Sequence[Message], calls: Sequence[Call]) -> list[datetime]:
    """Every instant at which the window of one thread opened or was renewed."""
    written = [message.at for message in messages if message.opens_window]
    called = [call.opens_window_at for call in calls]
    return sorted(at for at in (*written, *called) if at)


def turn_row(
    turn: Turn, openings: Sequence[datetime], rules: Rules, as_of: datetime
) -> dict[str, Any]:
    """The columns of `fct_turns`, but for keys whose form is free."""
    return _facts(turn) | _clocks(turn, rules, as_of) | _window(turn, openings, as_of)


def _facts(turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    return {
        "scope": turn.scope,
        "thread": turn.thread,
        "provider": turn.thread.provider,
        "account": turn.thread.account,
        "channel_key": turn.thread.channel_key,
        "contact_key": turn.thread.contact_key,
        "conversation_key": turn.requests[0].conversation_key,
        "turn_number": turn.number,
        "session_number": turn.session,
        "is_first_in_session": turn.is_first_in_session,
        "session_initiated_by": turn.initiated_by,
        "is_first_response": turn.is_first_response,
        "started_at": turn.started_at,
        "last_request_at": moment(turn.requests[-1]),
        "requests": len(turn.requests),
        "outcome": turn.outcome,
        "responded_at": reply.at if reply else None,
        "reply_message_key": reply.key if reply else None,
        "responder_kind": reply.sender_kind if reply else None,
        "agent_key": _agent(turn),
        "is_template_reply": reply.type == "template" if reply else None,
    }


def _agent(turn: Turn) -> str | None:
    """Who sent the reply; whoever it was when nothing tells."""
    if turn.reply is None:
        return None
    prefix = f"{turn.thread.provider}:{turn.thread.account}"
    return f"{prefix}:{turn.reply.agent_id or 'unattributed'}"


def _clocks(turn: Turn, rules: Rules, as_of: datetime) -> dict[str, Any]:
    start, end = turn.started_at, turn.ended_at(as_of)
    answered = turn.reply is not None
    business = _business(turn, rules, as_of)
    return {
        "response_seconds": seconds(start, end) if answered else None,
        "response_from_last_seconds": seconds(moment(turn.requests[-1]), end) if answered else None,
        "business_response_seconds": business if answered else None,
        "waiting_seconds": seconds(start, as_of) if turn.closer is None else None,
        "sla_status": sla_status(turn, seconds(start, end), business, rules),
        "is_provisional": start > as_of - PROVISIONAL,
    }


def _business(turn: Turn, rules: Rules, as_of: datetime) -> float | None:
    """Business time of the wait; None without a calendar, or where no calendar reaches."""
    start, end = turn.started_at, turn.ended_at(as_of)
    if start < CALENDARS_BEGIN or max(start, end) > as_of + CALENDARS_REACH:
        return None
    return business_seconds(rules.hours_of(turn.thread), start, end)


def sla_status(turn: Turn, calendar: float, business: float | None, rules: Rules) -> str | None:
    """The verdict on the elapsed time of the target's own clock; None without target or clock."""
    sla = rules.sla_of(turn.thread)
    target = sla.target(is_first=turn.is_first_response) if sla else None
    if sla is None or target is None:
        return None
    in_hours = sla.clock == "business" and rules.hours_of(turn.thread) is not None
    elapsed = business if in_hours else calendar
    if elapsed is None:
        return None
    kept = {"answered": "met", "waiting": "pending", "closed_unanswered": "excluded"}
    return "breached" if elapsed > target else kept[turn.outcome]


def _window(turn: Turn, openings: Sequence[datetime], as_of: datetime) -> dict[str, Any]:
    """The window as it stood when the turn ended.

    A wait that starts after `as_of` may find no opening before it: then there is no window yet.
    """
    end = turn.ended_at(as_of)
    closes = max((at for at in openings if at <= end), default=None)
    closes = closes + DAY if closes else None
    within = closes is not None and end < closes
    answered = turn.reply is not None
    return {
        "window_closes_at": closes,
        "is_answered_in_window": within if answered else None,
        "window_seconds_left": seconds(end, closes) if closes and answered and within else None,
        "is_mature": answered or (closes is not None and as_of >= closes),
    }
