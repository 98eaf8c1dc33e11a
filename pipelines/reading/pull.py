"""One pull: what a room's source needs to read an account once, and what it leaves behind.

A source asks for pages and hands their rows to the pull. The pull keeps what is new or changed,
says when enough is kept for one load, and remembers how far each list was read.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set,
)
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pipelines.cursors import Fetch, Page, follow
from pipelines.errors import REPORT_IT, ProviderError, Stopped, Unavailable, unexpected
from pipelines.failpoint import failpoint
from pipelines.provider import REJECTED, Row, Table
from pipelines.reading.backlog import Backlog, Moved
from pipelines.reading.former import Former
from pipelines.reading.kept import Kept, Of
from pipelines.reading.landing import REJECTED_LANDER, Lander, Record, land
from pipelines.reading.stored import Stored, mark_of, whole_number
from pipelines.reading.walks import Position, Refresh, ValueOf, Walk

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.sources import DltResource

P = TypeVar("P")

CHUNK_ROWS = 20_000
"""Rows kept in memory before they are loaded: what a kill -9 can cost to read again."""

CHUNK_SIZE = 40_000_000
"""Characters of theirs at most: ordinary rows have two thirds of it."""

ENOUGH = 0.75
"""Of a chunk."""

ROWS_OF_MOVED = 4
"""Rows that something which moved brings, as a rule; where it is fewer, pulls are smaller."""

LONG_ROW = 3_000
"""Characters of a row that is long: an ordinary message has half of it."""

LONG_SIZE = 5_000_000
"""Characters of all of them, from which on it matters."""

UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of a row that nobody foresaw. No warehouse fails with one of these."""


@dataclass
class Outcome:
    """What became of one resource in one sync.

    Attributes:
        read: rows the provider sent.
        changed: rows that were new or different.
        rejected: rows that could not be landed, kept in `rejected`.
        is_complete: everything the provider lists is in the warehouse.
        left: requests that are still to make, estimated; None when that can't be told, 0 when
            nothing is known to be left.
        note: what was left out without ending it.
        error: what ended it; None when nothing did.
        is_stopped: the run was asked to end before everything was read.
    """

    read: int = 0
    changed: int = 0
    rejected: int = 0
    is_complete: bool = False
    left: int | None = 0
    note: str | None = None
    error: ProviderError | None = None
    is_stopped: bool = False


@dataclass
class Pull:
    """The state of one pull of one account.

    Args:
        account: the account's name, a column of every row.
        client: the room's client.
        stored: the warehouse's answers.
        positions: resource → what the last pull left, as JSON types; updated in place.
        wanted: resources to read.
        is_stopping: asked between pages; True ends the pull early and in order.
        is_out_of_time: asked between pages; True leaves the rest to the next run.
        now: the start of the sync, UTC.
        loop: where the client lives; it outlasts the loops that dlt makes and ends.
        is_full: read everything again, also what is known.
        done: parents or slices that this run has read again; one set for all its pulls.
        carried: what readers keep for the run's next pull, by a name of theirs.
        must_go_on: a reader began what only this run can end: time is no reason to stop.
        span: the range to read again, half-open; None reads what is new.
        stored_as: turns a record into what may be stored of it: people were erased.
        states: table → thing → the newest state it was seen in, of the things that were met.
    """

    account: str
    client: Any
    stored: Stored
    positions: dict[str, dict[str, Any]]
    wanted: frozenset[str]
    now: datetime
    loop: asyncio.AbstractEventLoop
    is_full: bool = False
    done: set[str] = field(default_factory=set)
    carried: dict[str, Any] = field(default_factory=dict)
    span: tuple[datetime, datetime] | None = None
    is_stopping: Callable[[], bool] = lambda: False
    is_out_of_time: Callable[[], bool] = lambda: False
    on_page: Callable[[str, int], None] = lambda resource, rows: None
    stored_as: Callable[[Table, Record], Record] = lambda table, record: record
    chunk_rows: int = CHUNK_ROWS
    outcomes: dict[str, Outcome] = field(default_factory=lambda: defaultdict(Outcome))
    has_more: bool = False
    must_go_on: bool = False
    states: dict[str, dict[str, tuple[str | None, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _landers: dict[str, Lander] = field(default_factory=dict)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _former: dict[str, Former] = field(default_factory=dict)
    _has_enough: bool = False
    _finished: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    @property
    def rows_kept(self) -> int:
        """Rows waiting to be loaded."""
        return sum(map(len, self._kept.values()))

    @property
    def days(self) -> list[tuple[datetime, datetime]]:
        """The range to read again in slices of a day, newest first."""
        if self.span is None:
            return []
        start, end = self.span
        starts = [start + timedelta(days=i) for i in range((end - start) // timedelta(days=1) + 1)]
        slices = [(a, min(a + timedelta(days=1), end)) for a in starts]
        return [(a, b) for a, b in reversed(slices) if a < b]

    @property
    def is_stopped(self) -> bool:
        """Whether a resource was left because the run was asked to end."""
        return any(outcome.is_stopped for outcome in self.outcomes.values())

    @property
    def size_kept(self) -> int:
        """Characters of these rows, bytes of those that are packed."""
        return sum(kept.size for kept in self._kept.values())

    @property
    def has_long_rows(self) -> bool:
        """Whether some table's rows are long, and enough to count: a warehouse may need more
        memory for them."""
        return any(
            kept.size > LONG_SIZE and kept.size > LONG_ROW * len(kept)
            for kept in self._kept.values()
        )

    def has_enough(self) -> bool:
        """Whether what is kept is enough for one load."""
        return self._has_enough

    def _weigh(self) -> None:
        """Once there is a chunk, see how much of it is left without what the warehouse has. Most of
        one is enough: a pull that is nearly full must not ask after every page."""
        if not self._has_enough and self._holds(self.chunk_rows, CHUNK_SIZE):
            self._settle_all()
            self._has_enough = self._holds(ENOUGH * self.chunk_rows, ENOUGH * CHUNK_SIZE)

    def _holds(self, rows: float, size: float) -> bool:
        return self.rows_kept >= rows or self.size_kept >= size

    def is_paused(self) -> bool:
        """Whether to leave the rest for later: a full chunk, or the end of the run."""
        return self.has_enough() or self.is_stopping() or self.is_out_of_time()

    def take(self, table: Table, page: Page[Row]) -> int:
        """Keep the rows of a page that are new or changed; return how many they were."""
        self._settle(table)
        before = self.outcomes[table.name].changed
        self.keep(table, page)
        self._settle(table)
        return self.outcomes[table.name].changed - before

    def keep(self, table: Table, page: Page[Row]) -> int:
        """Keep the rows of a page, without asking at once which are known: that costs less.
        Return how many may be new."""
        failpoint("pull.page")
        landed, bad = land(self._lander(table), page.rows, page.fetched_at)
        records = [self.stored_as(table, record) for record in landed]
        outcome = self.outcomes[table.name]
        outcome.read += len(page.rows)
        self._kept_of(table).add(records)
        if former := self._former_of(table):
            former.see(records)
        if bad:
            outcome.rejected += len(bad)
            rejected = land(REJECTED_LANDER, bad, page.fetched_at)[0]
            self._kept_of(REJECTED).add([self.stored_as(REJECTED, record) for record in rejected])
        self._weigh()
        self.on_page(table.name, len(page.rows))
        failpoint("pull.taken")
        return len(records)

    def _lander(self, table: Table) -> Lander:
        if table.name not in self._landers:
            self._landers[table.name] = Lander(table)
        return self._landers[table.name]

    def _kept_of(self, table: Table) -> Kept:
        if table.name not in self._kept:
            known = partial(self.stored.hashes, table)
            self._kept[table.name] = Kept(table, self.account, known)
        return self._kept[table.name]

    def _former_of(self, table: Table) -> Former | None:
        if table.former and table.name not in self._former:
            self._former[table.name] = Former(table, table.former, self.stored)
        return self._former.get(table.name)

    def _settle(self, table: Table) -> None:
        kept = self._kept_of(table)
        self.outcomes[table.name].changed += kept.settle()
        if table.former and (former := self._former_of(table)):
            if kept.replacing:
                former.replaced(kept.replacing)
            if rows := former.take():
                self.keep(table.former, Page(rows))

    def _settle_all(self) -> None:
        for kept in [*self._kept.values()]:
            self._settle(kept.table)

    def current(
        self, table: Table, columns: Sequence[str], *, of: Of | None = None
    ) -> list[tuple[str | None, ...]]:
        """Columns of a table's rows as they will stand once this pull is loaded.

        Args:
            table: where to look.
            columns: what to return.
            of: a column and the values it must have one of; None returns every row.
        """
        stored = self.stored.rows(table, ("id", *columns), of=of)
        kept = self._kept_of(table).rows(("id", *columns), of)
        return [row[1:] for row in {row[0]: row for row in (*stored, *kept)}.values()]

    def count(self, table: Table) -> int:
        """How many rows a table will have once this pull is loaded."""
        self._settle(table)
        return self.stored.count(table) + self._kept_of(table).added

    def total(self, table: Table, column: str) -> int:
        """Sum of a column of whole numbers, once this pull is loaded; other text counts as 0."""
        kept = dict(self._kept_of(table).rows(("id", column)))
        replaced = self.stored.rows(table, (column,), of=("id", [*kept]))
        before = sum(whole_number(value) for (value,) in replaced)
        return self.stored.total(table, column) - before + sum(map(whole_number, kept.values()))

    def beside(self, table: Table, ids: Set[str]) -> set[str]:
        """Ids that a table will have once this pull is loaded, without some."""
        found = {identity for identity in self.stored.ids(table) if identity not in ids}
        return found | {str(row[0]) for row in self._kept_of(table).rows(("id",))} - ids

    def backlog(self, table: Table) -> Backlog:
        """What moved in a table and this run has not read yet."""
        backlog: Backlog = self.carried.setdefault(f"{table.name} that moved", Backlog())
        return backlog

    def moved(
        self, table: Table, columns: Sequence[str], *, cursors: Table, mark: str
    ) -> tuple[list[Moved], int]:
        """The rows that differ from what they were when their cursor was made, whose column `mark`
        is the `mark_of` the columns; as they will stand. Enough to fill a pull, the highest in the
        first column first, and how many more there are, at most."""
        backlog, enough = self.backlog(table), -(-self.chunk_rows // ROWS_OF_MOVED)
        if backlog.is_short(enough):
            found, others = self.stored.moved(
                table, columns, cursors=cursors, mark=mark, most=self.chunk_rows
            )
            backlog.fill((Moved(*row) for row in found), others)
        kept = self._kept_of(table).rows(("id", *columns))
        news = [Moved(str(row[0]), row[1], mark_of(row[1:])) for row in kept]
        known = self.stored.cursors(cursors, [thing.id for thing in news])
        for thing in news:
            backlog.add(thing)
            if thing.id in known:
                backlog.drop(thing.id, known[thing.id][mark] or "")
        return backlog.newest(enough, named=self.chunk_rows)

    def lacking(self, table: Table, column: str, *, of: Table) -> set[str]:
        """Values of a column that are no id in another table, as both will stand."""
        named = {row[0] for row in self._kept_of(table).rows((column,))} - {None}
        known = {row[0] for row in self._kept_of(of).rows(("id",))}
        named -= known | self.stored.hashes(of, sorted(named - known)).keys()
        return named | (self.stored.lacking(table, column, of=of) - known)

    def drain(self, table: Table) -> Iterator[pa.Table]:
        """The records of a table as Arrow tables."""
        self._settle(table)
        yield from self._kept_of(table).tables()

    def drain_rejected(self, table: Table) -> Iterator[pa.Table]:
        """What could not be landed in a table, as Arrow tables of `rejected`."""
        import pyarrow.compute as pc

        for rows in self._kept_of(REJECTED).tables():
            yield rows.filter(pc.equal(rows["resource"], table.name))

    def forget(self) -> None:
        """Let go of what was kept, once it is on its way into the warehouse."""
        self._kept.clear()
        self._former.clear()

    async def newest_first(
        self,
        table: Table,
        fetch: Fetch[Row],
        *,
        value_of: ValueOf | None = None,
        time_of: Callable[[Row], datetime | None] = lambda row: None,
        refreshes: Sequence[Refresh] = (),
        left: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Walk a newest-first list from where the last pull left it.

        Args:
            table, fetch, value_of, time_of, refreshes: as `Walk` takes them.
            left: estimates the requests that a walk with gaps still needs.
        """
        walk = Walk(
            fetch,
            lambda page: self.take(table, page),
            Position.from_json(self.positions.get(table.name, {})),
            is_paused=self.is_paused,
            keep=lambda page: self.keep(table, page),
            value_of=value_of,
            time_of=time_of,
            refreshes=refreshes,
            now=self.now,
        )
        try:
            await walk.run()
            failpoint("pull.position")
        finally:
            kept = self.positions.get(table.name, {})
            self.positions[table.name] = {**kept, **walk.position.to_json()}
            self.outcomes[table.name].is_complete = walk.position.is_complete
            if walk.position.gaps:
                self.has_more = True
                self.outcomes[table.name].left = left()

    async def all_pages(
        self, table: Table, fetch: Fetch[Row], *, adds: Mapping[str, str] | None = None
    ) -> None:
        """Read a list from its first page to its last.

        Args:
            table: where its rows go.
            fetch: asks for a page.
            adds: facts of the request that a row may lack, by the row's key.
        """
        async for page in follow(fetch):
            for row in page.rows:
                if isinstance(row, dict):
                    row |= {
                        key: value for key, value in (adds or {}).items() if row.get(key) is None
                    }
            self.keep(table, page)
        self.outcomes[table.name].is_complete = True

    async def each(
        self, table: Table, parents: Iterable[P], read: Callable[[P], Awaitable[None]]
    ) -> None:
        """Read a list per parent, side by side. A parent that is closed to the key is left out
        with a note; the others are read.

        Raises:
            Unavailable: every parent is closed.
            ProviderError: another failure, after all have ended.
        """
        results = await asyncio.gather(*map(read, parents), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        closed = [failure for failure in failures if isinstance(failure, Unavailable)]
        for failure in failures:
            if failure not in closed or len(closed) == len(results):
                raise failure
        outcome = self.outcomes[table.name]
        outcome.note = str(closed[0]) if closed else None
        outcome.is_complete = not closed

    async def finished(self, resource: str) -> None:
        """Return when a resource that another one needs has been read, or is not wanted."""
        if resource in self.wanted:
            await self._finished[resource].wait()

    async def read(self, table: Table, reader: Callable[[], Awaitable[None]], *also: Table) -> None:
        """Run a resource's reader; a provider's error ends this resource and no other, and so does
        a row that nobody foresaw, or a stop: what was read until then is kept.

        Args:
            table: the resource's.
            reader: reads it.
            also: tables that it fills too.
        """
        outcome = self.outcomes[table.name]
        try:
            await reader()
        except ProviderError as error:
            outcome.error, outcome.is_complete = error, False
        except UNFORESEEN as error:
            outcome.error = ProviderError(unexpected(error), hint=REPORT_IT)
            outcome.is_complete = False
        except Stopped:
            outcome.is_stopped, outcome.is_complete = True, False
        finally:
            # Here, and not when they are drained: that is another thread, and the warehouse's
            # connection is for one.
            for filled in (table, *also, REJECTED):
                self._settle(filled)
            self._finished[table.name].set()


def resource(
    pull: Pull, table: Table, reader: Callable[[], Awaitable[None]], *also: Table
) -> DltResource:
    """The dlt resource of a table: read it, then yield what is new as Arrow tables.

    Args:
        pull: the pull it belongs to.
        table: the table it fills.
        reader: asks for the pages and hands them to the pull.
        also: tables that must be loaded together with it, beside its `former`.
    """
    import dlt  # slow, and the command line imports rooms

    if table.former:
        also = (table.former, *also)

    async def pages() -> AsyncIterator[Any]:
        reading = asyncio.run_coroutine_threadsafe(pull.read(table, reader, *also), pull.loop)
        await asyncio.wrap_future(reading)
        failpoint("pull.read")
        for part in pull.drain(table):
            yield part
        for other in also:
            for part in pull.drain(other):
                yield dlt.mark.with_table_name(part, other.name)
        for part in pull.drain_rejected(table):
            yield dlt.mark.with_table_name(part, REJECTED.name)
        failpoint("pull.yielded")

    made: DltResource = cast("Any", dlt.resource)(  # its overloads know no plain dict
        pages,
        name=table.name,
        primary_key=("account", "id"),
        write_disposition="merge",  # how, the warehouse says
        selected=table.name in pull.wanted,
    )
    return made
