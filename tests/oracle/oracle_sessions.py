"""A thread's events in one order, and its sessions: runs without a close or a day of silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oracle_messages import Message
from oracle_values import DAY

Event = Message | datetime
"""What happens in a thread: a message, or the instant of an explicit close."""


def moment(event: Event) -> datetime:
    """When it happens."""
    found = event.at if isinstance(event, Message) else event
    assert found is not None
    return found


def merge(ordered: Sequence[Message], closes: Sequence[datetime]) -> list[Event]:
    """Messages and closes in one order: a close comes after everything of its instant."""
    events: list[Event] = [*ordered, *closes]
    return sorted(events, key=lambda event: (moment(event), isinstance(event, datetime)))


@dataclass(frozen=True)
class Session:
    """A message's session: its number in the thread and who began it."""

    number: int
    initiated_by: str


def number_sessions(events: Sequence[Event]) -> dict[str, Session]:
    """The session of every message, by message key."""
    sessions: dict[str, Session] = {}
    current: Session | None = None
    previous: datetime | None = None
    count = 0
    for event in events:
        if isinstance(event, datetime):
            current = None
            continue
        if current is None or previous is None or moment(event) - previous >= DAY:
            count += 1
            side = "customer" if event.direction == "inbound" else "business"
            current = Session(count, side)
        sessions[event.key] = current
        previous = moment(event)
    return sessions
