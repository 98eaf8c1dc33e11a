"""How far a conversation's messages were read, and from where they can be read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import orjson

from pipelines.provider import Row
from pipelines.times import parse_time

RECENT, OLDER = 5, 12
"""Checkpoints kept: of the last pages all, of those before them a few that lie ever wider apart."""

TOLERANCE = timedelta(seconds=2)

MAX_ATTEMPTS = 3
"""Readings that do not reach the message the list promised; then the list is taken to be wrong."""


@dataclass(frozen=True)
class Checkpoint:
    """A page that the list can be read from.

    Attributes:
        cursor: asks for the page; None is the first.
        position: messages before it.
        first_at: its first message's time, sortable; None when it tells none.
    """

    cursor: str | None = None
    position: int = 0
    first_at: str | None = None


START = Checkpoint()


@dataclass(frozen=True)
class Reading:
    """How far one conversation's messages are read.

    Attributes:
        id: the conversation.
        cursor: asks for the last page that had rows; None is the first page.
        position: messages before that page.
        mark: digest of the conversation's row when everything it promised was read; '' before.
        synced_to: the newest message read, sortable.
        attempts: readings since then that did not reach what the row promises; beside a mark,
            `MAX_ATTEMPTS` of them were given up.
        checkpoints: pages behind the first, oldest first.
    """

    id: str
    cursor: str | None = None
    position: int = 0
    mark: str = ""
    synced_to: str = ""
    attempts: int = 0
    checkpoints: tuple[Checkpoint, ...] = ()

    @classmethod
    def from_row(cls, identity: str, row: Mapping[str, str | None]) -> Reading:
        """The reading that `to_row` kept."""
        return cls(
            identity,
            row["cursor"],
            int(row["position"] or 0),
            row["conversation_mark"] or "",
            row["synced_to"] or "",
            int(row["attempts"] or 0),
            tuple(Checkpoint(*entry) for entry in orjson.loads(row["checkpoints"] or "[]")),
        )

    def to_row(self) -> Row:
        """The row of `message_cursors`."""
        return {
            "id": self.id,
            "@cursor": self.cursor,
            "@position": self.position,
            "@conversation_mark": self.mark,
            "@synced_to": self.synced_to,
            "@attempts": self.attempts,
            "@checkpoints": [[c.cursor, c.position, c.first_at] for c in self.checkpoints],
        }

    def again(self) -> Reading:
        """This reading when its conversation is read again: with news, attempts count anew."""
        return replace(self, mark="", attempts=0) if self.mark else self

    def before(self, time: str) -> Checkpoint:
        """The last known page that a message of this time can't stand before; the first one when
        the last reading lacked something: a cursor that is stale may say so by telling nothing.

        A page that begins at the very time will not do: that message may end the page before it.
        """
        if self.attempts and not self.mark:
            return START
        passed = [c for c in self.checkpoints if c.first_at is not None and c.first_at < time]
        return passed[-1] if passed else START

    def reached(self, page: Checkpoint, newest: str) -> Reading:
        """This reading after a page with rows, the newest of which is of the time `newest`."""
        passed = tuple(c for c in self.checkpoints if c.position < page.position)
        checkpoints = _sparse((*passed, page)) if page.cursor else ()
        return replace(
            self,
            cursor=page.cursor,
            position=page.position,
            synced_to=max(self.synced_to, newest),
            checkpoints=checkpoints,
        )


@dataclass(frozen=True)
class Due:
    """A conversation whose messages must be read.

    Attributes:
        reading: how far they were read before.
        start: where to begin.
        mark: what its row is now; None when it has no news and only statuses are wanted.
        promised: the time of the newest message, as its row tells it.
    """

    reading: Reading
    start: Checkpoint
    mark: str | None = None
    promised: str | None = None

    def judged(self, reading: Reading) -> Reading:
        """The reading, done with when it reached the message that the conversation's row promises.

        A refresh judges nothing: what marks news as read stays what it was.
        """
        if self.mark is None:
            before = self.reading
            return replace(
                reading, mark=before.mark, synced_to=before.synced_to, attempts=before.attempts
            )
        promised, last = parse_time(self.promised), parse_time(reading.synced_to)
        reached = promised is None or (last is not None and last >= promised - TOLERANCE)
        attempts = 0 if reached else reading.attempts + 1
        is_done = reached or attempts >= MAX_ATTEMPTS
        return replace(reading, mark=self.mark if is_done else "", attempts=attempts)


def _sparse(pages: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Few of many pages: each time there are too many old ones, every other of them goes."""
    older, recent = pages[:-RECENT], pages[-RECENT:]
    return (*(older if len(older) <= OLDER else older[::2]), *recent)
