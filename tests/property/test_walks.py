"""A newest-first walk keeps every row: any page size, any interruption, rows that move and come
while it goes on, alone and with what a pull keeps. The list is a keyset list, as both providers'
are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cursors import Page
from pipelines.errors import BadCursor, Unreachable
from pipelines.provider import Row, Table
from pipelines.provider import fields as columns
from pipelines.reading.pull import Pull
from pipelines.reading.walks import Gap, Position, Refresh, Walk

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


moves = st.lists(
    st.one_of(
        st.just(lambda listing: None),
        st.integers(0, 40).map(lambda i: lambda listing: listing.touch(f"r{i}")),
        st.integers(0, 10**6).map(lambda i: lambda listing: listing.add(f"new{i}")),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(1, 7),
    rows=st.integers(0, 40),
    nulls=st.integers(0, 3),
    cuts=st.lists(st.tuples(st.integers(1, 6), st.booleans(), moves), max_size=5),
    last=moves,
)
def test_a_walk_that_is_cut_anywhere_and_goes_on_keeps_every_row(
    size: int, rows: int, nulls: int, cuts: list[tuple[int, bool, list[Any]]], last: list[Any]
) -> None:
    listing = Listing(size, nulls=nulls)
    for i in range(rows):
        listing.add(f"r{i}")
    store = Store()
    for pages, keeps_position, during in cuts:
        listing.moves = list(during)
        store.walk(listing, pages=pages, keeps_position=keeps_position)
        for i in range(3):
            listing.add(f"between{pages}{i}{len(store.rows)}")
    listing.moves = list(last)
    store.walk(listing)
    kept = {name: version for name, version in store.rows.items() if not name.startswith("null")}
    assert kept == expected(listing)
    assert store.position.is_complete


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


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 7),
    rows=st.integers(0, 40),
    hidden=st.booleans(),
    pulls=st.lists(
        st.tuples(
            st.integers(1, 30),
            st.integers(0, 9),
            st.sampled_from(["nothing", "rows", "everything"]),
            moves,
        ),
        max_size=5,
    ),
)
def test_what_pulls_leave_is_the_list_whatever_cut_them_and_moved_meanwhile(
    size: int, rows: int, hidden: bool, pulls: list[tuple[int, int, str, list[Any]]]
) -> None:
    listing = Listing(size, hidden=hidden)
    for i in range(rows):
        listing.add(f"r{i}")
    loaded = Loaded()
    for chunk, fails_at, loads, during in pulls:
        listing.moves = [only_new(move) for move in during] if hidden else list(during)
        loaded.pull(listing, chunk=chunk, fails_at=fails_at, loads=loads)
    listing.moves = []
    while loaded.pull(listing, chunk=10):
        pass
    found = {name: int(row["version"]) for name, row in loaded.rows.items()}
    assert found == expected(listing)
    loaded.pull(listing, chunk=10)
    assert loaded.written == 0


def only_new(move: Callable[[Listing], None]) -> Callable[[Listing], None]:
    """A move in a list whose order never changes: what it would touch is a row of its own."""

    def moved(listing: Listing) -> None:
        before = dict(listing.versions)
        move(listing)
        for name in before.keys() & listing.versions.keys():
            listing.versions[name] = before[name]

    return moved


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 7),
    rows=st.integers(0, 40),
    cuts=st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=5),
    gone=st.sets(st.integers(0, 40), max_size=12),
)
def test_a_list_whose_order_is_hidden_loses_nothing_when_its_signposts_are_deleted(
    size: int, rows: int, cuts: list[tuple[int, bool]], gone: set[int]
) -> None:
    listing = Listing(size, hidden=True)
    for i in range(rows):
        listing.add(f"r{i}")
    store = Store()
    for pages, keeps_position in cuts:
        store.walk(listing, pages=pages, keeps_position=keeps_position)
        for i in gone:
            listing.remove(f"r{i}")
        listing.add(f"later{len(store.rows)}-{pages}")
    store.walk(listing)
    assert expected(listing).items() <= store.rows.items()


@pytest.mark.parametrize("hidden", [True, False])
def test_a_list_without_news_costs_one_request(hidden: bool) -> None:
    listing = Listing(10, hidden=hidden)
    for i in range(95):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing)
    listing.requests = 0
    store.walk(listing)
    assert listing.requests == 1


def test_news_cost_the_pages_that_hold_them_and_a_look_at_the_head() -> None:
    listing = Listing(10)
    for i in range(500):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing)
    for i in range(25):
        listing.touch(f"r{i}")
    listing.requests = 0
    store.walk(listing)
    assert store.rows == expected(listing)
    assert listing.requests == 3 + 1 + 1  # three with news, one that reaches the mark, the head


def test_rows_without_a_value_that_sort_first_do_not_hide_the_news_below_them() -> None:
    listing = Listing(3, nulls=3)
    for i in range(9):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing)
    listing.touch("r0")
    store.walk(listing)
    assert store.rows["r0"] == 2


def test_rows_that_share_the_newest_value_are_all_read() -> None:
    listing = Listing(2, keys=dict.fromkeys("abc", 5), versions=dict.fromkeys("abc", 1))
    store = Store(rows={"a": 1, "b": 1, "c": 1})
    store.position = Position.from_json(
        {"mark": {"ids": [], "value": listing.row("a")["at"]}, "gaps": [], "refreshed": {}}
    )
    mark = store.position.mark
    assert mark is not None
    assert not mark.is_touched_by([listing.row("a")], lambda row: row["at"])


def test_a_row_from_far_in_the_future_does_not_become_the_mark() -> None:
    listing = Listing(5)
    for i in range(20):
        listing.add(f"r{i}")
    listing.keys["odd"], listing.versions["odd"] = 60 * 24 * 365 * 100, 1
    store = Store()
    store.walk(listing)
    assert store.position.mark is not None
    assert store.position.mark.value == listing.row("r19")["at"]


def test_a_forgotten_cursor_starts_the_stretch_again() -> None:
    listing = Listing(5)
    for i in range(40):
        listing.add(f"r{i}")
    listing.forgets = {5}
    store = Store()
    store.walk(listing)
    assert store.rows == expected(listing)


def test_a_cursor_that_is_always_forgotten_ends_with_an_error_and_leaves_the_gap() -> None:
    listing = Listing(5)
    for i in range(40):
        listing.add(f"r{i}")
    listing.forgets = set(range(1000))
    store = Store()
    with pytest.raises(BadCursor):
        store.walk(listing)
    assert listing.requests < 12


@pytest.mark.parametrize("hidden", [True, False])
def test_a_change_below_the_mark_does_not_lead_to_the_end_of_the_list(hidden: bool) -> None:
    listing = Listing(10, hidden=hidden)
    for i in range(1000):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing)
    for i in range(5):
        listing.add(f"new{i}")
    listing.versions["r988"] += 1
    listing.requests = 0
    store.walk(listing)
    assert store.rows["r988"] == 2
    assert listing.requests == 3 + 1


def test_a_row_that_differs_in_every_answer_does_not_keep_the_walk_from_ending() -> None:
    class Restless(Listing):
        def row(self, name: str) -> Row:
            row = super().row(name)
            return {**row, "version": self.requests} if name == "r99" else row

    listing = Restless(10)
    for i in range(100):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing)
    listing.requests = 0
    store.walk(listing)
    assert listing.requests <= 4


DAILY = Refresh("all", every=timedelta(days=1), depth=None)
HOURLY = Refresh("hour", every=timedelta(hours=1), depth=timedelta(minutes=25))


class StoredLate(Listing):
    """A list whose newest row is of old."""

    def time_of(self, row: Row) -> datetime | None:
        return START if row["id"] == "r499" else super().time_of(row)


@pytest.mark.parametrize("kind", [Listing, StoredLate])
def test_an_hourly_refresh_reads_no_deeper_than_its_depth(kind: type[Listing]) -> None:
    listing = kind(10, hidden=True)
    for i in range(500):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing, refreshes=(HOURLY,), times=True)
    listing.requests = 0
    store.walk(listing, refreshes=(HOURLY,), now=NOW + timedelta(hours=2), times=True)
    assert listing.requests == 4  # 25 minutes of a row a minute, and the page that is older


def test_a_change_that_moves_nothing_is_found_by_the_refresh_that_is_due() -> None:
    listing = Listing(10)
    for i in range(100):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing, refreshes=(HOURLY, DAILY))
    listing.versions["r80"] += 1
    listing.versions["r5"] += 1
    store.walk(listing, refreshes=(HOURLY, DAILY), now=NOW + timedelta(minutes=59))
    assert (store.rows["r80"], store.rows["r5"]) == (1, 1)
    store.walk(listing, refreshes=(HOURLY, DAILY), now=NOW + timedelta(hours=2))
    assert (store.rows["r80"], store.rows["r5"]) == (2, 1)
    listing.requests = 0
    store.walk(listing, refreshes=(HOURLY, DAILY), now=NOW + timedelta(days=2))
    assert (store.rows["r80"], store.rows["r5"]) == (2, 2)
    assert listing.requests == 10 + 1


LATER = NOW + timedelta(days=2)
RUN = timedelta(minutes=15)


def refreshed(store: Store) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(at) for name, at in store.position.refreshed.items()}


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 7),
    rows=st.integers(0, 80),
    hidden=st.booleans(),
    changed=st.sets(st.integers(0, 79)),
    runs=st.lists(st.integers(1, 12), max_size=8),
)
def test_a_refresh_that_is_cut_at_any_page_end_goes_on_and_reads_no_page_twice(
    size: int, rows: int, hidden: bool, changed: set[int], runs: list[int]
) -> None:
    listing = Listing(size, hidden=hidden)
    for i in range(rows):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing, refreshes=(DAILY,))
    for i in changed:
        if i < rows:
            listing.versions[f"r{i}"] += 1
    listing.requests = 0
    for i, pages in enumerate([*runs, 10**9]):
        store.walk(listing, pages=pages, refreshes=(DAILY,), now=LATER + i * RUN)
    assert store.rows == expected(listing)
    assert store.position.gaps == ()
    assert refreshed(store) == {"all": LATER}
    # A run looks at the head, twice when it found something; a page of one row takes another one.
    heads = (4 if size == 1 else 2) * (len(runs) + 1)
    assert listing.requests <= -(-rows // size) + heads


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 7),
    rows=st.integers(1, 60),
    hidden=st.booleans(),
    runs=st.lists(
        st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 59), moves), max_size=8
    ),
)
def test_a_refresh_that_is_noted_as_done_found_every_change_before_it_began(
    size: int, rows: int, hidden: bool, runs: list[tuple[int, bool, int, list[Any]]]
) -> None:
    listing = Listing(size, hidden=hidden)
    for i in range(rows):
        listing.add(f"r{i}")
    store = Store()
    both = (HOURLY, DAILY)
    store.walk(listing, refreshes=both, times=True)
    changes: list[tuple[datetime, str, int]] = []
    for i, (pages, keeps_position, change, during) in enumerate(runs):
        now = LATER + i * timedelta(hours=7)
        name = f"r{change % rows}"
        listing.versions[name] += 1
        changes.append((now, name, listing.versions[name]))
        listing.moves = [only_new(move) for move in during] if hidden else list(during)
        store.walk(
            listing,
            pages=pages,
            keeps_position=keeps_position,
            refreshes=both,
            now=now,
            times=True,
        )
        done = refreshed(store)["all"]
        assert all(store.rows[n] >= v for at, n, v in changes if at <= done)
    listing.moves = []
    for days in (4, 6):  # what is cut goes on, then all begins again
        store.walk(listing, refreshes=both, now=LATER + timedelta(days=days), times=True)
    assert store.rows == expected(listing)
    assert store.position.gaps == ()


@pytest.mark.parametrize("hidden", [True, False])
def test_a_list_whose_rows_have_all_changed_is_read_once_whatever_chunks_it_is_loaded_in(
    hidden: bool,
) -> None:
    listing = Listing(5, hidden=hidden)
    for i in range(100):
        listing.add(f"r{i}")
    loaded = Loaded()
    loaded.pull(listing, chunk=1000, refreshes=(DAILY,))
    listing.versions = dict.fromkeys(listing.versions, 2)
    listing.requests, pulls = 0, 1
    while loaded.pull(listing, chunk=20, refreshes=(DAILY,), now=LATER):
        pulls += 1
    assert {name: int(row["version"]) for name, row in loaded.rows.items()} == expected(listing)
    assert listing.requests <= 20 + 2 * pulls


def test_a_shallow_refresh_does_not_wait_for_a_deep_one_that_takes_many_runs() -> None:
    listing = Listing(10, hidden=True)
    for i in range(500):
        listing.add(f"r{i}")
    store = Store()
    stamps = []
    for i, pages in enumerate([10**9, *[8] * 10]):
        now = NOW if i == 0 else LATER + i * RUN
        store.walk(listing, pages=pages, refreshes=(HOURLY, DAILY), now=now, times=True)
        stamps.append({name: (at - LATER) / RUN for name, at in refreshed(store).items()})
    hours = [stamp["hour"] for stamp in stamps[1:]]
    assert hours == [1, 1, 1, 1, 5, 5, 5, 5, 9, 9]
    assert stamps[-1]["all"] == 1
    assert store.position.gaps == ()


def test_a_walk_that_is_cut_in_a_refresh_lacks_no_row() -> None:
    listing = Listing(10)
    for i in range(100):
        listing.add(f"r{i}")
    store = Store()
    store.walk(listing, refreshes=(DAILY,))
    listing.add("new")
    store.walk(listing, pages=4, refreshes=(DAILY,), now=LATER)
    assert store.position.gaps != ()
    assert store.position.is_complete


def test_a_stretch_that_begins_at_the_head_again_is_kept_when_nobody_answers() -> None:
    listing = Listing(5)
    for i in range(40):
        listing.add(f"r{i}")
    loaded = Loaded()
    loaded.pull(listing, chunk=15)
    listing.forgets = {listing.requests + 2}
    for answers in (2, 1, 10**9):  # the head; its cursor, forgotten; the head again
        loaded.pull(listing, chunk=1000, fails_at=answers)
    assert loaded.rows.keys() == expected(listing).keys()


def test_a_position_of_an_older_version_is_read() -> None:
    mark = {"ids": [], "value": "2026-01-01"}
    stored = {"mark": mark, "gaps": [["40", mark], [None, None]], "refreshed": {"all": "2026"}}
    position = Position.from_json(stored)
    assert position.gaps == (Gap("40", position.mark), Gap(None, None))
    assert Position.from_json(position.to_json()) == position
