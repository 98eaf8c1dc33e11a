"""Kapso's messages: imported history stands where it was stored, with times of long ago."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pipelines.world import World

from ..conftest import ENDS_AT, Shop
from .conftest import DAY, HOUR, only, well

MESSAGES = only("messages")


@pytest.fixture(scope="module")
def world(small_world: World) -> World:
    return small_world


def with_import(world: World, stored_at: datetime, rows: int) -> World:
    """The same world, whose oldest messages were imported then, from half a year before."""
    imported = [
        replace(
            message,
            occurred_at=message.occurred_at - 170 * DAY,
            inserted_at=stored_at,
            is_imported=True,
            statuses=(),
        )
        for message in world.messages[:rows]
    ]
    return replace(world, messages=(*imported, *world.messages[rows:]))


def young(shop: Shop) -> dict[str, str]:
    """id → status of the messages of the last hours."""
    since = str(int((shop.clock.now - 20 * HOUR).timestamp()))
    rows = shop.rows("messages").values()
    return {row["id"]: row["kapso_status"] for row in rows if row["timestamp"] >= since}


def test_imported_history_does_not_end_the_refresh_of_what_stands_below_it(shop: Shop) -> None:
    shop.clock.now = ENDS_AT - 6 * HOUR
    shop.world = with_import(shop.world, shop.clock.now - timedelta(minutes=1), rows=250)
    well(shop.sync(resources=MESSAGES))
    before = young(shop)
    shop.clock.now = ENDS_AT
    well(shop.sync(resources=MESSAGES))
    found = young(shop)
    well(shop.sync(resources=MESSAGES, is_full=True))
    assert found == young(shop)
    assert any(before.get(identity, status) != status for identity, status in found.items())


def test_an_imported_message_at_the_head_makes_no_refresh_deeper(shop: Shop) -> None:
    requests = []
    for world in (shop.world, with_import(shop.world, ENDS_AT, rows=5)):
        shop.world = world
        shop.sync(resources=MESSAGES, is_full=True)
        app = shop.app()
        shop.sync(app, resources=MESSAGES, after=2 * HOUR)
        requests.append(len(app.state.requests))
    assert requests[0] == requests[1] < 5


def test_what_is_left_of_a_refresh_is_not_guessed(shop: Shop) -> None:
    messages = only("conversations", "messages")
    first = shop.sync(resources=messages, chunk_rows=100, seconds=0)
    assert first.left is not None
    assert (first.left or 0) >= 2
    well(shop.sync(resources=messages))
    refresh = shop.sync(resources=messages, after=8 * DAY, seconds=0)
    assert refresh.outcomes["messages"].is_complete
    assert refresh.has_more
    assert refresh.left is None
