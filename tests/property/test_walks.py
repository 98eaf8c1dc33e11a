"""A newest-first walk keeps every row: any page size, any interruption, rows that move and come
while it goes on, alone and with what a pull keeps. The list is a keyset list, as both providers'
are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walking import Listing, Loaded, Store, expected, moves, only_new

from pipelines.errors import BadCursor
from pipelines.provider import Row
from pipelines.reading.walks import Position


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


def test_what_comes_to_the_head_while_the_page_below_it_is_read_is_read_too() -> None:
    listing, store = Listing(1), Store()
    listing.add("r0")
    listing.moves = [moved("r1"), moved(), moved(), moved("r0")]
    store.walk(listing)
    assert store.rows == expected(listing)


def moved(*names: str) -> Callable[[Listing], None]:
    def move(listing: Listing) -> None:
        for name in names:
            listing.touch(name)

    return move
