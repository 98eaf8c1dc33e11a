"""A text that was cut in the middle of an emoji: JSON then says half of it, and nobody decodes it.

In a list it costs its row. Asked for by its id, it must not cost the others theirs.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.applications import Starlette

from pipelines.provider import Provider
from pipelines.providers import find
from pipelines.providers.waspy import PROVIDER as WASPY
from pipelines.simulation import Answer, Asked

from .conftest import Shop

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
in_waspy = pytest.mark.parametrize("room", [WASPY], ids=["waspy"])


@pytest.fixture(params=find(), ids=lambda room: room.name)
def room(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


def spoiling(shop: Shop, identity: str) -> Starlette:
    """The simulator; wherever it sends the row with this id, a text ends with half an emoji."""
    mark = b'"id":"%s"' % identity.encode()

    def change(_: Asked, answer: Answer) -> Answer:
        return replace(answer, body=answer.body.replace(mark, mark + rb',"cut":"ok \ud83d"'))

    return shop.app(faults=lambda asked, number: change)


def test_a_contact_that_was_erased_is_marked_as_gone_beside_a_spoiled_one(synced: Shop) -> None:
    first, *_, last = sorted(synced.rows("contacts"))
    contacts = synced.world.contacts
    synced.world = synced.world.without(contacts=[contacts[len(contacts) // 2].id])
    for day in range(1, 4):
        for spoiled in (first, last):
            app = spoiling(synced, spoiled)
            assert synced.sync(app, resources=frozenset({"contacts"}), after=day * DAY).is_ok
    assert len(synced.rows("gone")) == 1
    assert {row["resource"] for row in synced.rows("rejected").values()} == {"contacts"}


@in_waspy
def test_a_conversation_that_is_open_and_spoiled_ends_no_look_at_the_others(synced: Shop) -> None:
    rows = synced.rows("conversations")
    spoiled = next(i for i, row in rows.items() if row["status"] == "open")
    report = synced.sync(spoiling(synced, spoiled), after=2 * HOUR)
    assert report.is_ok
    assert {row["resource"] for row in synced.rows("rejected").values()} >= {"conversations"}


@in_waspy
def test_a_contact_that_a_conversation_names_and_no_list_can_show_is_kept_aside(shop: Shop) -> None:
    shop.sync(resources=frozenset({"conversations"}))
    spoiled = next(row["contact_id"] for row in shop.rows("conversations").values())
    assert shop.sync(spoiling(shop, spoiled)).is_ok
    assert spoiled not in shop.rows("contacts")
    assert "contacts" in {row["resource"] for row in shop.rows("rejected").values()}
