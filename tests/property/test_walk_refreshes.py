"""What changes without moving, or is stored late, is found by walking a list again on a schedule:
as deep as is due, once, and without hiding what a walk still lacks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walking import NOW, START, Listing, Loaded, Store, expected, moves, only_new

from pipelines.provider import Row
from pipelines.reading.walks import Gap, Position, Refresh

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


def is_news(store: Store, row: Row) -> bool:
    """Whether a row has moved above what is known: the next walk begins with it."""
    mark = store.position.mark
    return bool(mark and mark.value and row["at"] and row["at"] > mark.value)


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
        for at, row, version in changes:
            if at <= done and not is_news(store, listing.row(row)):
                assert store.rows[row] >= version
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
