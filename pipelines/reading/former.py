"""Values that a row told, and its newest copy does not: a row in the warehouse is overwritten.

A list shows one status of a message, the newest. What it was before counts, too: a message that was
delivered once stays delivered, whatever its provider says later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.provider import Row, Table
from pipelines.reading.landing import Record
from pipelines.reading.stored import Stored


class Former:
    """The former values of one table's rows, as a pull meets them.

    Args:
        table: the rows'.
        kept_in: its `former`.
        stored: the rows that the warehouse has.
    """

    def __init__(self, table: Table, kept_in: Table, stored: Stored) -> None:
        _, self._thing, self._column = kept_in.columns
        self._place = table.columns.index(self._column)
        self._table, self._stored = table, stored
        self._newest: dict[str, str | None] = {}
        self._former: set[tuple[str, str]] = set()

    @property
    def held(self) -> int:
        """How many rows are kept in mind."""
        return len(self._newest)

    def see(self, records: Sequence[Record]) -> None:
        """Note what rows say that were read."""
        for record in records:
            value = record.values[self._place]
            self._note(record.id, self._newest.get(record.id), value)
            self._newest[record.id] = value

    def settled(self, replacing: Sequence[str], same: Iterable[str]) -> None:
        """Note what the warehouse has of rows that were read and differ from it, and let go of
        those that don't."""
        of = ("id", replacing)
        rows = self._stored.rows(self._table, ("id", self._column), of=of) if replacing else []
        for identity, value in rows:
            self._note(str(identity), value, self._newest.get(str(identity)))
        for identity in same:
            self._newest.pop(identity, None)

    def _note(self, identity: str, before: str | None, now: str | None) -> None:
        if before and before != now:
            self._former.add((identity, before))

    def take(self) -> list[Row]:
        """What was noted since the last time, as rows of the table that keeps it."""
        noted, self._former = sorted(self._former), set()
        return [
            {"id": f"{identity}|{value}", f"@{self._thing}": identity, f"@{self._column}": value}
            for identity, value in noted
        ]
