"""Telling what a provider erased: rows that two complete readings in a row did not find.

No provider says that a row is gone; it is merely not there any more. A list that was cut off, or
whose pages moved, lacks rows too. So one absence counts for nothing, an incomplete reading counts
for nothing, and at the end the row is asked for by its id.

    scan 1, complete      a b c d
    scan 2, complete      a   c d     b is missed
    scan 3, cut off       a           nothing
    scan 4, complete      a   c       b is missed again and asked for: gone; d is missed
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence, Set

from pipelines.cursors import Fetch, Page
from pipelines.provider import GONE, Row, Table
from pipelines.reading.pull import Pull
from pipelines.reading.together import failures, together

MOST_MISSED = 1000
"""Absences remembered at once, and rows asked for in a run; the others get their turn later."""

IsThere = Callable[[str], Awaitable[bool]]
"""Asks for one row by its id; whether the provider still has it."""


class Reading:
    """A list's fetch that remembers which rows came, and whether all of the list did.

    The list is complete once it was read from its first page to its last without a break.
    """

    def __init__(self, fetch: Fetch[Row]) -> None:
        self._fetch = fetch
        self._expected: str | None = None
        self._followed: set[str | None] = set()
        self.ids: set[str] = set()
        self.is_complete = False

    async def __call__(self, cursor: str | None) -> Page[Row]:
        """The page at a cursor."""
        if cursor is None:
            self._expected, self._followed = None, set()
        is_next = cursor == self._expected
        page = await self._fetch(cursor)
        self.ids |= ids_of(page.rows)
        self._followed.add(cursor)
        # Some lists go on naming their last cursor, on an empty page.
        is_last = page.next is None or (not page.rows and page.next in self._followed)
        self.is_complete |= is_next and is_last
        # After a break no cursor is the expected one, until the list is begun again.
        self._expected = page.next if is_next and not is_last else ""
        return page


def ids_of(rows: Sequence[Row]) -> set[str]:
    """The ids of a page's rows."""
    return {str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id")}


class Deletions:
    """What is missing of one list. Made before the list is read.

    Args:
        pull: the pull that reads it.
        table: the table whose rows it fills; the ids missed once stand in its position.
        is_there: asks for one row.
    """

    def __init__(self, pull: Pull, table: Table, is_there: IsThere) -> None:
        self._pull, self._table, self._is_there = pull, table, is_there
        self._missed: Mapping[str, str] = pull.positions.get(table.name, {}).get("missed", {})

    async def compare(self, listed: Set[str], *, is_complete: bool) -> None:
        """Compare what was listed with what is stored.

        Args:
            listed: ids that the provider showed, complete or not.
            is_complete: whether it showed all that it has.

        A row whose answer fails is noted, and asked for again after the next complete reading.
        """
        gone = self._gone()
        self._mark(dict.fromkeys(gone.keys() & listed))
        if is_complete:
            await self._miss(self._pull.beside(self._table, listed) - gone.keys())

    async def _miss(self, absent: Collection[str]) -> None:
        """Ask for what is absent a second time, and remember what is for the first time."""
        again = sorted(i for i in absent if i in self._missed)
        answers = dict(zip(again, await together(map(self._is_there, again)), strict=True))
        self._mark({i: self._missed[i] for i, is_there in answers.items() if is_there is False})
        failed = {i: self._missed[i] for i, error in answers.items() if failures([error])}
        now = self._pull.now.isoformat()
        first = sorted(i for i in absent if i not in self._missed)[: MOST_MISSED - len(failed)]
        missed = {**failed, **dict.fromkeys(first, now)}
        self._pull.positions.setdefault(self._table.name, {})["missed"] = missed
        if failed:
            self._pull.outcomes[self._table.name].note = (
                f"whether {len(failed)} of them are still there could not be asked: "
                f"{failures([*answers.values()])[0]}"
            )

    def _gone(self) -> Mapping[str, str]:
        """id → since when it was missed, of the rows that are marked as gone."""
        columns = ("provider_id", "missed_since")
        rows = self._pull.current(GONE, columns, of=("resource", (self._table.name,)))
        return {str(identity): since for identity, since in rows if since is not None}

    def _mark(self, since: Mapping[str, str | None]) -> None:
        """Mark rows as gone; None takes a mark back."""
        rows = [
            {
                "id": f"{self._table.name}|{identity}",
                "@resource": self._table.name,
                "@provider_id": identity,
                "@missed_since": missed,
            }
            for identity, missed in sorted(since.items())
        ]
        self._pull.take(GONE, Page(rows))
