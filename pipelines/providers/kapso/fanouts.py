"""Lists that Kapso has only per parent: one request for each contact or conversation.

Parents are read in an order of their own, a few at a time, and the last one read is kept. So a
pull may stop anywhere, and the next one goes on from there with one value to remember.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from pipelines.cursors import Fetch
from pipelines.errors import Unavailable
from pipelines.provider import Row, Table
from pipelines.providers.kapso.client import Kapso
from pipelines.providers.kapso.tables import (
    ASSIGNMENTS,
    CALL_PERMISSIONS,
    CONTACT_NOTES,
    CONTACTS,
    CONVERSATIONS,
)
from pipelines.reading.gate import Urgency, urgent
from pipelines.reading.pull import Pull
from pipelines.times import is_due, sortable

Touch = tuple[str, str]
"""When a parent was last active (sortable, empty where it does not matter), and its id."""

DAY = timedelta(days=1)

ROUND_EVERY = DAY
"""Nothing tells that a contact got a note, so all of them are asked again."""

STEP_BACK = timedelta(days=2)
"""Handing a conversation over moves nothing that a list shows."""

PARENTS_PER_PULL = 500
"""After so many the pull is loaded: on the free plan they take five minutes."""

CLOSED_AFTER = 20
"""After so many closed parents and no open one, ask whether it is the list that is closed."""

PROBES = 3


class Tally:
    """Tells parents that are gone from a list that is closed: both answer 404.

    Args:
        exists: asks whether a parent is still there.
    """

    def __init__(self, exists: Callable[[str], Awaitable[bool]]) -> None:
        self._exists = exists
        self._closed: list[tuple[str, Unavailable]] = []
        self.is_open = False

    async def add(self, parent: str, error: Unavailable | None) -> None:
        """Count one parent.

        Raises:
            Unavailable: it is the list that is closed.
        """
        if error is None:
            self.is_open = True
            return
        self._closed.append((parent, error))
        if len(self._closed) == CLOSED_AFTER:
            await self.check()

    async def check(self) -> None:
        """Where no parent answered, ask for a few of them themselves.

        Raises:
            Unavailable: one of them is there, so the list is closed.
        """
        for parent, error in [] if self.is_open else self._closed[:PROBES]:
            if error.status != 404 or await self._exists(parent):
                raise error
        self.is_open = True

    @property
    def note(self) -> str | None:
        """The first refusal of a parent that is there."""
        return next((str(error) for _, error in self._closed if error.status != 404), None)


async def read_parents(
    pull: Pull,
    parents: Sequence[Touch],
    read: Callable[[str], Awaitable[None]],
    passed: Callable[[Touch], None],
    tally: Tally,
) -> bool:
    """Read a list per parent, in the order given; return whether none is left.

    Args:
        pull: it may stop after any lot, but never before the first, so every pull gets on.
        parents: ascending; the id is last.
        read: reads the list of the parent with that id.
        passed: told the last parent of each lot that was read.
        tally: counts the parents that are closed.

    Raises:
        Unavailable: no parent answers.
        ProviderError: another failure; the lots before it have passed.
    """
    size = pull.client.transport.concurrency
    for start in range(0, len(parents), size):
        is_enough = start >= PARENTS_PER_PULL or (start > 0 and pull.is_paused())
        if is_enough or pull.is_stopping():
            pull.has_more = True
            return False
        lot = parents[start : start + size]
        ids = [identity for _, identity in lot]
        with urgent(Urgency.FANOUT):
            results = await asyncio.gather(*map(read, ids), return_exceptions=True)
        for identity, failure in zip(ids, results, strict=True):
            if isinstance(failure, BaseException) and not isinstance(failure, Unavailable):
                raise failure
            await tally.add(identity, failure)
        if tally.is_open:
            passed(lot[-1])
    await tally.check()
    if parents:
        passed(parents[-1])
    return True


class FanOuts:
    """Reads the fan-outs of one pull."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Kapso = pull.client

    async def contact_notes(self) -> None:
        """Notes of every contact, a round a day."""
        await self._round(CONTACT_NOTES, self._api.contact_notes, "@contact_id")

    async def call_permissions(self) -> None:
        """What every contact said about being called, a round a day."""
        await self._round(CALL_PERMISSIONS, self._api.call_permissions, "whatsapp_contact_id")

    async def _round(
        self, table: Table, fetch: Callable[[str, str | None], Awaitable[Any]], names_parent: str
    ) -> None:
        """Go on with the round of contacts that is open, or begin one when it is time.

        The position: `after`, the last contact that was read, in the order of ids; `ended_at`,
        when the last round ended; `note`, what it had to leave out.
        """
        place = self._pull.positions.setdefault(table.name, {})
        outcome = self._pull.outcomes[table.name]
        if self._is_due(place):
            if not await self._has_parents(CONTACTS, table):
                return
            ids = sorted(str(row[0]) for row in self._pull.current(CONTACTS, ("id",)))
            tally = Tally(partial(self._api.exists, CONTACTS.name))
            is_done = await read_parents(
                self._pull,
                [("", identity) for identity in ids if identity > place.get("after", "")],
                lambda contact: self._read(table, partial(fetch, contact), names_parent, contact),
                lambda parent: place.update(after=parent[1]),
                tally,
            )
            place["note"] = tally.note or place.get("note")
            if not is_done:
                outcome.is_complete = False
                return
            place |= {"after": "", "ended_at": self._pull.now.isoformat(), "note": tally.note}
        outcome.note = place.get("note")
        outcome.is_complete = outcome.note is None

    def _is_due(self, place: dict[str, Any]) -> bool:
        is_open = bool(place.get("after"))
        return is_open or is_due(place.get("ended_at"), ROUND_EVERY, self._pull.now)

    async def assignments(self) -> None:
        """Who every conversation was given to that was active since the last time.

        The position: `after`, the conversation that was read last, in the order of their last
        activity. One that becomes active again comes after it again.
        """
        if not await self._has_parents(CONVERSATIONS, ASSIGNMENTS):
            return
        place = self._pull.positions.setdefault(ASSIGNMENTS.name, {})
        self._step_back(place)
        since, last = place.get("after") or ("", "")
        tally = Tally(partial(self._api.exists, CONVERSATIONS.name))
        outcome = self._pull.outcomes[ASSIGNMENTS.name]
        outcome.is_complete = False
        is_done = await read_parents(
            self._pull,
            [touch for touch in self._touches() if touch > (since, last)],
            self._assignments_of,
            lambda touch: place.update(after=list(touch)),
            tally,
        )
        outcome.note = tally.note
        outcome.is_complete = is_done and tally.note is None

    async def _assignments_of(self, conversation: str) -> None:
        fetch = partial(self._api.assignments, conversation)
        await self._read(ASSIGNMENTS, fetch, "@conversation_id", conversation)

    def _step_back(self, place: dict[str, Any]) -> None:
        """Once a day, look again at what was active lately."""
        if not is_due(place.get("stepped_back_at"), DAY, self._pull.now):
            return
        place["stepped_back_at"] = self._pull.now.isoformat()
        if place.get("after"):
            since = sortable((self._pull.now - STEP_BACK).isoformat()) or ""
            place["after"] = min(place["after"], [since, ""])

    def _touches(self) -> list[Touch]:
        rows = self._pull.current(CONVERSATIONS, ("id", "last_active_at", "updated_at"))
        # One wrong date in the future must not hide every later conversation.
        limit = sortable((self._pull.now + DAY).isoformat()) or ""
        return sorted(
            (max((t for t in map(sortable, times) if t and t < limit), default=""), str(identity))
            for identity, *times in rows
        )

    async def _has_parents(self, parent: Table, table: Table) -> bool:
        """Wait for the parents' list; False when it is not whole, or not read at all."""
        await self._pull.finished(parent.name)
        outcome, known = self._pull.outcomes[table.name], self._pull.outcomes[parent.name]
        if parent.name not in self._pull.wanted:
            is_known = bool(self._pull.current(parent, ("id",)))
            outcome.note = (
                None if is_known else f"add {parent.name} to `resources`: none are stored"
            )
            return is_known
        if known.error is not None:
            outcome.note = f"left for the next sync: {parent.name} could not be read"
        return known.is_complete

    async def _read(self, table: Table, fetch: Fetch[Row], key: str, parent: str) -> None:
        await self._pull.all_pages(table, fetch, adds={key: parent})
