"""A provider's bad days, on every list of every room (EXT-02…EXT-13, EXT-17, EXT-23)."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_bench import (
    BEFORE,
    ENDS_AT,
    NOTHING,
    Bench,
    Difference,
    copied,
    in_process,
    on_both_cores,
    warehouse,
)
from fault_kinds import KINDS, Yard, meet

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
    html,
    too_many,
    truncated,
)
from pipelines.world import World, make_world

from .conftest import Figures

ROOMS = pytest.mark.parametrize("room", find(), ids=lambda room: room.name)


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


@pytest.fixture
def met(template: Path, expected: Any, tmp_path: Path, room: Provider, simulators: Bench) -> Any:
    """Meets one fault on several lists, two at a time; returns what each cost."""

    def case(name: str, path: str) -> Difference:
        folder = copied(template, tmp_path / path)
        assert in_process(partial(meet, folder, room.name, name, path)) == 0, path
        yard = Yard(room, simulators.world, folder, Clock(now=ENDS_AT))
        return yard.compared_with(expected)

    return lambda name, paths: on_both_cores(partial(case, name), paths)


@ROOMS
@pytest.mark.parametrize("name", ["a reset in the middle", "404"])
def test_a_bad_day_costs_no_row(met: Any, endpoints: Any, room: Provider, name: str) -> None:
    assert met(name, endpoints[room.name][-1:]) == [NOTHING]


@pytest.mark.matrix
@ROOMS
@pytest.mark.parametrize("name", KINDS)
def test_every_bad_day_on_every_list(
    met: Any, endpoints: Any, figures: Figures, room: Provider, name: str
) -> None:
    paths = endpoints[room.name]
    costs = dict(zip(paths, met(name, paths), strict=True))
    for found in costs.values():
        figures.add("extract", f"{name}, on each list", found)
    assert {path: found for path, found in costs.items() if found != NOTHING} == {}


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
    assert found == NOTHING


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
    assert found == NOTHING
    assert ratio <= 1.3


@pytest.fixture(scope="module")
def large() -> World:
    return make_world(seed=5, ends_at=ENDS_AT, days=60, conversations_per_day=40)
