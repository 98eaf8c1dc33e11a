"""One pull: what a room's source needs to read an account once, and what it leaves behind.

A source asks for pages and hands their rows to the pull. The pull holds what is new or changed,
says when that is enough for one load, and remembers how far each list was read.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pipelines.cursors import Fetch, follow
from pipelines.errors import REPORT_IT, ProviderError, Stopped, Unavailable, unexpected
from pipelines.failpoint import failpoint
from pipelines.provider import SHARED_TABLES, Row, Table
from pipelines.reading.holding import Holding
from pipelines.reading.together import failures, together
from pipelines.reading.walks import Position, Refresh, ValueOf, Walk

if TYPE_CHECKING:
    from dlt.sources import DltResource

P = TypeVar("P")

UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of a row that nobody foresaw. No warehouse fails with one of these."""


@dataclass(kw_only=True)
class Pull(Holding):
    """The state of one pull of one account.

    Args, beside those of `Holding`:
        client: the room's client.
        positions: resource → what the last pull left, as JSON types; updated in place.
        wanted: resources to read.
        is_stopping: asked between pages; True ends the pull early and in order.
        is_out_of_time: asked between pages; True leaves the rest to the next run.
        now: the start of the sync, UTC.
        loop: where the client lives; it outlasts the loops that dlt makes and ends.
        is_full: read everything again, also what is known.
        done: parents or slices that this run has read again; one set for all its pulls.
        must_go_on: a reader began what only this run can end: time is no reason to stop.
        span: the range to read again, half-open; None reads what is new.
        states: table → thing → the newest state it was seen in, of the things that were met.
    """

    client: Any
    positions: dict[str, dict[str, Any]]
    wanted: frozenset[str]
    now: datetime
    loop: asyncio.AbstractEventLoop
    is_full: bool = False
    done: set[str] = field(default_factory=set)
    span: tuple[datetime, datetime] | None = None
    is_stopping: Callable[[], bool] = lambda: False
    is_out_of_time: Callable[[], bool] = lambda: False
    has_more: bool = False
    must_go_on: bool = False
    states: dict[str, dict[str, tuple[str | None, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _finished: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _readers: set[asyncio.Task[None]] = field(default_factory=set)

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

    def is_paused(self) -> bool:
        """Whether to leave the rest for later: a full chunk, or the end of the run."""
        return self.has_enough() or self.is_stopping() or self.is_out_of_time()

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
                # Nobody tells how many pages a refresh still has.
                self.outcomes[table.name].left = None if walk.position.is_complete else left()

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
        answers = await together(map(read, parents))
        failed = failures(answers)
        closed = [failure for failure in failed if isinstance(failure, Unavailable)]
        for failure in failed:
            if failure not in closed or len(closed) == len(answers):
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
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._readers.add(task)
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
            for filled in (table, *also, *SHARED_TABLES):
                self._settle(filled)
            self._finished[table.name].set()
            self._readers.discard(task)

    def abandon(self) -> None:
        """End the readers that are still at work, and return when they have: nobody takes what
        they read any more, and the warehouse's connection is about to be closed under them."""

        async def end() -> None:
            for task in self._readers:
                task.cancel()
            await asyncio.gather(*self._readers, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()


def resource(
    pull: Pull, table: Table, reader: Callable[[], Awaitable[None]], *also: Table
) -> DltResource:
    """The dlt resource of a table: read it, then yield what is new as Arrow tables.

    Args:
        pull: the pull it belongs to.
        table: the table it fills.
        reader: asks for the pages and hands them to the pull.
        also: tables that must be loaded together with it.
    """
    import dlt  # slow, and the command line imports rooms

    async def pages() -> AsyncIterator[Any]:
        reading = asyncio.run_coroutine_threadsafe(pull.read(table, reader, *also), pull.loop)
        await asyncio.wrap_future(reading)
        failpoint("pull.read")
        for part in pull.drain(table):
            yield part
        for other in also:
            for part in pull.drain(other):
                yield dlt.mark.with_table_name(part, other.name)
        for shared in SHARED_TABLES:
            for part in pull.drain_shared(shared, table):
                yield dlt.mark.with_table_name(part, shared.name)
        failpoint("pull.yielded")

    made: DltResource = cast("Any", dlt.resource)(  # its overloads know no plain dict
        pages,
        name=table.name,
        primary_key=("account", "id"),
        write_disposition="merge",  # how, the warehouse says
        selected=table.name in pull.wanted,
    )
    return made
