"""A provider's bad days, on every list of every room (EXT-02…EXT-13, EXT-17, EXT-23)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_bench import BEFORE, ENDS_AT, KEY, Bench, Difference, account, copied, warehouse

from pipelines.load import Order, Report, sync_account
from pipelines.provider import Provider
from pipelines.providers import find
from pipelines.simulation import (
    Answer,
    Asked,
    Change,
    Clock,
    Fault,
    broken,
    cut_off,
    empty,
    expired_cursor,
    html,
    instead,
    repeated_cursor,
    serve,
    too_many,
    truncated,
    with_rows,
)
from pipelines.world import World, make_world

from .conftest import Figures

ROOMS = pytest.mark.parametrize("room", find(), ids=lambda room: room.name)


@dataclass(frozen=True)
class Kind:
    """A fault: what happens, how often in a row, and whether the run it meets ends well."""

    change: Change
    times: int | None = 1
    passes: bool = True


KINDS: dict[str, Kind] = {
    "429 with seconds": Kind(too_many(retry_after=0), times=3),
    "429 with a date": Kind(too_many(retry_after="Wed, 21 Oct 2015 07:28:00 GMT")),
    "503 with nonsense to wait for": Kind(
        lambda asked, answer: replace(broken(503)(asked, answer), headers={"Retry-After": "soon"})
    ),
    "a burst of five 500": Kind(broken(500), times=5),
    "a burst of five 504": Kind(broken(504), times=5),
    "502 for ever": Kind(broken(502), times=None, passes=False),
    "half of the body": Kind(truncated),
    "half of the body for ever": Kind(truncated, times=None, passes=False),
    "a reset in the middle": Kind(cut_off, times=2),
    "a web page with 200": Kind(html(200), times=2),
    "nothing with 200": Kind(empty, times=2),
    "{} for ever": Kind(instead({}), times=None, passes=False),
    "null": Kind(instead(None), times=2),
    "an error with 200 for ever": Kind(instead({"error": "oops"}), times=None, passes=False),
    "a cursor that expired": Kind(expired_cursor),
    "cursors that always expire": Kind(expired_cursor, times=None, passes=False),
    "a cursor that repeats": Kind(repeated_cursor, times=None, passes=False),
    "403": Kind(broken(403), times=None, passes=False),
    "404": Kind(broken(404), times=None, passes=False),
    "a key that is revoked": Kind(broken(401), times=None, passes=False),
    "a row that is not JSON": Kind(with_rows(b'{"id":NaN}'), times=3),
}


@dataclass
class Yard:
    """One room of a warehouse that is two days behind, and its simulator."""

    room: Provider
    world: World
    folder: Path
    clock: Clock

    def sync(self, faults: Any = ()) -> tuple[Report, Any]:
        app = self.room.simulate(self.world, api_key=KEY, clock=self.clock, faults=faults)
        place = warehouse(self.folder)
        with serve(app) as url, place.lock():
            place.ensure_raw_tables(find())
            order = Order(resources=frozenset(self.room.resources), now=ENDS_AT)
            return sync_account(place, self.room, account(self.room.name, url), order), app

    def compared_with(self, expected: Any, *, but: str = "rejected") -> Difference:
        mine = {
            name: rows
            for name, rows in expected.items()
            if name.startswith(self.room.schema) and not name.endswith(but)
        }
        return Difference.between(self.folder, mine)


Yards = Callable[[], Yard]


@pytest.fixture
def yards(room: Provider, simulators: Bench, template: Path, tmp_path: Path) -> Yards:
    return lambda: Yard(
        room, simulators.world, copied(template, tmp_path / "shop"), Clock(now=ENDS_AT)
    )


@pytest.fixture(scope="session")
def endpoints(simulators: Bench, expected: Any) -> dict[str, list[str]]:
    """Room → the last words of its lists' paths."""
    words: dict[str, list[str]] = {}
    for name, app in simulators.apps.items():
        last = {seen.path.rsplit("/", 1)[-1] for seen in app.state.requests}
        words[name] = sorted(word for word in last if not any(c.isdigit() for c in word))
    return words


def meet(yard: Yard, kind: Kind, path: str, expected: Any) -> Difference:
    """A run that meets the fault, one that does not if the first one failed, and what is left."""
    report, _ = yard.sync([Fault(kind.change, path=f"/{path}", request=1, times=kind.times)])
    if not report.is_ok:
        assert not kind.passes or kind.change is expired_cursor, str(report)
        report, _ = yard.sync()
    assert report.is_ok, (path, report)
    return yard.compared_with(expected)


@ROOMS
@pytest.mark.parametrize("name", ["a reset in the middle", "404"])
def test_a_bad_day_costs_no_row(
    yards: Yards, endpoints: Any, expected: Any, room: Provider, name: str
) -> None:
    path = endpoints[room.name][-1]
    assert meet(yards(), KINDS[name], path, expected) == Difference(0, 0)


@pytest.mark.matrix
@ROOMS
@pytest.mark.parametrize("name", KINDS)
def test_every_bad_day_on_every_list(
    yards: Yards, endpoints: Any, expected: Any, figures: Figures, room: Provider, name: str
) -> None:
    for path in endpoints[room.name]:
        found = meet(yards(), KINDS[name], path, expected)
        figures.add("extract", f"{name}, on each list", found)
        assert found == Difference(0, 0), path


@ROOMS
def test_rows_that_move_while_pages_are_read(
    yards: Yards, expected: Any, figures: Figures, room: Provider
) -> None:
    """The two days happen while the run reads them, an hour with every answer."""
    yard = yards()
    yard.clock.now = BEFORE

    def move(_: Asked, answer: Answer) -> Answer:
        yard.clock.now = min(ENDS_AT, yard.clock.now + timedelta(hours=1))
        return answer

    yard.sync([Fault(move, times=None)])
    yard.clock.now = ENDS_AT
    report, _ = yard.sync()
    assert report.is_ok
    # What was seen on the way is kept too, so there are more states than without the moving.
    found = yard.compared_with(expected, but=("rejected", "_states"))  # type: ignore[arg-type]
    figures.add("extract", "rows move while pages are read", found)
    assert found == Difference(0, 0)


RANDOM: tuple[Change, ...] = (
    too_many(retry_after=0),
    broken(500),
    broken(503),
    truncated,
    cut_off,
    html(200),
)


@pytest.mark.matrix
@ROOMS
@pytest.mark.parametrize("seed", range(3))
def test_one_answer_in_twenty_fails(
    large: World, tmp_path: Path, figures: Figures, room: Provider, seed: int
) -> None:
    calm = Yard(room, large, tmp_path / "calm", Clock(now=ENDS_AT))
    rough = Yard(room, large, tmp_path / "rough", Clock(now=ENDS_AT))
    dice = random.Random(seed)

    def fail(asked: Asked, count: int) -> Change | None:
        return dice.choice(RANDOM) if dice.random() < 0.05 else None

    report, app = calm.sync()
    assert report.is_ok
    usual = len(app.state.requests)
    report, app = rough.sync(fail)
    assert report.is_ok, report
    with warehouse(rough.folder).connect() as connection:
        sql = f"select count(*), count(distinct id) from {room.schema}.messages"
        rows, ids = connection.execute(sql).fetchall()[0]
    found = Difference(len(large.messages) - ids, rows - ids)
    ratio = len(app.state.requests) / usual
    note = f"{usual:,} requests become {len(app.state.requests):,}: {ratio:.2f} times"
    figures.add("extract", f"1 answer in 20 fails ({room.title})", found, note=note)
    assert found == Difference(0, 0)
    assert ratio <= 1.3


@pytest.fixture(scope="module")
def large() -> World:
    return make_world(seed=5, ends_at=ENDS_AT, days=60, conversations_per_day=40)
