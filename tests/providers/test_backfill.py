"""A range read again: what is missing comes back, what is there is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipelines.provider import Provider
from pipelines.providers import find

from .conftest import ENDS_AT, Shop

SPAN = (ENDS_AT - timedelta(days=9), ENDS_AT - timedelta(days=3))


@pytest.fixture(params=[room for room in find() if room.ranged], ids=lambda room: room.name)
def room(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


def forget(shop: Shop, table: str, ids: list[str]) -> None:
    with shop.warehouse.connect() as connection:
        sql = f'delete from {shop.room.schema}."{table}" where id in (select unnest($1::text[]))'
        connection.execute(sql, [ids])


def in_span(shop: Shop) -> set[str]:
    """Wamids of what was written in the range."""
    return {m.id for m in shop.world.messages if SPAN[0] <= m.inserted_at < SPAN[1]}


def wamid(row: dict[str, object]) -> object:
    return row.get("wa_message_id", row["id"])


def test_messages_that_are_missing_in_the_range_come_back_as_they_were(shop: Shop) -> None:
    shop.sync()
    before = shop.rows("messages")
    lost = [i for i, row in before.items() if wamid(row) in in_span(shop)][::5]
    assert lost
    forget(shop, "messages", lost)
    report = shop.sync(span=SPAN, chunk_rows=40)
    assert report.is_ok
    assert not report.has_more
    assert shop.rows("messages") == before


def test_a_range_that_is_whole_is_read_and_written_nothing(shop: Shop) -> None:
    shop.sync()
    before = shop.loads()
    report = shop.sync(span=SPAN)
    assert report.is_ok
    assert report.changed == 0
    assert shop.loads() == before


def test_a_backfill_does_not_move_where_the_next_sync_goes_on(shop: Shop) -> None:
    end = shop.clock.now
    shop.clock.now = end - timedelta(days=6)
    shop.sync()
    shop.clock.now = end
    shop.sync(span=SPAN)
    report = shop.sync()
    assert all(outcome.is_complete for outcome in report.outcomes.values())
    assert len(shop.rows("messages")) == len(shop.world.messages)
