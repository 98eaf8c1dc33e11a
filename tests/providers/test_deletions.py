"""What a provider erased is marked after two complete readings, and what it has is never marked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cursors import Page, follow
from pipelines.errors import ProviderError, Unreachable
from pipelines.provider import GONE, Row, Table, fields
from pipelines.providers import find
from pipelines.reading.deletions import Deletions, Reading
from pipelines.reading.pull import Pull
from pipelines.reading.walks import Refresh
from pipelines.simulation import Fault, broken
from pipelines.world import World

from .conftest import Shop

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
THINGS = Table("things", fields("id"))
DAILY = (Refresh("all", every=DAY, depth=None),)


class Memory:
    """A warehouse as small as can be: see `reading.stored.Stored`."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Row]] = {}

    def hashes(self, table: Table, ids: Sequence[str]) -> Mapping[str, str]:
        held = self.tables.get(table.name, {})
        return {i: held[i]["row_hash"] for i in ids if i in held}

    def ids(self, table: Table) -> Iterator[str]:
        yield from self.tables.get(table.name, {})

    def rows(
        self, table: Table, columns: Sequence[str], *, of: tuple[str, Sequence[str]] | None = None
    ) -> list[tuple[Any, ...]]:
        rows = self.tables.get(table.name, {}).values()
        return [tuple(r[c] for c in columns) for r in rows if of is None or r[of[0]] in of[1]]

    def cursors(self, table: Table) -> Mapping[str, Mapping[str, str | None]]:
        return {}

    def earliest(self, *_: Any, **__: Any) -> Mapping[str, str]:
        return {}


@dataclass
class Provider:
    """Rows by key, newest first, in pages that follow a key or are numbered; something happens
    before each request."""

    size: int
    is_numbered: bool = False
    keys: dict[str, int] = field(default_factory=dict)
    events: list[Callable[[Provider], None]] = field(default_factory=list)
    fails_at: int | None = None
    hidden: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)

    def add(self, name: str) -> None:
        self.keys.setdefault(name, max(self.keys.values(), default=0) + 1)

    def remove(self, name: str) -> None:
        self.keys.pop(name, None)

    async def fetch(self, cursor: str | None) -> Page[Row]:
        if self.events:
            self.events.pop(0)(self)
        if self.fails_at is not None:
            self.fails_at -= 1
            if self.fails_at < 0:
                raise Unreachable("out of order")
        names = sorted(self.keys.keys() - self.hidden, key=lambda name: -self.keys[name])
        if self.is_numbered:
            start = int(cursor or 0)
            following = str(start + self.size)
        else:
            start = sum(1 for n in names if cursor is not None and self.keys[n] >= int(cursor))
            following = str(min((self.keys[n] for n in names[: start + self.size]), default=0))
        more = len(names) > start + self.size
        rows = [{"id": name} for name in names[start : start + self.size]]
        return Page(rows, following if more else None)

    async def has(self, name: str) -> bool:
        if name in self.mute:
            raise Unreachable("no answer")
        return name in self.keys


@dataclass
class Account:
    """What is stored of a provider, and how far it was read."""

    provider: Provider
    memory: Memory = field(default_factory=Memory)
    positions: dict[str, dict[str, Any]] = field(default_factory=dict)
    days: int = 0
    note: str | None = None

    def sync(self, *, asks: bool = True) -> None:
        """A day later: a pull of the whole list. `asks`: rows can be asked for one by one."""
        self.days += 1
        asyncio.run(self._sync(asks=asks))

    async def _sync(self, *, asks: bool) -> None:
        pull = self._pull()
        deletions = Deletions(pull, THINGS, self.provider.has if asks else self._never)
        reading = Reading(self.provider.fetch)
        try:
            if self.provider.is_numbered:
                await pull.all_pages(THINGS, reading)
            else:
                await pull.newest_first(THINGS, reading, refreshes=DAILY)
            await deletions.compare(reading.ids, is_complete=reading.is_complete)
        except ProviderError:
            pass  # what was read is loaded all the same
        for table in (THINGS, GONE):
            held = self.memory.tables.setdefault(table.name, {})
            held |= {row["id"]: row for part in pull.drain(table) for row in part.to_pylist()}
        self.positions = json.loads(json.dumps(pull.positions))
        self.note = pull.outcomes[THINGS.name].note

    def _pull(self) -> Pull:
        return Pull(
            account="a",
            client=None,
            stored=self.memory,
            positions=self.positions,
            wanted=frozenset({THINGS.name}),
            now=NOW + self.days * DAY,
            loop=asyncio.get_running_loop(),
        )

    async def _never(self, name: str) -> bool:
        return False

    @property
    def gone(self) -> set[str]:
        rows = self.memory.tables.get("gone", {}).values()
        return {row["provider_id"] for row in rows if row["missed_since"] is not None}

    @property
    def stored(self) -> set[str]:
        return set(self.memory.tables["things"])


def account(size: int, rows: int, *, is_numbered: bool = False) -> Account:
    provider = Provider(size, is_numbered)
    for i in range(rows):
        provider.add(f"r{i}")
    return Account(provider)


events = st.lists(
    st.one_of(
        st.just(lambda provider: None),
        st.integers(0, 20).map(lambda i: lambda provider: provider.remove(f"r{i}")),
        st.integers(0, 999).map(lambda i: lambda provider: provider.add(f"new{i}")),
    ),
    max_size=10,
)
days = st.lists(st.tuples(events, st.none() | st.integers(0, 5)), max_size=6)


@settings(max_examples=300)
@given(size=st.integers(1, 6), rows=st.integers(0, 20), days=days, is_numbered=st.booleans())
def test_what_exists_is_never_marked_whatever_happens_while_pages_are_read(
    size: int, rows: int, days: list[tuple[list[Any], int | None]], is_numbered: bool
) -> None:
    shop = account(size, rows, is_numbered=is_numbered)
    for during, fails_at in days:
        shop.provider.events, shop.provider.fails_at = list(during), fails_at
        # Where the order is that of a key, two readings are enough; numbered pages may skip a row
        # twice, so there the row is asked for.
        shop.sync(asks=is_numbered)
        assert shop.gone & shop.provider.keys.keys() == set()
    shop.provider.events, shop.provider.fails_at = [], None
    shop.sync()
    shop.sync()
    shop.sync()
    assert shop.gone == shop.stored - shop.provider.keys.keys()


def test_one_absence_marks_nothing_and_the_second_marks_since_the_first() -> None:
    shop = account(3, 10)
    shop.sync()
    shop.provider.remove("r4")
    shop.sync()
    assert shop.gone == set()
    shop.sync()
    assert shop.gone == {"r4"}
    (row,) = shop.memory.tables["gone"].values()
    assert (row["id"], row["resource"]) == ("things|r4", "things")
    assert row["missed_since"] == (NOW + 2 * DAY).isoformat()
    assert "r4" in shop.stored


def test_an_absence_that_is_not_repeated_is_forgotten() -> None:
    shop = account(3, 10)
    shop.sync()
    key = shop.provider.keys.pop("r4")
    shop.sync()
    shop.provider.keys["r4"] = key
    shop.sync()
    shop.provider.remove("r4")
    shop.sync()
    assert shop.gone == set()
    shop.sync()
    assert shop.gone == {"r4"}


def test_a_reading_that_was_cut_off_counts_for_nothing() -> None:
    shop = account(3, 10)
    shop.sync()
    shop.provider.remove("r4")
    for _ in range(4):
        shop.provider.fails_at = 2
        shop.sync()
    assert shop.gone == set()
    shop.provider.fails_at = None
    shop.sync()
    assert shop.gone == set()
    shop.sync()
    assert shop.gone == {"r4"}


def test_what_no_list_shows_but_answers_by_its_id_is_not_marked() -> None:
    shop = account(3, 10)
    shop.sync()
    shop.provider.hidden = {"r4"}
    for _ in range(4):
        shop.sync()
    assert shop.gone == set()


def test_a_row_that_can_not_be_asked_for_keeps_no_other_from_being_marked() -> None:
    shop = account(3, 10)
    shop.sync()
    for name in ("r2", "r4", "r6"):
        shop.provider.remove(name)
    shop.provider.mute = {"r4"}
    shop.sync()
    shop.sync()
    assert shop.gone == {"r2", "r6"}
    assert "whether 1 of them are still there" in (shop.note or "")
    shop.provider.mute = set()
    shop.sync()
    assert shop.gone == {"r2", "r4", "r6"}
    assert shop.note is None
    since = {row["missed_since"] for row in shop.memory.tables["gone"].values()}
    assert since == {(NOW + 2 * DAY).isoformat()}


def test_what_comes_back_is_no_longer_marked() -> None:
    shop = account(3, 10)
    shop.sync()
    key = shop.provider.keys.pop("r4")
    shop.sync()
    shop.sync()
    shop.provider.keys["r4"] = key
    shop.sync()
    assert shop.gone == set()
    shop.provider.remove("r4")
    shop.sync()
    shop.sync()
    assert shop.gone == {"r4"}


def test_an_empty_page_that_repeats_its_cursor_ends_a_complete_reading() -> None:
    async def fetch(cursor: str | None) -> Page[Row]:
        return Page([{"id": "a"}] if cursor is None else [], "last")

    async def read() -> Reading:
        reading = Reading(fetch)
        async for _ in follow(reading):
            pass
        return reading

    reading = asyncio.run(read())
    assert reading.is_complete
    assert reading.ids == {"a"}


def test_a_reading_that_begins_in_the_middle_is_not_complete() -> None:
    provider = account(2, 7).provider

    async def read(*cursors: str | None) -> bool:
        reading = Reading(provider.fetch)
        for cursor in cursors:
            await reading(cursor)
        return reading.is_complete

    assert not asyncio.run(read("6", "4", "2"))
    assert not asyncio.run(read(None, "4", "2"))
    assert not asyncio.run(read(None, "6", None, "4", "2"))
    assert asyncio.run(read(None, "6", "4", "2"))


@pytest.fixture(params=find(), ids=lambda room: room.name)
def room(request: pytest.FixtureRequest) -> Any:
    """The rooms that tell deletions: a provider's, not the tests' own."""
    return request.param


def erased(world: World) -> str:
    """A contact somewhere in the middle of the list."""
    return world.contacts[len(world.contacts) // 2].id


def marks(shop: Shop) -> set[str]:
    rows = shop.rows("gone").values()
    return {row["provider_id"] for row in rows if row["missed_since"] is not None}


def test_a_contact_that_the_provider_erased_is_marked_and_its_row_stays(shop: Shop) -> None:
    world = shop.world
    shop.sync()
    before = shop.rows("contacts")
    shop.world = world.without(contacts=[erased(world)])
    shop.sync(after=DAY)
    assert marks(shop) == set()
    fault = Fault(broken(503), path="/contacts", times=None)
    shop.sync(shop.app(faults=[fault]), after=2 * DAY)
    assert marks(shop) == set()
    shop.sync(after=3 * DAY)
    assert len(marks(shop)) == 1
    assert shop.rows("contacts") == before
    assert marks(shop) < before.keys()
    idle = shop.loads()
    shop.sync(after=4 * DAY)
    assert shop.loads() == idle
    shop.world = world
    shop.sync(after=5 * DAY)
    assert marks(shop) == set()
