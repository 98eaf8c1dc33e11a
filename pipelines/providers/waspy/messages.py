"""Reading Waspy's messages: one oldest-first list per conversation, and no list of them all.

A conversation is read when its row in the conversation list differs from what it was when its
messages were last read. Reading starts at the page that was the last one then, so that one
request brings what is new, or at the first page of the last three days: messages are stored late,
too. It is also read, from further back, when something may have changed unseen.

That a page's cursor stays good is likely and not promised: one that is refused, or leads to
nothing, costs a reading from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from functools import partial

from pipelines.cursors import Page, follow
from pipelines.errors import BadCursor, ProviderError, Unavailable
from pipelines.provider import Row
from pipelines.providers.waspy.client import Waspy
from pipelines.providers.waspy.readings import MAX_ATTEMPTS, START, Checkpoint, Due, Reading
from pipelines.providers.waspy.statuses import StatusRefresh
from pipelines.providers.waspy.tables import CONVERSATIONS, MESSAGE_CURSORS, MESSAGES
from pipelines.providers.waspy.unreadable import UnreadableConversations
from pipelines.reading.backlog import Moved
from pipelines.reading.gate import Urgency, urgent
from pipelines.reading.pull import Pull
from pipelines.reading.stored import mark_of
from pipelines.times import newest, parse_time, sortable

MARKED = (
    "last_message_at",
    "last_message_status",
    "last_message_direction",
    "last_message_preview",
)
"""What a conversation's row tells about its messages."""

RECENT = timedelta(days=1)
"""A conversation that was never read and is older than this is history."""

CLOSED_AFTER = 10
"""Conversations in a row whose messages can't be read, before a pull gives up: one is a fault of
its own and must not hide the others, many are the list that is closed or the provider that is down.
"""

NAMELESS = "a conversation can't be decoded, nor its id: its messages are not read"

FAILED = "conversations whose messages could not be read"
"""What a pull calls those that the run's next one shall leave alone, each with its error."""

IN_VAIN = "conversations that promise more than was found"
"""The same, each with what its row was. A message takes longer to come than a pull."""


class MessageReader:
    """Reads the messages of one pull."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Waspy = pull.client
        self._more = 0
        self._failed: dict[str, ProviderError] = pull.carried.setdefault(FAILED, {})
        self._in_vain: dict[str, str | None] = pull.carried.setdefault(IN_VAIN, {})
        self._failed_in_a_row = 0
        self._is_noting = True  # what is read, so that this run does not read it again

    async def read(self) -> None:
        """Read every conversation that is due, several at a time, until the pull is full; first
        those with news."""
        await self._pull.finished(CONVERSATIONS.name)
        refresh = StatusRefresh(self._pull)
        unreadable = UnreadableConversations(self._pull)
        self._is_noting = self._pull.is_full or refresh.is_due or bool(unreadable.due)
        news, rest = self._due(refresh, unreadable.due)
        await self._read_in_turn(refresh, news, rest)
        unreadable.note_read()
        self._note_given_up()
        if unreadable.is_nameless:
            self._lacks(NAMELESS)
        if lack := self._unlisted():
            self._lacks(lack)
        self._tell_failures()

    async def _read_in_turn(
        self, refresh: StatusRefresh, news: Sequence[Due], rest: Sequence[Due]
    ) -> None:
        """What came lately, then what may have changed, then history. A full sync refreshes by
        itself, and reads in an order that a later run can go on from."""
        history = [item for item in news if self._is_history(item)]
        fresh = [item for item in news if not self._is_history(item)]
        try:
            left = await self._read_all(fresh) + len(history) + self._more
        finally:
            if self._pull.is_full:
                self._note_done(refresh, [item for item in fresh if item.mark is not None])
        if left == 0 or not (self._pull.is_full or self._pull.is_paused()):
            await self._refresh(refresh, rest)
        if history and not self._pull.is_paused():
            left += await self._read_all(history) - len(history)
        self._note_left(left)

    def _is_history(self, item: Due) -> bool:
        return not self._pull.is_full and self._urgency(item) is Urgency.HISTORY

    def _lacks(self, note: str) -> None:
        outcome = self._pull.outcomes[MESSAGES.name]
        outcome.is_complete, outcome.note = False, note

    def _unlisted(self) -> str | None:
        """Why there may be conversations whose messages were not asked for."""
        if CONVERSATIONS.name not in self._pull.wanted:
            none_stored = f"add {CONVERSATIONS.name} to `resources`: none are stored"
            return None if self._pull.count(CONVERSATIONS) else none_stored
        listed = self._pull.outcomes[CONVERSATIONS.name]
        return None if listed.is_complete else f"{CONVERSATIONS.name} are not read to their end"

    def _note_given_up(self) -> None:
        last = str(MAX_ATTEMPTS)
        given_up = self._pull.current(MESSAGE_CURSORS, ("id",), of=("attempts", (last,)))
        if given_up:
            self._pull.outcomes[MESSAGES.name].note = (
                f"{len(given_up)} conversations promise a newer message than was found in "
                f"{last} readings"
            )

    def _tell_failures(self) -> None:
        """Raise the first failure of a conversation once the run has read the others; until then
        it is noted."""
        error = next(iter(self._failed.values()), None)
        if error is None:
            return
        if not (self._pull.has_enough() and self._pull.has_more):
            raise error
        self._lacks(str(error))

    async def read_range(self) -> None:
        """Read again, whole, every conversation that was going on in the pull's span."""
        await self._pull.finished(CONVERSATIONS.name)
        read, imported = self._pull.done | self._failed.keys(), self._older_than_they_are()
        wanted = {
            str(identity): told
            for identity, created_at, *told in self._pull.current(
                CONVERSATIONS, ("id", "created_at", *MARKED)
            )
            if identity not in read
            and (identity in imported or self._overlaps(created_at, told[0]))
        }
        readings = self._readings([*wanted])
        due = [
            Due(readings[identity], START, mark_of(told), sortable(told[0]))
            for identity, told in wanted.items()
        ]
        with urgent(Urgency.HISTORY):
            self._note_left(await self._read_all(due))
        self._tell_failures()

    def _older_than_they_are(self) -> set[str]:
        """Conversations that hold a message of the span: one whose history was imported did not
        exist then."""
        if self._pull.span is None:
            return set()
        start, end = (sortable(time.isoformat()) or "" for time in self._pull.span)
        found = self._pull.stored.earliest(
            MESSAGES, "created_at", per="conversation_id", among={}, since=start
        )
        return {identity for identity, text in found.items() if (sortable(text) or end) < end}

    def _overlaps(self, created_at: str | None, last_at: str | None) -> bool:
        if self._pull.span is None:
            return False
        start, end = self._pull.span
        begun, ended = parse_time(created_at), parse_time(last_at)
        return (begun is None or begun < end) and (ended is None or ended >= start)

    def _note_left(self, left: int) -> None:
        outcome = self._pull.outcomes[MESSAGES.name]
        outcome.is_complete, outcome.left = left == 0, left
        self._pull.has_more |= left > 0

    async def _refresh(self, refresh: StatusRefresh, due: Sequence[Due]) -> None:
        try:
            left = await self._read_all(due)
        finally:
            self._note_done(refresh, due)
        self._pull.has_more |= left > 0
        if not left:
            refresh.ended()

    def _note_done(self, refresh: StatusRefresh, due: Sequence[Due]) -> None:
        # What failed has news from now on.
        done = self._pull.done | self._failed.keys()
        refresh.interrupted([item.reading.id for item in due], done)

    async def _read_all(self, due: Sequence[Due]) -> int:
        """Read side by side; return how many are left for later. What failed is not.

        Raises:
            ProviderError: what ends the account, or failed of one conversation after the other;
                after every worker has ended.
        """
        waiting = iter(due)
        side_by_side = min(len(due), self._api.transport.concurrency)
        workers = (self._work(waiting) for _ in range(side_by_side))
        results = await asyncio.gather(*workers, return_exceptions=True)
        for failure in filter(None, results):
            raise failure
        if self._failed_in_a_row >= CLOSED_AFTER:
            raise [*self._failed.values()][-1]
        return sum(1 for _ in waiting)

    def _due(self, refresh: StatusRefresh, unreadable: Set[str]) -> tuple[list[Due], list[Due]]:
        """Conversations whose row changed since their messages were read, newest first, behind
        those whose row is unreadable; then those that only a refresh wants. These, and all in a
        full sync, are in the order of their ids: a later run can go on from one."""
        changed = {
            thing.id: thing
            for thing in self._moved()
            if thing.id not in self._failed and self._in_vain.get(thing.id) != thing.mark
        }
        unreadable = unreadable - changed.keys() - self._failed.keys()
        readings = self._readings(sorted(changed.keys() | refresh.due.keys() | unreadable))

        def with_news(identity: str, *told: str | None) -> Due:
            since = refresh.due.get(identity, refresh.recent)
            return Due(readings[identity], self._start(readings[identity], since), *told)

        news = [
            with_news(thing.id, thing.mark, sortable(thing.last_at))
            for thing in sorted(changed.values())
            if thing.id > refresh.full_after or thing.mark != readings[thing.id].mark
        ]
        rest = [
            Due(readings[identity], readings[identity].before(since))
            for identity, since in sorted(refresh.due.items())
            if identity not in changed.keys() | self._failed.keys() | unreadable
        ]
        if not self._pull.is_full:
            news.sort(key=lambda item: item.promised or "", reverse=True)
        return [*map(with_news, sorted(unreadable)), *news], rest

    def _moved(self) -> list[Moved]:
        """What has news, as far as a pull can read it; in a full sync, everything."""
        if self._pull.is_full:
            rows = self._pull.current(CONVERSATIONS, ("id", *MARKED))
            return [
                Moved(str(identity), told[0], mark_of(told))
                for identity, *told in rows
                if identity not in self._pull.done
            ]
        moved, self._more = self._pull.moved(
            CONVERSATIONS, MARKED, cursors=MESSAGE_CURSORS, mark="conversation_mark"
        )
        return moved

    def _readings(self, conversations: Sequence[str]) -> Mapping[str, Reading]:
        """How far each conversation was read."""
        saved = self._pull.stored.cursors(MESSAGE_CURSORS, conversations)
        return {
            identity: Reading.from_row(identity, saved[identity])
            if identity in saved
            else Reading(identity)
            for identity in conversations
        }

    def _start(self, reading: Reading, since: str) -> Checkpoint:
        return START if self._pull.is_full else reading.before(since)

    async def _work(self, waiting: Iterator[Due]) -> None:
        # Asked after a reading, not before: every pull gets on, however short its time.
        while (item := next(waiting, None)) is not None:
            with urgent(self._urgency(item)):
                await self._try(item)
            if self._pull.is_paused() or self._failed_in_a_row >= CLOSED_AFTER:
                break

    async def _try(self, due: Due) -> None:
        """Read one conversation. A failure of its own is kept, and it stays due."""
        try:
            await self._read_one(due)
            self._failed_in_a_row = 0
        except ProviderError as error:
            if error.ends_account:
                raise
            self._failed[due.reading.id] = error
            self._failed_in_a_row += 1
            if due.reading.mark and (due.mark is None or self._pull.is_full):
                self._save(replace(due.reading, mark="", attempts=1))

    def _urgency(self, due: Due) -> Urgency:
        if due.mark is None:
            return Urgency.REFRESH
        last = parse_time(due.promised)
        is_recent = last is not None and last >= self._pull.now - RECENT
        return Urgency.FRESH if due.reading.synced_to or is_recent else Urgency.HISTORY

    async def _read_one(self, due: Due) -> None:
        try:
            await self._follow(due.start, due)
        except BadCursor:
            await self._follow(START, due)
        except Unavailable as error:
            if error.status != 404 or not await self._is_deleted(due.reading.id):
                raise
            # Since it was listed. What was read of it stays.
            if due.mark is not None:
                self._save(replace(due.reading, mark=due.mark))
        if self._is_noting:
            self._pull.done.add(due.reading.id)

    async def _is_deleted(self, conversation: str) -> bool:
        """Whether a conversation is not to be had either, from a list that is."""
        if self._pull.outcomes[CONVERSATIONS.name].error:
            return False
        try:
            await self._api.conversation(conversation)
        except Unavailable as error:
            return error.status == 404
        return False

    async def _follow(self, start: Checkpoint, due: Due) -> None:
        """Take pages from `start` to the end, and save how far that was."""
        reading = due.reading.again()
        page_at = start
        try:
            async for page in follow(partial(self._api.messages, reading.id), start.cursor):
                if page.rows:
                    reading = self._take(page, reading, page_at)
                elif page_at.cursor and page_at == start:
                    raise BadCursor("a page that had messages has none")
                page_at = Checkpoint(page.next, page_at.position + len(page.rows))
            reading = due.judged(reading)
            if due.mark is not None and not reading.mark:
                self._in_vain[reading.id] = due.mark
        finally:
            # A refresh that was cut off leaves everything as it was.
            if due.mark is not None or reading.mark:
                self._save(reading)

    def _take(self, page: Page[Row], reading: Reading, page_at: Checkpoint) -> Reading:
        times = []
        for i, row in enumerate(page.rows):
            if isinstance(row, dict):
                row["@position"] = page_at.position + i
                row["conversationId"] = row.get("conversationId") or reading.id
                times.append(row.get("createdAt"))
        self._pull.keep(MESSAGES, page)
        first = Checkpoint(page_at.cursor, page_at.position, sortable(next(iter(times), None)))
        return reading.reached(first, newest(times) or "")

    def _save(self, reading: Reading) -> None:
        self._pull.keep(MESSAGE_CURSORS, Page([reading.to_row()]))
        self._pull.backlog(CONVERSATIONS).drop(reading.id, reading.mark)
