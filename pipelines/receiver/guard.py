"""Limits that uvicorn has not: how long a client may take, and how many may come.

A connection that is too slow is cut. When there are too many, the one that has kept the receiver
waiting for longest makes room: slow ones can't keep good ones out. What is whole and waits for its
commit is never cut for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipelines.receiver.app import BODY_SECONDS, COMMIT_SECONDS, LINGER_SECONDS

MOST_CONNECTIONS = 256
SLACK_SECONDS = 1.0
CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)


class Phase(Enum):
    """What a connection is about."""

    IDLE = "nothing, between two requests"
    HEADERS = "headers that are not whole"
    BODY = "a body that is not whole"
    ANSWER = "an answer"


SECONDS = {
    Phase.IDLE: 5.0,
    Phase.HEADERS: 5.0,
    # The app ends a slow body itself, with an answer.
    Phase.BODY: BODY_SECONDS + LINGER_SECONDS + SLACK_SECONDS,
    Phase.ANSWER: COMMIT_SECONDS + SLACK_SECONDS,
}
"""How long each may take."""


class Crowd:
    """The connections that are open.

    Args:
        on_cut: told why, for each that is cut or turned away: a reason of `metrics.REASONS`.
    """

    def __init__(self, on_cut: Callable[[str], None]) -> None:
        self.on_cut = on_cut
        self._members: set[Guarded] = set()

    def __len__(self) -> int:
        return len(self._members)

    def enter(self, member: Guarded) -> bool:
        """Let one in; False when there is no room, because all are being answered."""
        if len(self._members) >= MOST_CONNECTIONS:
            waiting = [other for other in self._members if other.phase is not Phase.ANSWER]
            if not waiting:
                self.on_cut("crowded")
                return False
            slowest = min(waiting, key=lambda other: other.since)
            self.cut(slowest, "crowded")
        self._members.add(member)
        return True

    def leave(self, member: Guarded) -> None:
        """Forget one that is closed."""
        self._members.discard(member)

    def sweep(self, now: float) -> None:
        """Cut those that take too long. `now` is the event loop's time."""
        for member in [m for m in self._members if now - m.since > SECONDS[m.phase]]:
            self.cut(member, "slow")

    def cut(self, member: Guarded, reason: str) -> None:
        """Close a connection at once."""
        if member.phase is Phase.HEADERS:  # where there is a request, the app counts it
            self.on_cut(reason)
        self.leave(member)
        member.transport.abort()


class Guarded(H11Protocol):
    """uvicorn's connection, with an eye on the time."""

    phase = Phase.HEADERS
    since = 0.0

    def __init__(self, crowd: Crowd, **given: Any) -> None:
        super().__init__(**given)
        self._crowd = crowd

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first headers."""
        self.since = self.loop.time()
        super().connection_made(transport)
        if not self._crowd.enter(self):
            transport.write(CROWDED)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._crowd.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; note what the connection is about now."""
        if self.transport.is_closing():
            return
        if self.phase is Phase.IDLE:
            self._enter(Phase.HEADERS)
        super().data_received(data)
        self._note()

    def on_response_complete(self) -> None:
        """The next request may come, or is there already."""
        super().on_response_complete()
        self.since = self.loop.time()
        self._note()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        if self.cycle is None or self.cycle.response_complete:
            self._crowd.on_cut("framing")  # in the middle of a body the app counts it: gone
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # an answer is under way already
            self.transport.abort()

    def _note(self) -> None:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            phase = Phase.BODY
        elif state is not h11.IDLE:
            phase = Phase.ANSWER
        elif self.conn.trailing_data[0] or self.phase is Phase.HEADERS:
            phase = Phase.HEADERS
        else:
            phase = Phase.IDLE
        if phase is not self.phase:
            self._enter(phase)

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, self.loop.time()
