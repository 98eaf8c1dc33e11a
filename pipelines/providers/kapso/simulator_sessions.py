"""Cuts a world's threads into Kapso conversations, which are sessions.

A session ends after 24 hours without a message, or when somebody ends it; the next message starts
another one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.simulation import uuid_for
from pipelines.world import WINDOW, Message, Thread, World


@dataclass(frozen=True, slots=True)
class Session:
    """One Kapso conversation. Messages stand in the order in which they became known.

    Attributes:
        closed_at: when somebody ended it, None when it was left to run out.
    """

    id: str
    thread: Thread
    messages: tuple[Message, ...]
    inserted: tuple[datetime, ...]
    closed_at: datetime | None

    def known_at(self, now: datetime) -> int:
        """How many of the messages were known."""
        return bisect_right(self.inserted, now)

    def ended_at(self, now: datetime) -> datetime | None:
        """When it ended, None while it is active."""
        ends = max(m.occurred_at for m in self.messages[: self.known_at(now)]) + WINDOW
        if self.closed_at is not None:
            ends = min(ends, self.closed_at)
        return ends if ends <= now else None


def sessions_of(world: World) -> list[Session]:
    """Every session of the world, thread by thread."""
    spoken: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in world.messages:
        spoken[message.channel_id, message.contact_id].append(message)
    return [
        session
        for thread in world.threads
        for session in _cut(thread, spoken[thread.channel_id, thread.contact_id])
    ]


def _cut(thread: Thread, messages: Sequence[Message]) -> Iterator[Session]:
    closes = [c.at for c in thread.changes if c.status in ("resolved", "closed")]
    run: list[Message] = []
    for message in sorted(messages, key=lambda m: (m.occurred_at, m.inserted_at)):
        if run:
            last = run[-1].occurred_at
            close = _between(closes, last, message.occurred_at)
            if close or message.occurred_at - last >= WINDOW:
                yield _session(thread, run, close)
                run = []
        run.append(message)
    if run:
        yield _session(thread, run, _between(closes, run[-1].occurred_at, None))


def _between(closes: Sequence[datetime], low: datetime, high: datetime | None) -> datetime | None:
    """The first close after `low` that is not after `high`."""
    index = bisect_right(closes, low)
    if index == len(closes) or (high is not None and closes[index] > high):
        return None
    return closes[index]


def _session(thread: Thread, run: Sequence[Message], close: datetime | None) -> Session:
    known = sorted(run, key=lambda m: (m.inserted_at, m.id))
    return Session(
        id=uuid_for("kapso", "conversation", thread.id, run[0].id),
        thread=thread,
        messages=tuple(known),
        inserted=tuple(m.inserted_at for m in known),
        closed_at=close,
    )
