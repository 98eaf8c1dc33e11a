"""Reading Waspy's contacts: a numbered list in an unknown order, with no word on what changed.

While a list of pages is read, a row that moves to the front pushes the others down (rows come
twice), and a row that leaves pulls them up (rows are skipped). So one pass is trusted only when
it finds as many contacts as the list says it has, at its begin or its end; else the list is read
the other way round, with pages of another size, until two passes agree.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pipelines.cursors import Page
from pipelines.errors import Unavailable
from pipelines.provider import Row
from pipelines.providers.waspy.client import LIMIT, Numbered, Waspy
from pipelines.providers.waspy.tables import CONTACTS, CONVERSATIONS
from pipelines.reading.deletions import Deletions, ids_of
from pipelines.reading.pull import Pull
from pipelines.reading.together import failures, together
from pipelines.salvage import Unreadable
from pipelines.times import is_due

SCAN_EVERY = timedelta(days=1)
SCAN_AGAIN = timedelta(hours=1)
"""After a scan that can't be trusted: where people come and go all the time, the next one can't be
either, and costs as much."""

SINGLE_LOOKUPS = 50
"""Unknown contacts looked up one by one in a run; the scan of the day finds the others."""

PASSES = ((LIMIT, False), (97, True), (LIMIT, False))
"""Page size and whether to read from the last page to the first."""


SCAN = "scan of the contacts"
"""What a pull calls a scan that the run's next one shall go on with."""


@dataclass
class _Pass:
    """One reading of the list, from one end to the other.

    Attributes:
        size: contacts of a page.
        is_backwards: the last page is read first.
        left: pages still to read, in turn; None before the first one told how many there are.
        ids: of the contacts that were seen.
        totals: what the pages told of how many there are, the first page's first.
        total: what the last one told.
    """

    size: int
    is_backwards: bool
    left: deque[int] | None = None
    ids: set[str] = field(default_factory=set)
    totals: list[int | None] = field(default_factory=list)
    total: int | None = None

    def is_plausible(self) -> bool:
        """Whether it saw as many contacts as the pages told, which may grow while it goes on. When
        one leaves, those behind it move up, and another is skipped."""
        told = [total for total in self.totals if total is not None]
        if len(told) < len(self.totals):
            return not told  # no page tells a total, or only some do
        return told[0] == min(told) <= len(self.ids) <= max(told)


@dataclass
class _Scan:
    """A reading of the list until it can be trusted. That of a long list takes several pulls.

    Attributes:
        total: how many contacts the list says it has; None when it does not tell.
        passes: those that may still be needed; the first is going on, or has just ended.
        seen: ids of the contacts that the passes before it saw.
        before: those of the last of these.
        is_complete: whether a pass could be trusted.
    """

    total: int | None
    passes: list[_Pass] = field(default_factory=lambda: [_Pass(*kind) for kind in PASSES])
    seen: set[str] = field(default_factory=set)
    before: set[str] | None = None
    is_complete: bool = False

    def judge(self) -> bool:
        """Whether the pass that has ended was the last."""
        ended = self.passes.pop(0)
        # As a rule one pass is enough, and a copy of its ids is as large as they are.
        self.seen = self.seen | ended.ids if self.seen else ended.ids
        self.is_complete = ended.is_plausible() or ended.ids == self.before
        self.before, self.total = ended.ids, ended.total
        return self.is_complete or not self.passes


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
        scan = self._pull.carried.pop(SCAN, None) or await self._begun()
        if not await self._is_over(scan):
            self._leave(scan)
            return
        scan.seen |= self._listed
        await deletions.compare(scan.seen, is_complete=scan.is_complete)
        self._position["total"] = scan.total
        self._note_completeness()
        await self._look_up_unknown()

    async def _begun(self) -> _Scan:
        """A scan; one without a pass when the first page leaves no doubt."""
        first = await self._api.contacts(1, LIMIT)
        fresh = self._take(first.page)
        is_trusted = bool(self._position.get("is_complete"))
        if self._is_scan_due(SCAN_EVERY if is_trusted else SCAN_AGAIN):
            return _Scan(first.total)
        if is_trusted and not await self._is_explained(first, fresh):
            return _Scan(first.total)
        return _Scan(first.total, passes=[])

    def _leave(self, scan: _Scan) -> None:
        """Have the run's next pull go on: only in one run can a scan be trusted."""
        self._pull.carried[SCAN] = scan
        self._pull.has_more = self._pull.must_go_on = True
        self._pull.outcomes[CONTACTS.name].left = len(scan.passes[0].left or ())
        self._note_completeness()

    def _note_completeness(self) -> None:
        is_complete = bool(self._position.get("is_complete"))
        self._pull.outcomes[CONTACTS.name].is_complete = is_complete

    def _take(self, page: Page[Row]) -> int:
        self._listed |= _listed(page.rows)
        return self._pull.take(CONTACTS, page)

    def _is_scan_due(self, every: timedelta) -> bool:
        return is_due(self._position.get("scanned_at"), every, self._pull.now)

    async def _is_explained(self, first: Numbered, fresh: int) -> bool:
        """Whether the first page and the last hold every contact that came since the last scan."""
        if first.total is None:
            return False
        if not fresh and first.total == self._position.get("total"):
            return True
        last = await self._api.contacts(_pages(first.total, LIMIT), LIMIT)
        self._take(last.page)
        known = self._pull.count(CONTACTS)
        return bool(known - first.total == self._position.get("surplus", 0))

    async def _is_over(self, scan: _Scan) -> bool:
        """Go on with a scan; False when the pull was full before its end."""
        if not scan.passes:
            return True
        while await self._is_read(scan.passes[0]):
            if scan.judge():
                total = len(scan.seen) if scan.total is None else scan.total
                self._position |= {
                    "is_complete": scan.is_complete,
                    "scanned_at": self._pull.now.isoformat(),
                    # Contacts that Waspy no longer lists, less those it only counts.
                    "surplus": self._pull.count(CONTACTS) - total,
                }
                return True
        return False

    async def _is_read(self, reading: _Pass) -> bool:
        """Go on with a pass, several pages at a time; False when the pull was full before its
        end."""
        if reading.left is None:
            reading.left = deque(await self._others(reading))
        side_by_side = min(len(reading.left), self._api.transport.concurrency)
        workers = (self._work(reading, reading.left) for _ in range(side_by_side))
        results = await asyncio.gather(*workers, return_exceptions=True)
        for failure in filter(None, results):
            raise failure
        return not reading.left

    async def _others(self, reading: _Pass) -> Iterable[int]:
        """Read the first page of a pass; return the others."""
        first = await self._page(reading, 1)
        if first.total is None:
            return [2]  # each tells whether there is one more
        others = range(2, _pages(first.total, reading.size) + 1)
        return reversed(others) if reading.is_backwards else others

    async def _work(self, reading: _Pass, left: deque[int]) -> None:
        # Asked after a page, not before: every pull gets on.
        while left:
            number = left.popleft()
            known = len(reading.ids)
            answer = await self._page(reading, number)
            if answer.total is None and not left and len(reading.ids) > known:
                left.append(number + 1)
            if self._pull.has_enough() or self._pull.is_stopping():
                break

    async def _page(self, reading: _Pass, number: int) -> Numbered:
        answer = await self._api.contacts(number, reading.size)
        self._pull.keep(CONTACTS, answer.page)
        reading.ids |= _listed(answer.page.rows)
        reading.totals.append(answer.total)
        reading.total = answer.total
        return answer

    async def _look_up_unknown(self) -> None:
        """Ask for the contacts that conversations name and no list has shown yet.

        Raises:
            ProviderError: of one; what the others told is taken.
        """
        await self._pull.finished(CONVERSATIONS.name)
        named = self._pull.lacking(CONVERSATIONS, "contact_id", of=CONTACTS)
        gone = set(self._position.get("gone", ()))
        unknown = sorted(identity for identity in named - gone if identity)
        answers = await together(map(self._look_up, unknown[:SINGLE_LOOKUPS]))
        self._position["gone"] = sorted(gone | {i for i in answers if isinstance(i, str)})
        for failure in failures(answers):
            raise failure

    async def _is_there(self, identity: str) -> bool:
        return await self._look_up(identity) is None

    async def _look_up(self, identity: str) -> str | None:
        """Take one contact; return its id when Waspy has it no longer: the answer may be the
        contact that it was merged into."""
        try:
            page = await self._api.contact(identity)
        except Unavailable as error:
            if error.status != 404:
                raise
            return identity
        self._take(page)
        return None if identity in ids_of(page.rows) else identity


def _listed(rows: Sequence[Row]) -> set[str]:
    """Ids of the contacts on a page, also of those whose row can't be decoded."""
    return ids_of(rows) | {row.id for row in rows if isinstance(row, Unreadable) and row.id}


def _pages(total: int, size: int) -> int:
    return max(1, -(-total // size))
