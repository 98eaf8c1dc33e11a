"""The rows that a pull holds until they are loaded: the newest copy of each that is new or changed.

What is known already is asked for by the chunk, not by the page: a warehouse looks through all of a
table's ids each time. Until then and after, rows lie in Arrow's columns, a quarter of the size that
the same rows have as Python's objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.provider import Table
from pipelines.reading.landing import Record, arrow

if TYPE_CHECKING:
    import pyarrow as pa

PACK_ROWS = 2_000
"""Rows that wait to be packed into columns."""

PACK_SIZE = 8_000_000
"""Characters of theirs at most: some providers' rows hold whole answers of other servers."""

Of = tuple[str, Sequence[str]]
"""A column, and the values it must have one of."""


class _Copy(NamedTuple):
    """The newest copy of a row that is packed: what it says, and which of all packed rows it is."""

    row_hash: str
    place: int


class Kept:
    """Rows of one table.

    Args:
        table: where they go.
        account: whose they are.
        known: id → row_hash, of the ids that the warehouse has.

    Attributes:
        table: where they go.
        added: rows of ids that the warehouse lacks, of those that are settled.
        replacing, same: ids that the warehouse has otherwise, and as they are, of those that were
            settled last.
        size: characters and bytes of what is held.
    """

    def __init__(
        self, table: Table, account: str, known: Callable[[Sequence[str]], Mapping[str, str]]
    ) -> None:
        self.table, self._account, self._known = table, account, known
        self._waiting: dict[str, Record] = {}
        self._packed: dict[str, _Copy] = {}
        self._batches: list[pa.Table] = []
        self._places = 0
        self._settled_batches = self._settled_places = 0
        self._unasked: list[str] = []
        self._packed_size = self._waiting_size = 0
        self.added = 0
        self.replacing: list[str] = []
        self.same: Set[str] = frozenset()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._packed)

    @property
    def size(self) -> int:
        return self._waiting_size + self._packed_size

    def add(self, records: Sequence[Record]) -> None:
        """Keep records, until `settle` also those that the warehouse has as they are."""
        self._waiting |= {record.id: record for record in records}
        self._waiting_size += sum(record.size for record in records)
        if len(self._waiting) >= PACK_ROWS or self._waiting_size >= PACK_SIZE:
            self._pack()

    def _pack(self) -> None:
        waiting, self._waiting, self._waiting_size = self._waiting, {}, 0
        fresh = [record for record in waiting.values() if not self._is_held(record)]
        if fresh:
            self._batches.append(arrow(self.table, self._account, fresh))
            self._packed_size += self._batches[-1].nbytes
        for place, record in enumerate(fresh, self._places):
            if record.id not in self._packed:
                self._unasked.append(record.id)
            self._packed[record.id] = _Copy(record.row_hash, place)
        self._places += len(fresh)

    def _is_held(self, record: Record) -> bool:
        held = self._packed.get(record.id)
        return held is not None and held.row_hash == record.row_hash

    def settle(self) -> int:
        """Compare what was added with what is known, and let go of what is; return how many rows
        are new or changed."""
        self._pack()
        asked, self._unasked = self._unasked, []
        known = self._known(asked)
        self.added += len(asked) - len(known)
        self.same = {i for i, row_hash in known.items() if self._packed[i].row_hash == row_hash}
        self.replacing = [identity for identity in known if identity not in self.same]
        self._let_go(self.same)
        changed, self._settled_places = self._places - self._settled_places, self._places
        self._settled_batches = len(self._batches)
        return changed

    def _let_go(self, same: Set[str]) -> None:
        """Drop every copy of some rows, none of which was settled before."""
        if not same:
            return
        import pyarrow as pa

        for identity in same:
            del self._packed[identity]
        whole = pa.concat_tables(self._batches[self._settled_batches :])
        rest = whole.filter(pa.array([i not in same for i in whole["id"].to_pylist()]))
        self._batches[self._settled_batches :] = [rest] if rest.num_rows else []
        self._packed_size += rest.nbytes - whole.nbytes
        for place, identity in enumerate(rest["id"].to_pylist(), self._settled_places):
            self._packed[identity] = self._packed[identity]._replace(place=place)
        self._places = self._settled_places + rest.num_rows

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
                if self._packed[identity].place == place + number and identity not in waiting:
                    yield tuple(values[number] for values in lists)
            place += len(ids)
        places = [self.table.columns.index(name) for name in columns]
        for record in waiting.values():
            yield tuple(record.values[i] for i in places)

    def tables(self) -> Iterator[pa.Table]:
        """What is settled, as one Arrow table: dlt loads one of 100 rows at a sixth of the speed.

        Another thread may ask for it while more is added: what is settled stays where it is.
        """
        import pyarrow as pa

        if batches := self._batches[: self._settled_batches]:
            whole = pa.concat_tables(batches)
            ids = whole.column("id").to_pylist()
            newest = [self._packed[identity].place == i for i, identity in enumerate(ids)]
            yield whole if all(newest) else whole.filter(pa.array(newest))
