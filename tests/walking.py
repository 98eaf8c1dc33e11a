"""Newest-first lists that change while they are read, and what walks and pulls keep of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

from hypothesis import strategies as st

from pipelines.cursors import Page
from pipelines.errors import BadCursor, Unreachable
from pipelines.provider import Row, Table
from pipelines.provider import fields as columns
from pipelines.reading.pull import Pull
from pipelines.reading.walks import Position, Refresh, Walk

NOW = datetime(2026, 6, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Listing:
    """A list sorted by `key`, newest first; `moves` happen one before each request."""

    page_size: int
    keys: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    hidden: bool = False
    nulls: int = 0
    requests: int = 0
    moves: list[Callable[[Listing], None]] = field(default_factory=list)
    forgets: set[int] = field(default_factory=set)

    def add(self, name: str) -> None:
        self.touch(name)

    def touch(self, name: str) -> None:
        """A new row, or, where rows move, a change that brings it to the head."""
        if not (self.hidden and name in self.keys):
            self.keys[name] = max(self.keys.values(), default=0) + 1
        self.versions[name] = self.versions.get(name, 0) + 1

    def remove(self, name: str) -> None:
        self.keys.pop(name, None)
        self.versions.pop(name, None)

    async def fetch(self, cursor: str | None) -> Page[Row]:
        self.requests += 1
        if self.moves:
            self.moves.pop(0)(self)
        if cursor is not None and self.requests in self.forgets:
            raise BadCursor("forgotten")
        below = int(cursor) if cursor else 10**9
        names = sorted((n for n, k in self.keys.items() if k < below), key=lambda n: -self.keys[n])
        rows = [self.row(name) for name in names[: self.page_size]]
        if cursor is None:
            rows = [self.row(f"null{i}") for i in range(self.nulls)] + rows
        more = len(names) > self.page_size
        return Page(rows, str(self.keys[names[self.page_size - 1]]) if more else None)

    def time_of(self, row: Row) -> datetime | None:
        """A row's time, also where the list hides what it is sorted by."""
        return START + timedelta(minutes=self.keys[row["id"]])

    def row(self, name: str) -> Row:
        key = self.keys.get(name)
        time = None if key is None or self.hidden else START + timedelta(minutes=key)
        at = time.isoformat(timespec="microseconds") if time else None
        return {"id": name, "at": at, "version": self.versions.get(name, 0)}


def at(row: Row) -> datetime | None:
    return datetime.fromisoformat(row["at"]) if row["at"] else None


@dataclass
class Store:
    """What is kept, and the position that goes with it."""

    rows: dict[str, int] = field(default_factory=dict)
    position: Position = field(default_factory=Position)

    def take(self, page: Page[Row]) -> int:
        fresh = [row for row in page.rows if self.rows.get(row["id"]) != row["version"]]
        self.rows |= {row["id"]: row["version"] for row in fresh}
        return len(fresh)

    def walk(
        self,
        listing: Listing,
        *,
        pages: int = 10**9,
        refreshes: tuple[Refresh, ...] = (),
        now: datetime = NOW,
        keeps_position: bool = True,
        times: bool = False,
    ) -> None:
        budget = [pages]

        async def fetch(cursor: str | None) -> Page[Row]:
            budget[0] -= 1
            if budget[0] < 0 and not keeps_position:
                raise Unreachable("cut off")
            return await listing.fetch(cursor)

        walk = Walk(
            fetch,
            self.take,
            self.position,
            is_paused=lambda: keeps_position and budget[0] <= 0,
            value_of=None if listing.hidden else lambda row: row["at"],
            time_of=listing.time_of if times else at,
            refreshes=refreshes,
            now=now,
        )
        try:
            asyncio.run(walk.run())
        except Unreachable:
            return  # killed: the rows are in, the position is not
        # As the warehouse keeps it: through JSON.
        self.position = Position.from_json(walk.position.to_json())


def expected(listing: Listing) -> dict[str, int]:
    return {name: version for name, version in listing.versions.items() if name in listing.keys}


TABLE = Table("rows", columns("id", "at", "version"))


@dataclass
class Loaded:
    """What a warehouse would hold after some pulls: rows, and how far they were read.

    Attributes:
        written: rows of the last load.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    positions: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: int = 0

    def hashes(self, _: Table, ids: Sequence[str]) -> dict[str, str]:
        return {i: self.rows[i]["row_hash"] for i in ids if i in self.rows}

    def pull(
        self,
        listing: Listing,
        *,
        chunk: int,
        fails_at: int = 10**9,
        loads: str = "everything",
        refreshes: tuple[Refresh, ...] = (),
        now: datetime = NOW,
    ) -> bool:
        """One pull, which may meet an error, and a load, which may be killed before or after its
        rows are in; whether there was more to read."""
        return asyncio.run(self._pull(listing, chunk, fails_at, loads, refreshes, now))

    async def _pull(
        self,
        listing: Listing,
        chunk: int,
        fails_at: int,
        loads: str,
        refreshes: tuple[Refresh, ...],
        now: datetime,
    ) -> bool:
        left = iter(range(fails_at))

        async def fetch(cursor: str | None) -> Page[Row]:
            if next(left, None) is None:
                raise Unreachable("cut off")
            return await listing.fetch(cursor)

        pull = Pull(
            account="shop",
            client=None,
            stored=cast("Any", self),
            positions=deepcopy(self.positions),
            wanted=frozenset({TABLE.name}),
            now=now,
            loop=asyncio.get_running_loop(),
            chunk_rows=chunk,
        )
        value_of = None if listing.hidden else lambda row: row["at"]
        read = partial(pull.newest_first, TABLE, fetch, value_of=value_of, refreshes=refreshes)
        await pull.read(TABLE, read)
        if loads != "nothing":
            new = [row for part in pull.drain(TABLE) for row in part.to_pylist()]
            assert len({row["id"] for row in new}) == len(new)
            assert all(self.rows.get(row["id"]) != row for row in new)
            self.rows |= {row["id"]: row for row in new}
            self.written = len(new)
        if loads == "everything":
            self.positions = pull.positions
        return pull.has_more


moves = st.lists(
    st.one_of(
        st.just(lambda listing: None),
        st.integers(0, 40).map(lambda i: lambda listing: listing.touch(f"r{i}")),
        st.integers(0, 10**6).map(lambda i: lambda listing: listing.add(f"new{i}")),
    ),
    max_size=12,
)


def only_new(move: Callable[[Listing], None]) -> Callable[[Listing], None]:
    """A move in a list whose order never changes: what it would touch is a row of its own."""

    def moved(listing: Listing) -> None:
        before = dict(listing.versions)
        move(listing)
        for name in before.keys() & listing.versions.keys():
            listing.versions[name] = before[name]

    return moved
