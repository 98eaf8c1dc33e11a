"""How far a conversation's messages were read, and from where they can be read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from pipelines.provider import Row

RECENT, OLDER = 5, 12
"""Checkpoints kept: of the last pages all, of those before them a few that lie ever wider apart."""


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
        attempts: readings since then that did not reach what the row promises.
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

    def before(self, time: str) -> Checkpoint:
        """The last known page that a message of this time can't stand before.

        A page that begins at the very time will not do: that message may end the page before it.
        """
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


def _sparse(pages: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Few of many pages: each time there are too many old ones, every other of them goes."""
    older, recent = pages[:-RECENT], pages[-RECENT:]
    return (*(older if len(older) <= OLDER else older[::2]), *recent)
