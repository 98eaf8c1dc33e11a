"""What a pull holds of an account: the rows that are new or changed, until they are loaded.

It answers what the warehouse will say then, so a reader need not care which of the two has a row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines.cursors import Page
from pipelines.errors import ProviderError
from pipelines.failpoint import failpoint
from pipelines.provider import REJECTED, Row, Table
from pipelines.reading.backlog import Backlog, Moved
from pipelines.reading.former import Former
from pipelines.reading.kept import Kept, Of
from pipelines.reading.landing import REJECTED_LANDER, Lander, Record, land
from pipelines.reading.stored import Stored, mark_of, whole_number

if TYPE_CHECKING:
    import pyarrow as pa

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


@dataclass(kw_only=True)
class Holding:
    """The rows of one account that wait to be loaded.

    Args:
        account: its name, a column of every row.
        stored: the warehouse's answers.
        chunk_rows: how many rows are enough for one load.
        carried: what readers keep for the run's next pull, by a name of theirs.
        on_page: told of each page: its resource, and how many rows it had.
        stored_as: turns a record into what may be stored of it: people were erased.

    Attributes:
        outcomes: resource → what became of it.
    """

    account: str
    stored: Stored
    chunk_rows: int = CHUNK_ROWS
    carried: dict[str, Any] = field(default_factory=dict)
    on_page: Callable[[str, int], None] = lambda resource, rows: None
    stored_as: Callable[[Table, Record], Record] = lambda table, record: record
    outcomes: dict[str, Outcome] = field(default_factory=lambda: defaultdict(Outcome))
    _landers: dict[str, Lander] = field(default_factory=dict)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _former: dict[str, Former] = field(default_factory=dict)
    _has_enough: bool = False

    @property
    def rows_kept(self) -> int:
        """Rows waiting to be loaded."""
        return sum(map(len, self._kept.values()))

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
            former.settled(kept.replacing, kept.same)
            if rows := former.take():
                self._write_now(table.former, rows)

    def _write_now(self, table: Table, rows: Sequence[Row]) -> None:
        """Write former values before any load: one that dies when it has overwritten their rows
        would leave nobody who knows them."""
        landed, _ = land(self._lander(table), rows, datetime.now(UTC))
        self.stored.add(table, [self.stored_as(table, record) for record in landed])

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
        kept = self._kept_of(table)
        held = {identity for (identity,) in kept.rows(("id",))}
        stored = self.stored.rows(table, ("id", *columns), of=of)
        current = [row for row in stored if row[0] not in held]
        return [row[1:] for row in (*current, *kept.rows(("id", *columns), of))]

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

    def drain_shared(self, shared: Table, table: Table) -> Iterator[pa.Table]:
        """What stands in `rejected` or in `gone` of a table, as Arrow tables. Each resource brings
        its own: a row that two brought would be in the warehouse twice."""
        import pyarrow.compute as pc

        # Not settled here: another resource may be adding to it, and that asks the warehouse.
        for rows in self._kept_of(shared).tables():
            yield rows.filter(pc.equal(rows["resource"], table.name))

    def forget(self) -> None:
        """Let go of what was kept, once it is on its way into the warehouse."""
        self._kept.clear()
        self._former.clear()
