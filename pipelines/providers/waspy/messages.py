"""Reading Waspy's messages: one oldest-first list per conversation, and no list of them all.

A conversation is read when its row in the conversation list differs from what it was when its
messages were last read. Reading starts at the page that was the last one then, so that one
request brings what is new and the newest statuses of what was there.

That a page's cursor stays good is likely and not promised: one that is refused costs a reading
from the start.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from pipelines.cursors import Page, follow
from pipelines.errors import BadCursor, Unavailable
from pipelines.provider import Row
from pipelines.providers.waspy.client import Waspy
from pipelines.providers.waspy.tables import CONVERSATIONS, MESSAGE_CURSORS, MESSAGES
from pipelines.pull import Pull
from pipelines.times import parse_time, sortable

MARKED = (
    "last_message_at",
    "last_message_status",
    "last_message_direction",
    "last_message_preview",
)
"""What a conversation's row tells about its messages."""

TOLERANCE = timedelta(seconds=2)
MAX_ATTEMPTS = 3
"""Readings that do not reach the message the list promised; then the list is taken to be wrong."""


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
    """

    id: str
    cursor: str | None = None
    position: int = 0
    mark: str = ""
    synced_to: str = ""
    attempts: int = 0

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
        }


@dataclass(frozen=True)
class Due:
    """A conversation whose messages must be read: what its row promises, and where to start."""

    reading: Reading
    mark: str
    promised: str | None


class MessageReader:
    """Reads the messages of one pull."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Waspy = pull.client

    async def read(self) -> None:
        """Read every conversation that is due, several at a time, until the pull is full."""
        await self._pull.finished(CONVERSATIONS.name)
        waiting = iter(self._due())
        workers = (self._work(waiting) for _ in range(self._api.transport.concurrency))
        results = await asyncio.gather(*workers, return_exceptions=True)
        for failure in filter(None, results):
            raise failure
        left = sum(1 for _ in waiting)
        self._pull.has_more |= left > 0
        self._pull.outcomes[MESSAGES.name].is_complete = left == 0

    def _due(self) -> list[Due]:
        """Conversations whose row changed since their messages were read, newest first."""
        cursors = self._pull.stored.cursors(MESSAGE_CURSORS)
        due = []
        for row in self._pull.current(CONVERSATIONS, ("id", *MARKED)):
            identity, mark = str(row[0]), _mark(row[1:])
            saved = cursors.get(identity)
            reading = Reading.from_row(identity, saved) if saved else Reading(identity)
            if reading.mark != mark or self._must_read_again(identity):
                due.append(Due(reading, mark, sortable(row[1])))
        return sorted(due, key=lambda item: item.promised or "", reverse=True)

    def _must_read_again(self, conversation: str) -> bool:
        return self._pull.is_full and conversation not in self._pull.done

    async def _work(self, waiting: Iterator[Due]) -> None:
        # Asked after a reading, not before: every pull gets on, however short its time.
        while (item := next(waiting, None)) is not None:
            await self._read_one(item)
            if self._pull.is_paused():
                break

    async def _read_one(self, due: Due) -> None:
        start = due.reading
        if self._must_read_again(start.id):
            start = Reading(start.id)
        try:
            await self._follow(start, due)
        except BadCursor:
            await self._follow(Reading(start.id), due)
        except Unavailable as error:
            if error.status != 404:
                raise
            # Deleted since it was listed: what was read of it stays.
            self._save(replace(start, mark=due.mark))

    async def _follow(self, reading: Reading, due: Due) -> None:
        """Take pages from the reading's cursor to the end, and save how far that was."""
        reading = replace(reading, mark="")
        asked, count = reading.cursor, reading.position
        try:
            async for page in follow(partial(self._api.messages, reading.id), asked):
                if page.rows:
                    reading = self._take(page, reading, asked, count)
                asked, count = page.next, count + len(page.rows)
            reading = _judged(reading, due)
            self._pull.done.add(reading.id)
        finally:
            self._save(reading)

    def _take(self, page: Page[Row], reading: Reading, asked: str | None, count: int) -> Reading:
        newest = reading.synced_to
        for i, row in enumerate(page.rows):
            if isinstance(row, dict):
                row["@position"] = count + i
                row.setdefault("conversationId", reading.id)
                newest = max(newest, sortable(row.get("createdAt")) or "")
        self._pull.take(MESSAGES, page)
        return replace(reading, cursor=asked, position=count, synced_to=newest)

    def _save(self, reading: Reading) -> None:
        self._pull.take(MESSAGE_CURSORS, Page([reading.to_row()]))


def _judged(reading: Reading, due: Due) -> Reading:
    """The reading, done with when it reached the message that the conversation's row promises."""
    promised, newest = parse_time(due.promised), parse_time(reading.synced_to)
    reached = promised is None or (newest is not None and newest >= promised - TOLERANCE)
    attempts = 0 if reached else reading.attempts + 1
    is_done = reached or attempts >= MAX_ATTEMPTS
    return replace(reading, mark=due.mark if is_done else "", attempts=attempts % MAX_ATTEMPTS)


def _mark(values: Sequence[str | None]) -> str:
    text = "\x1f".join(value or "" for value in values)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
