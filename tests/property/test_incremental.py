"""Whatever arrives, in whatever order: a build of what is new equals a full rebuild, row for row.

More histories, on one core: `pytest -m matrix tests/property/test_incremental.py`. One of them
again: `DOBLECHECK_HISTORY=17 pytest -m 'matrix or not matrix' tests/property/test_incremental.py`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from histories import AS_OF, Rows, Thread, play, random_threads
from place import Place
from rebuilding import Bench, differences

from pipelines.building.build import Sla

from .test_metrics_oracle import BARE, CONFIGURED, parsed

FEW, MANY = 2, 200
ONLY = os.environ.get("DOBLECHECK_HISTORY")
MESSAGES = 120
LATE = {"status", "kapso_status", "kapso_statuses", "phone_number", "wa_id", "original_message_id"}
"""Columns that an earlier version of a row does not have yet."""

Row = dict[str, Any]
Named = tuple[str, Row]


@pytest.fixture(scope="module")
def template(
    new_place: Callable[[Path], Place], tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, Bench]:
    """Warehouses in which an empty build has passed, with office hours and without."""
    benches = {}
    for is_configured in (True, False):
        folder = tmp_path_factory.mktemp("template")
        benches[is_configured] = Bench(new_place(folder).loosened(), **options(is_configured))
        benches[is_configured].build(AS_OF)
    return benches


def options(is_configured: bool) -> dict[str, Any]:
    rules = CONFIGURED if is_configured else BARE
    return {
        "timezone": rules.timezone,
        "business_hours": {name: parsed(hours) for name, hours in rules.hours.items()},
        "sla": {name: Sla(**vars(sla)) for name, sla in rules.slas.items()},
    }


@pytest.mark.parametrize("number", range(FEW))
def test_a_build_of_what_is_new_equals_a_full_rebuild(number, template, tmp_path):
    assert_equal(number, template, tmp_path)


@pytest.mark.matrix
@pytest.mark.parametrize("number", [int(ONLY)] if ONLY else range(FEW, MANY))
def test_a_build_of_what_is_new_equals_a_full_rebuild_always(number, template, tmp_path):
    assert_equal(number, template, tmp_path)


def assert_equal(number: int, template: dict[bool, Bench], folder: Path) -> None:
    """Let a history arrive in batches with a build after each, then build everything."""
    rng = random.Random(number)
    bench = template[number % 2 == 0].copy(folder / "incremental")
    rows = [(table, row) for table, found in history(number).items() for row in found]
    rng.shuffle(rows)
    arrivals = Arrivals(bench, rng)
    for batch in cut(rows, rng, 3):
        arrivals.take(batch)
        as_of = AS_OF + timedelta(hours=rng.choice((-900, -26, -1, 0, 0, 1, 30, 200)))
        built = bench.build(as_of)
        assert not built.is_full
    before = bench.tables()
    assert bench.build(as_of, full=True).is_full
    assert not differences(before, bench.tables()), f"DOBLECHECK_HISTORY={number}"


def history(number: int) -> Rows:
    """A nasty history of one account, or of one in each room: ids of several accounts are alike,
    and what is alike is recomputed together, which would hide what is forgotten."""
    keep: Callable[[Thread], bool] = (
        lambda thread: (thread.provider, thread.account) == ("kapso", "default"),
        lambda thread: (thread.provider, thread.account) == ("waspy", "norte"),
        lambda thread: thread.account == "default",
    )[number % 3]
    share = 2 if number % 3 == 2 else 4
    return play([t for t in random_threads(1000 + number, MESSAGES * share) if keep(t)])


def cut(rows: list[Named], rng: random.Random, parts: int) -> Iterator[list[Named]]:
    """The rows in so many batches of uneven sizes."""
    places = sorted(rng.randrange(len(rows) + 1) for _ in range(parts - 1))
    for start, end in zip([0, *places], [*places, len(rows)], strict=True):
        yield rows[start:end]


class Arrivals:
    """How rows come in: early versions first, twice, again, and some are erased."""

    def __init__(self, bench: Bench, rng: random.Random) -> None:
        self._bench, self._rng = bench, rng
        self._there: list[Named] = []
        self._unfinished: list[Named] = []

    def take(self, batch: list[Named]) -> None:
        finished, self._unfinished = self._unfinished, []
        added, replaced, erased = [], [], []
        for table, row in batch:
            version = row
            if self._rng.random() < 0.3 and LATE & row.keys():
                version = row | dict.fromkeys(LATE & row.keys())
                self._unfinished.append((table, row))
            added.append((table, version))
            if table.endswith(".messages") and self._rng.random() < 0.05:
                later = row["fetched_at"] + timedelta(seconds=self._rng.choice((-1, 0, 1)))
                added.append((table, row | {"fetched_at": later}))
        for table, row in finished:
            (replaced if self._rng.random() < 0.9 else self._unfinished).append((table, row))
        for table, row in self._there:
            if self._rng.random() < 0.04:
                erased.append((table, row))
        self._there += batch
        self._bench.erase(erased)
        self._bench.replace(replaced)
        self._bench.add(added)
