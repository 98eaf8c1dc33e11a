"""What a pull asks of a warehouse, and what both have to make alike: one in SQL, one in Python."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.provider import Table

if TYPE_CHECKING:
    from pipelines.reading.kept import Of
    from pipelines.reading.landing import Record

WHOLE_NUMBER = re.compile("[0-9]{1,15}")


class Stored(Protocol):
    """What the warehouse holds of one account, as the start of a pull sees it."""

    def hashes(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
        """id → row_hash of the rows that are there."""

    def rows(
        self, table: Table, columns: Sequence[str], *, of: Of | None = None
    ) -> list[tuple[Any, ...]]:
        """Columns of every row of the account, or of those with one of some values in a column."""

    def add(self, table: Table, records: Sequence[Record]) -> None:
        """Write rows now, not with what a pull holds; one whose id is there stays as it is."""

    def ids(self, table: Table) -> Iterator[str]:
        """Every id of the account."""

    def count(self, table: Table) -> int:
        """How many rows the account has."""

    def total(self, table: Table, column: str) -> int:
        """Sum of a column, over the rows where its text is a whole number."""

    def cursors(self, table: Table, ids: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """id → row of a cursor table, from loads that were completed only: a cursor must never
        stand beside rows that a crash kept out."""

    def moved(
        self, table: Table, columns: Sequence[str], *, cursors: Table, mark: str, most: int
    ) -> tuple[list[tuple[Any, ...]], int]:
        """Id, first column and `mark_of` the columns of the rows that no completed cursor with the
        same id has in its column `mark`: `most` of them, the highest in the first column first, and
        how many more there are."""

    def lacking(self, table: Table, column: str, *, of: Table) -> set[str]:
        """Values of a column that are no id in another table."""

    def earliest(
        self, table: Table, column: str, *, per: str, among: Mapping[str, Sequence[str]], since: str
    ) -> Mapping[str, str]:
        """Value of the column `per` → the lowest text of `column`, over the rows where that is
        `since` or more and each column in `among` has one of its values, whatever their case."""


def whole_number(text: str | None) -> int:
    """The number that a column's text tells; 0 when it is none, as a warehouse counts it."""
    return int(text) if text and WHOLE_NUMBER.fullmatch(text) else 0


def mark_of(values: Iterable[str | None]) -> str:
    """A digest of a few columns, the same as a warehouse makes of them in SQL."""
    text = "\x1f".join(value or "" for value in values)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
