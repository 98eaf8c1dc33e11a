"""Reading Waspy's contacts: a numbered list in an unknown order, with no word on what changed.

While a list of pages is read, a row that moves to the front pushes the others down (rows come
twice), and a row that leaves pulls them up (rows are skipped). So one pass is trusted only when
it finds as many contacts as the list says it has; else the list is read the other way round,
with pages of another size, until two passes agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

from pipelines.cursors import Page
from pipelines.errors import Unavailable
from pipelines.provider import Row
from pipelines.providers.waspy.client import LIMIT, Numbered, Waspy
from pipelines.providers.waspy.tables import CONTACTS, CONVERSATIONS
from pipelines.reading.deletions import Deletions, ids_of
from pipelines.reading.pull import Pull

SCAN_EVERY = timedelta(days=1)
SINGLE_LOOKUPS = 50
"""Unknown contacts looked up one by one in a run; the scan of the day finds the others."""

PASSES = ((LIMIT, False), (97, True), (LIMIT, False))
"""Page size and whether to read from the last page to the first."""


class ContactReader:
    """Reads the contacts of one pull."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Waspy = pull.client
        self._position = pull.positions.setdefault(CONTACTS.name, {})
        self._listed: set[str] = set()

    async def read(self) -> None:
        """Look at the first page; scan the list when it tells of something new or a day passed."""
        deletions = Deletions(self._pull, CONTACTS, self._is_there)
        first = await self._api.contacts(1)
        fresh = self._take(first.page)
        is_whole = False
        if self._is_scan_due() or not await self._is_explained(first, fresh):
            is_whole = await self._scan()
        await deletions.compare(self._listed, is_complete=is_whole)
        self._position["total"] = first.total
        self._pull.outcomes[CONTACTS.name].is_complete = bool(self._position.get("is_complete"))
        await self._look_up_unknown()

    def _take(self, page: Page[Row]) -> int:
        self._listed |= ids_of(page.rows)
        return self._pull.take(CONTACTS, page)

    def _is_scan_due(self) -> bool:
        done = self._position.get("scanned_at")
        return (
            not self._position.get("is_complete")
            or done is None
            or self._pull.now - datetime.fromisoformat(done) >= SCAN_EVERY
        )

    async def _is_explained(self, first: Numbered, fresh: int) -> bool:
        """Whether the first page and the last hold every contact that came since the last scan."""
        if first.total is None:
            return False
        if not fresh and first.total == self._position.get("total"):
            return True
        self._take((await self._api.contacts(_pages(first.total, LIMIT))).page)
        known = self._pull.count(CONTACTS)
        return bool(known - first.total == self._position.get("surplus", 0))

    async def _scan(self) -> bool:
        """Read the whole list until it can be trusted; return whether it could be."""
        seen: set[str] = set()
        is_complete, before = False, None
        for size, is_backwards in PASSES:
            ids, totals = await self._pass(size, is_backwards=is_backwards)
            seen |= ids
            is_complete = totals == {len(ids)} or ids == before or totals == {None}
            if is_complete:
                break
            before = ids
        known = self._pull.count(CONTACTS)
        self._position |= {
            "is_complete": is_complete,
            "scanned_at": self._pull.now.isoformat(),
            "surplus": known - len(seen),  # contacts that Waspy no longer lists
        }
        return is_complete

    async def _pass(self, size: int, *, is_backwards: bool) -> tuple[set[str], set[int | None]]:
        """Every id one pass saw, and the totals its pages told."""
        first = await self._api.contacts(1, size)
        rest = range(2, _pages(first.total or 0, size) + 1)
        answers = [first, *await self._pages_of(reversed(rest) if is_backwards else rest, size)]
        while first.total is None and answers[-1].page.rows:
            answers.append(await self._api.contacts(len(answers) + 1, size))
        for answer in answers:
            self._take(answer.page)
        ids = {identity for answer in answers for identity in ids_of(answer.page.rows)}
        return ids, {answer.total for answer in answers}

    async def _pages_of(self, numbers: Iterable[int], size: int) -> list[Numbered]:
        return await asyncio.gather(*(self._api.contacts(number, size) for number in numbers))

    async def _look_up_unknown(self) -> None:
        """Ask for the contacts that conversations name and no list has shown yet."""
        await self._pull.finished(CONVERSATIONS.name)
        named = self._pull.lacking(CONVERSATIONS, "contact_id", of=CONTACTS)
        gone = set(self._position.get("gone", ()))
        unknown = sorted(identity for identity in named - gone if identity)
        missing = await asyncio.gather(*map(self._look_up, unknown[:SINGLE_LOOKUPS]))
        self._position["gone"] = sorted(gone | {identity for identity in missing if identity})

    async def _is_there(self, identity: str) -> bool:
        return await self._look_up(identity) is None

    async def _look_up(self, identity: str) -> str | None:
        """Take one contact; return its id when Waspy has it no longer."""
        try:
            self._take(await self._api.contact(identity))
        except Unavailable as error:
            if error.status != 404:
                raise
            return identity
        return None


def _pages(total: int, size: int) -> int:
    return max(1, -(-total // size))
