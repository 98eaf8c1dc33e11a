"""Kapso's lists over a month of a made-up shop, and what their tests ask and find."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from place import Place
from starlette.applications import Starlette

from pipelines.loading.sync import Report
from pipelines.providers.kapso import PROVIDER
from pipelines.simulation import Asked, Change, broken
from pipelines.world import World, make_world

from ..conftest import ENDS_AT, Shop

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEGACY = "/api/v1/"


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=3, ends_at=ENDS_AT, days=33, conversations_per_day=15)


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Shop:
    return Shop(PROVIDER, world, Place(tmp_path))


def only(*names: str) -> frozenset[str]:
    return frozenset(names)


def asked_for(app: Starlette, part: str) -> list[str]:
    return [seen.path for seen in app.state.requests if part in seen.path]


def well(report: Report) -> Report:
    assert {name: str(o.error) for name, o in report.outcomes.items() if o.error} == {}
    assert [name for name, o in report.outcomes.items() if not o.is_complete] == []
    return report


def stop_after(pages: int) -> Callable[[], bool]:
    left = iter(range(pages))
    return lambda: next(left, None) is None


def answer_404(part: str) -> Callable[[Asked, int], Change | None]:
    return lambda asked, _: broken(404) if part in asked.path else None
