"""The rows that a pull holds until they are loaded: the newest copy of each that is new or changed.

What is known already is asked for by the thousand, not by the page: a warehouse looks through all
of a table's ids each time. What has been compared lies in Arrow's columns, a quarter of the size
that the same rows have as Python's objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.provider import Table
from pipelines.reading.landing import Record, arrow

if TYPE_CHECKING:
    import pyarrow as pa

SETTLE_ROWS = 2_000
"""Rows that wait to be compared with the warehouse."""

SETTLE_SIZE = 8_000_000
"""Characters of theirs at most: some providers' rows hold whole answers of other servers."""

Of = tuple[str, Sequence[str]]
"""A column, and the values it must have one of."""


class Kept:
    """Rows of one table.

    Args:
        table: where they go.
        account: whose they are.
        known: id → row_hash, of the ids that the warehouse has.

    Attributes:
        added: rows of ids that the warehouse lacks.
        size: characters of what is held.
    """

    def __init__(
        self, table: Table, account: str, known: Callable[[Sequence[str]], Mapping[str, str]]
    ) -> None:
        self._table, self._account, self._known = table, account, known
        self._waiting: dict[str, Record] = {}
        self._settled: dict[str, tuple[str, int]] = {}  # id → row_hash and place of its newest copy
        self._batches: list[pa.Table] = []
        self._places = 0
        self._settled_size = self._waiting_size = 0
        self.added = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._settled)

    @property
    def size(self) -> int:
        return self._waiting_size + self._settled_size

    def add(self, records: Sequence[Record]) -> int:
        """Keep records; return how many turned out to be new or changed, of these and of others
        that had waited."""
        self._waiting |= {record.id: record for record in records}
        self._waiting_size += sum(record.size for record in records)
        are_many = len(self._waiting) >= SETTLE_ROWS or self._waiting_size >= SETTLE_SIZE
        return self.settle() if are_many else 0

    def settle(self) -> int:
        """Compare what waits with what is known; return how many are new or changed."""
        waiting, self._waiting, self._waiting_size = self._waiting, {}, 0
        asked = [identity for identity in waiting if identity not in self._settled]
        known = self._known(asked)
        fresh = [
            record
            for identity, record in waiting.items()
            if (self._hash(identity) or known.get(identity)) != record.row_hash
        ]
        if fresh:
            self._batches.append(arrow(self._table, self._account, fresh))
            self._settled_size += sum(record.size for record in fresh)
        for place, record in enumerate(fresh, self._places):
            is_here = record.id in self._settled or record.id in known
            self.added += not is_here
            self._settled[record.id] = record.row_hash, place
        self._places += len(fresh)
        return len(fresh)

    def _hash(self, identity: str) -> str | None:
        return self._settled[identity][0] if identity in self._settled else None

    def rows(self, columns: Sequence[str], of: Of | None = None) -> Iterator[tuple[Any, ...]]:
        """Columns of the newest copies, or of those with one of some values in a column."""
        values = None if of is None else frozenset(of[1])
        for named in self._copies(columns if of is None else (*columns, of[0])):
            if values is None:
                yield named
            elif named[-1] in values:
                yield named[:-1]

    def _copies(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        waiting = self._waiting.copy()
        place = 0
        for batch in self._batches.copy():
            ids = batch.column("id").to_pylist()
            lists = [batch.column(name).to_pylist() for name in columns]
            for number, identity in enumerate(ids):
                if self._settled[identity][1] == place + number and identity not in waiting:
                    yield tuple(values[number] for values in lists)
            place += len(ids)
        places = [self._table.columns.index(name) for name in columns]
        for record in waiting.values():
            yield tuple(record.values[i] for i in places)

    def tables(self) -> Iterator[pa.Table]:
        """What is settled, as an Arrow table: dlt loads one of 100 rows at a sixth of the speed."""
        import pyarrow as pa

        if batches := self._batches.copy():
            whole = pa.concat_tables(batches)
            ids = whole.column("id").to_pylist()
            newest = [self._settled[identity][1] == i for i, identity in enumerate(ids)]
            yield whole if all(newest) else whole.filter(pa.array(newest))
