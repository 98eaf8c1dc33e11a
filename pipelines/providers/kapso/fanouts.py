"""Lists that Kapso has only per parent: one request for each contact or conversation.

Parents are read in an order of their own, a few at a time, and the last one read is kept. So a
pull may stop anywhere, and the next one goes on from there with one value to remember.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from pipelines.cursors import Page
from pipelines.errors import ProviderError, Unavailable
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
from pipelines.reading.together import together
from pipelines.times import is_due, sortable

Touch = tuple[str, str]
"""When a parent was last active (sortable, empty where it does not matter), and its id."""

ListOf = Callable[[str, str | None], Awaitable[Page[Row]]]
"""Asks for a page of a parent's list."""

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

DOWN_AFTER = 5
"""After so many failures without an answer in between, it is not the parents that fail."""


class Tally:
    """Tells parents that are gone from a list that is closed, which both answer 404, and parents
    that fail from a provider that is down.

    Args:
        exists: asks whether a parent is still there.
        failed: parents that failed before.

    Attributes:
        is_open: a parent answered.
        failed: parents whose list could not be read, until they answer.
        failure: the first failure that was counted.
    """

    def __init__(
        self, exists: Callable[[str], Awaitable[bool]], *, failed: Iterable[str] = ()
    ) -> None:
        self._exists = exists
        self._closed: list[tuple[str, Unavailable]] = []
        self._in_a_row = 0
        self.is_open = False
        self.failed = set(failed)
        self.failure: ProviderError | None = None

    async def add(self, parent: str, error: ProviderError | None) -> None:
        """Count one parent.

        Raises:
            Unavailable: it is the list that is closed.
            ProviderError: it is the provider that fails, or the account has ended.
        """
        if error is not None and not isinstance(error, Unavailable):
            self._fail(parent, error)
            return
        self._in_a_row = 0
        self.failed.discard(parent)
        if error is None:
            self.is_open = True
            return
        self._closed.append((parent, error))
        if len(self._closed) == CLOSED_AFTER:
            await self.check()

    def _fail(self, parent: str, error: ProviderError) -> None:
        self.failed.add(parent)
        self.failure = self.failure or error
        self._in_a_row += 1
        if error.ends_account or self._in_a_row == DOWN_AFTER:
            raise error

    async def check(self) -> None:
        """Where no parent answered, ask for a few of them themselves.

        Raises:
            Unavailable: one of them is there, so the list is closed.
            ProviderError: all of them failed.
        """
        if self.failure is not None and not (self.is_open or self._closed):
            raise self.failure
        for parent, error in [] if self.is_open else self._closed[:PROBES]:
            if error.status != 404 or await self._exists(parent):
                raise error
        self.is_open = True

    @property
    def note(self) -> str | None:
        """The first failure, or refusal of a parent that is there."""
        refused = (error for _, error in self._closed if error.status != 404)
        if first := self.failure or next(refused, None):
            return str(first)
        return "some could not be read: asked for again once a day" if self.failed else None

    def end(self) -> None:
        """Tell of what failed, once the others are read.

        Raises:
            ProviderError: the first failure.
        """
        if self.failure is not None:
            raise self.failure


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
        tally: counts the parents that are closed or fail; they are passed over.

    Raises:
        Unavailable: no parent answers.
        ProviderError: it is not the parents that fail; the lots before it have passed.
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
            failed = await together(map(read, ids))  # None where it did not
        for identity, failure in zip(ids, failed, strict=True):
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

    async def _round(self, table: Table, fetch: ListOf, names_parent: str) -> None:
        """Go on with the round of contacts that is open, or begin one when it is time.

        The position: `after`, the last contact that was read, in the order of ids; `ended_at`,
        when the last round ended; `note`, what it had to leave out.
        """
        place = self._pull.positions.setdefault(table.name, {})
        outcome = self._pull.outcomes[table.name]
        if self._is_due(place):
            if not await self._has_parents(CONTACTS, table):
                return
            read = partial(self._read, table, fetch, names_parent)
            if not await self._is_ended(place, read):
                outcome.is_complete = False
                return
        outcome.note = place.get("note")
        outcome.is_complete = outcome.note is None

    async def _is_ended(
        self, place: dict[str, Any], read: Callable[[str], Awaitable[None]]
    ) -> bool:
        """Read the contacts that a round has left; False when the pull stopped before its end."""
        after = place.setdefault("after", "")
        if not after:
            place["note"] = None
        ids = sorted(str(row[0]) for row in self._pull.current(CONTACTS, ("id",)))
        tally = Tally(partial(self._api.exists, CONTACTS.name))

        def passed(contact: Touch) -> None:
            place.update(after=contact[1], note=place.get("note") or tally.note)

        parents = [("", identity) for identity in ids if identity > after]
        is_done = await read_parents(self._pull, parents, read, passed, tally)
        if is_done:
            place |= {"after": "", "ended_at": self._pull.now.isoformat()}
        tally.end()
        return is_done

    def _is_due(self, place: dict[str, Any]) -> bool:
        is_open = bool(place.get("after"))
        return is_open or is_due(place.get("ended_at"), ROUND_EVERY, self._pull.now)

    async def assignments(self) -> None:
        """Who every conversation was given to that was active since the last time.

        The position: `after`, the conversation that was read last, in the order of their last
        activity. One that becomes active again comes after it again. `failed`, those before it
        that could not be read.
        """
        if not await self._has_parents(CONVERSATIONS, ASSIGNMENTS):
            return
        place = self._pull.positions.setdefault(ASSIGNMENTS.name, {})
        touches = self._touches()
        failed = {identity for _, identity in touches} & {*place.get("failed", ())}
        again = failed if self._step_back(place) else ()
        since, last = place.get("after") or ("", "")
        tally = Tally(partial(self._api.exists, CONVERSATIONS.name), failed=failed)

        def passed(touch: Touch) -> None:
            after = [*max((since, last), touch)]
            place.update(after=after, failed=sorted(tally.failed))

        outcome = self._pull.outcomes[ASSIGNMENTS.name]
        outcome.is_complete = False
        is_done = await read_parents(
            self._pull,
            [touch for touch in touches if touch > (since, last) or touch[1] in again],
            partial(self._read, ASSIGNMENTS, self._api.assignments, "@conversation_id"),
            passed,
            tally,
        )
        tally.end()
        outcome.note = tally.note
        outcome.is_complete = is_done and tally.note is None

    def _step_back(self, place: dict[str, Any]) -> bool:
        """Once a day, look again at what was active lately; whether it is time."""
        if not is_due(place.get("stepped_back_at"), DAY, self._pull.now):
            return False
        place["stepped_back_at"] = self._pull.now.isoformat()
        if place.get("after"):
            since = sortable((self._pull.now - STEP_BACK).isoformat()) or ""
            place["after"] = min(place["after"], [since, ""])
        return True

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

    async def _read(self, table: Table, fetch: ListOf, names_parent: str, parent: str) -> None:
        await self._pull.all_pages(table, partial(fetch, parent), adds={names_parent: parent})
