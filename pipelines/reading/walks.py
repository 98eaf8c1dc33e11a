"""Reading a newest-first list so that nothing is missed and nothing is read twice.

A walk starts at the head and stops at the first page that holds nothing new and touches what an
earlier walk had finished. Where it was cut off (a crash, an error, a full chunk) a gap remains,
and the next walk closes it. It never asks a clock where to stop.

A refresh reads on below that page. Cut off there, it leaves a gap too, in which all is known, and
the next walk goes on with it instead of beginning again.

    head ──────────── new rows ────────────┐ mark of the last walk
    [ page ][ page ][ page ][ page ][ page ]│[ stored ][ stored ] … bottom
                      └ cut here: Gap(cursor, mark) is kept, the next run goes on from it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pipelines.cursors import Fetch, Page, follow
from pipelines.errors import BadCursor
from pipelines.provider import Row
from pipelines.reading.gate import Urgency, urgent
from pipelines.times import is_due

MAX_RESTARTS = 2
"""How often one walk starts over when the provider drops its cursor."""

MAX_HEAD_READS = 20
"""A head that is never quiet is left to the next run: nothing is lost, the mark stays behind."""


@dataclass(frozen=True)
class Mark:
    """The head of a finished walk: everything from here down is stored.

    Attributes:
        ids: the rows of the first page, for lists whose order never changes.
        value: the newest sort value, for lists whose rows move up when they change.
    """

    ids: frozenset[str] = frozenset()
    value: str | None = None

    def is_touched_by(self, rows: Sequence[Row], value_of: ValueOf | None) -> bool:
        """Whether a page reaches down to this mark.

        Strictly below the value: rows that share the newest value may span pages.
        """
        if value_of is None:
            return any(_id(row) in self.ids for row in rows)
        values = (value_of(row) for row in rows)
        return self.value is not None and any(v is not None and v < self.value for v in values)


ValueOf = Callable[[Row], str | None]
"""A row's sort value as text that sorts like the time it names; None when it has none."""


@dataclass(frozen=True)
class Gap:
    """A stretch still to be read: from `cursor` (None: the head) down to `mark` (None: the end).

    Attributes:
        is_known: it begins below the mark: it may hold changes, and ends where there are none.
        due: refreshes that it is read for, down to their depth: name → when they began, ISO.
    """

    cursor: str | None
    mark: Mark | None
    is_known: bool = False
    due: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Position:
    """What has been read of one list. A value: every page makes a new one.

    Attributes:
        mark: the head of what was read; None before the first walk.
        gaps: stretches below the mark that are still to be read, newest first.
        refreshed: refresh name → when the last one that was done began, ISO.
    """

    mark: Mark | None = None
    gaps: tuple[Gap, ...] = ()
    refreshed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether the list was read to its end, and no gap may hold rows that are missing."""
        return self.mark is not None and all(gap.is_known for gap in self.gaps)

    def to_json(self) -> dict[str, Any]:
        """The position as JSON types, for the warehouse's `sync_state`."""
        return {
            "mark": _mark_to_json(self.mark),
            "gaps": [
                [gap.cursor, _mark_to_json(gap.mark), gap.is_known, dict(gap.due)]
                for gap in self.gaps
            ],
            "refreshed": dict(self.refreshed),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Position:
        """The position that `to_json` wrote; a new one from an empty mapping."""
        # What an older version left of a gap is its cursor and its mark.
        gaps = tuple(
            Gap(cursor, _mark_from_json(mark), *more)
            for cursor, mark, *more in data.get("gaps", ())
        )
        return cls(_mark_from_json(data.get("mark")), gaps, dict(data.get("refreshed", {})))


def _mark_to_json(mark: Mark | None) -> dict[str, Any] | None:
    return None if mark is None else {"ids": sorted(mark.ids), "value": mark.value}


def _mark_from_json(data: Mapping[str, Any] | None) -> Mark | None:
    return None if data is None else Mark(frozenset(data["ids"]), data["value"])


@dataclass(frozen=True)
class Refresh:
    """How often a list is read again, and how deep, for changes that move nothing to its head.

    Attributes:
        name: kept with the position, so it is not renamed lightly.
        every: how long the last refresh of this depth stays good.
        depth: how far back from the newest row; None reads to the end.
    """

    name: str
    every: timedelta
    depth: timedelta | None

    def is_due(self, position: Position, now: datetime) -> bool:
        """Whether the last one is older than `every`. A list never read has none due."""
        done = position.refreshed.get(self.name)
        return done is not None and is_due(done, self.every, now)


class Walk:
    """One newest-first list, from the position an earlier run left to the one this run leaves.

    `position` is right after every page: whoever stops the walk, an error or a full chunk,
    finds there what is read and what is missing.

    Args:
        fetch: asks for a page.
        take: keeps a page's rows; returns how many were new or changed.
        keep: does it for less and returns how many may be, for pages above what is known; by
            default `take`.
        is_paused: asked after every page; True leaves the rest for later.
        value_of: the sort value, for lists whose rows move; None for an order that never changes.
        time_of: a row's time, to measure a refresh's depth; None when it does not tell where in
            the list the row stands.
    """

    def __init__(
        self,
        fetch: Fetch[Row],
        take: Callable[[Page[Row]], int],
        position: Position,
        *,
        is_paused: Callable[[], bool],
        keep: Callable[[Page[Row]], int] | None = None,
        value_of: ValueOf | None = None,
        time_of: Callable[[Row], datetime | None] = lambda row: None,
        refreshes: Sequence[Refresh] = (),
        now: datetime,
    ) -> None:
        self._fetch, self._take, self._is_paused = fetch, take, is_paused
        self._keep = keep or take
        self._value_of, self._time_of, self._now = value_of, time_of, now
        self._refreshes = {refresh.name: refresh for refresh in refreshes}
        self._done = position
        self._mark = position.mark
        self._todo: list[Gap] = [*position.gaps]
        self._restarts = 0
        self._top: datetime | None = None
        self._is_known = False
        self._went_below = False
        self._head: tuple[tuple[str, str | None], ...] = ()

    @property
    def position(self) -> Position:
        """What is read by now."""
        return replace(self._done, mark=self._mark, gaps=tuple(self._todo))

    async def run(self) -> None:
        """Read the head, close the gaps, then read the head again until it is quiet."""
        fresh = await self._stretch(Gap(None, self._done.mark, due=self._due()), self._todo)
        while self._todo and not self._is_paused():
            gap, *rest = self._todo
            fresh += await self._stretch(gap, rest)
        await self._quiet_head(fresh)
        if not self._todo:
            new = [name for name in self._refreshes if name not in self._done.refreshed]
            self._note(dict.fromkeys(new, self._now.isoformat()))

    def _due(self) -> dict[str, str]:
        """The refreshes that begin now. One that an earlier walk began goes on where it was."""
        begun = {name for gap in self._todo for name in gap.due}
        due = [r for r in self._refreshes.values() if r.is_due(self._done, self._now)]
        return {r.name: self._now.isoformat() for r in due if r.name not in begun}

    async def _quiet_head(self, fresh: int) -> None:
        """Read the head again until it brings nothing, or the same rows in the same places: a
        row that differs in every answer must not keep the walk from ending. A row may have come
        to it while a page below was read: the head itself is what is read last."""
        reads, before = 0, None
        while fresh and self._head != before and reads < MAX_HEAD_READS and not self._is_paused():
            before = self._head
            fresh = await self._stretch(Gap(None, self._mark), self._todo)
            if not fresh and self._went_below and not self._is_paused():
                fresh = await self._look_at_head()
            reads += 1

    async def _look_at_head(self) -> int:
        """Take the first page alone."""
        page = await self._ask(Gap(None, self._mark), None)
        self._head = self._places(page)
        return self._take(page)

    def _note(self, refreshed: Mapping[str, str]) -> None:
        self._done = replace(self._done, refreshed={**self._done.refreshed, **refreshed})

    async def _stretch(self, gap: Gap, rest: list[Gap]) -> int:
        """Read one stretch; return how many rows were new. What is left of it stays a gap before
        the `rest`."""
        while True:
            try:
                return await self._read(gap, rest)
            except BadCursor:
                gap = replace(gap, cursor=None)
                self._todo = [gap, *rest]
                self._restarts += 1
                if self._restarts > MAX_RESTARTS:
                    raise

    async def _read(self, gap: Gap, rest: list[Gap]) -> int:
        total, self._is_known = 0, gap.is_known
        head = _Head() if gap.cursor is None else None
        is_first = True
        async for answer in follow(partial(self._ask, gap), gap.cursor):
            page = replace(answer, rows=[row for row in answer.rows if _is_told_apart(row)])
            if head is not None:
                self._see_head(head, page, is_first=is_first)
            self._went_below = not is_first
            is_first = False
            below = self._below(gap, page)
            self._is_known = below.is_known
            fresh = self._take(answer) if below.is_known else self._keep(answer)
            total += fresh
            self._note({name: gap.due[name] for name in gap.due.keys() - below.due.keys()})
            ended = page.next is None or (fresh == 0 and below.is_known and not below.due)
            self._todo = rest if ended else [below, *rest]
            if ended or self._is_paused():
                break
            gap = below
        return total

    def _below(self, gap: Gap, page: Page[Row]) -> Gap:
        """What is left of a stretch below a page of it."""
        # Once known, it stays so: a page below may have changed rows and be read on from.
        is_known = gap.is_known or self._touches(page, gap)
        due = {
            name: began
            for name, began in gap.due.items()
            if page.next is not None and not (is_known and self._is_deep(page, name))
        }
        return Gap(page.next, gap.mark, is_known, due)

    async def _ask(self, gap: Gap, cursor: str | None) -> Page[Row]:
        """Ask for a page, as urgently as what it may hold."""
        if self._is_known:
            level = Urgency.REFRESH
        elif gap.cursor is not None or (gap.mark is None and cursor is not None):
            level = Urgency.HISTORY
        else:
            level = Urgency.FRESH
        with urgent(level):
            return await self._fetch(cursor)

    def _see_head(self, head: _Head, page: Page[Row], *, is_first: bool) -> None:
        if is_first:
            self._head = self._places(page)
        mark = head.see(page, self._value_of, self._limit.isoformat())
        # A list without a mark that was read to its end is empty, or has no values: read again.
        self._mark = mark or self._mark or (Mark() if page.next is None else None)
        # The newest and not the first: a row that was stored late stands above newer ones.
        times = [time for time in self._times(page) if time <= self._limit]
        self._top = self._top or max(times, default=None)

    def _places(self, page: Page[Row]) -> tuple[tuple[str, str | None], ...]:
        value_of = self._value_of or (lambda row: None)
        return tuple((_id(row), value_of(row)) for row in page.rows if _is_told_apart(row))

    @property
    def _limit(self) -> datetime:
        # A row from far in the future must not become the mark that every later row is below.
        return self._now + timedelta(days=1)

    def _times(self, page: Page[Row]) -> list[datetime]:
        return [time for row in page.rows if (time := self._time_of(row)) is not None]

    def _touches(self, page: Page[Row], gap: Gap) -> bool:
        return gap.mark is not None and gap.mark.is_touched_by(page.rows, self._value_of)

    def _is_deep(self, page: Page[Row], name: str) -> bool:
        """Whether the page lies below a refresh, or there is no such refresh any more."""
        if name not in self._refreshes:
            return True
        depth, times = self._refreshes[name].depth, self._times(page)
        if depth is None or self._top is None or not times:
            return False
        return max(times) < self._top - depth


class _Head:
    """Finds the mark that a walk from the head leaves behind."""

    def __init__(self) -> None:
        self._ids: frozenset[str] | None = None
        self._value: str | None = None

    def see(self, page: Page[Row], value_of: ValueOf | None, limit: str) -> Mark | None:
        """The mark as far as the pages up to this one tell; None while they tell none.

        Rows without a value may sort first: the mark is the first one that has a value.
        """
        if value_of is None:
            if self._ids is None and page.rows:
                self._ids = frozenset(_id(row) for row in page.rows)
            return Mark(ids=self._ids) if self._ids else None
        if self._value is None:
            values = [v for row in page.rows if (v := value_of(row)) is not None]
            self._value = next((v for v in values if v <= limit), None)
        return Mark(value=self._value) if self._value else None


def _is_told_apart(row: Any) -> bool:
    """Whether a row can tell where a walk stands: one without an id is like any other such."""
    return isinstance(row, dict) and bool(row.get("id"))


def _id(row: Row) -> str:
    return str(row.get("id"))
