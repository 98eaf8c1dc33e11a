"""What only the Waspy room does: conversations read one by one, drifting contacts, states seen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.providers import find
from pipelines.simulation import Fault, expired_cursor, instead
from pipelines.world import World

from .conftest import Shop

WASPY = next(room for room in find() if room.name == "waspy")


@pytest.fixture
def shop(small_world: World, tmp_path: Path) -> Shop:
    return Shop(WASPY, small_world, tmp_path)


def messages_asked(app: Any) -> int:
    return sum(seen.path.endswith("/messages") for seen in app.state.requests)


def last_messages(shop: Shop) -> set[tuple[Any, ...]]:
    """What the conversation list tells of each conversation's messages."""
    told = ("last_message_at", "last_message_status", "last_message_direction")
    rows = shop.rows("conversations").items()
    return {(identity, *(row[name] for name in told)) for identity, row in rows}


def test_only_conversations_with_news_are_read_again_one_request_each(shop: Shop) -> None:
    end = shop.clock.now
    shop.clock.now = end - timedelta(hours=4)
    shop.sync()
    before = last_messages(shop)
    shop.clock.now = end
    app = shop.app()
    shop.sync(app)
    moved = last_messages(shop) - before
    assert moved
    assert messages_asked(app) == len(moved)


def test_a_conversation_whose_list_promises_more_is_read_again_but_not_for_ever(
    shop: Shop,
) -> None:
    conversation = next(iter(shop.rows_after_sync("conversations")))
    with shop.warehouse.connect() as connection:
        connection.execute(
            "update raw_waspy.message_cursors set conversation_mark = '', synced_to = ''"
            " where id = $1",
            [conversation],
        )
        connection.execute(
            "delete from raw_waspy.messages where conversation_id = $1", [conversation]
        )
    path = f"/conversations/{conversation}/messages"
    nothing = Fault(instead({"data": [], "meta": {"hasMore": False}}), path=path, times=None)
    asked = []
    for _ in range(5):
        app = shop.app(faults=[nothing])
        shop.sync(app)
        asked.append(messages_asked(app))
    assert asked == [1, 1, 1, 0, 0]


def test_a_message_cursor_that_is_refused_costs_a_reading_from_the_start(shop: Shop) -> None:
    shop.sync()
    with shop.warehouse.connect() as connection:
        connection.execute(
            "update raw_waspy.message_cursors set cursor = 'old', position = '3', "
            "conversation_mark = ''"
        )
    report = shop.sync(shop.app(faults=[Fault(expired_cursor, path="/messages", times=None)]))
    assert report.is_ok
    positions = [int(row["position"]) for row in shop.rows("messages").values()]
    assert min(positions) == 0


def test_cursors_of_a_load_that_never_completed_are_not_trusted(shop: Shop) -> None:
    shop.sync()
    with shop.warehouse.connect() as connection:
        connection.execute("update raw_waspy._dlt_loads set status = 1")
    app = shop.app()
    shop.sync(app)
    assert messages_asked(app) == len(shop.rows("conversations"))


def test_a_conversation_deleted_between_list_and_reading_is_left_alone(shop: Shop) -> None:
    gone = Fault(instead({"error": {"code": "NOT_FOUND"}}, status=404), path="/messages", times=1)
    report = shop.sync(shop.app(faults=[gone]))
    assert report.is_ok
    assert len(shop.rows("messages")) < len(shop.world.messages)


def test_every_status_that_was_seen_is_kept_with_when_it_was_first_seen(shop: Shop) -> None:
    end = shop.clock.now
    for days in (6, 3, 0):
        shop.clock.now = end - timedelta(days=days)
        shop.sync()
    states = shop.rows("conversation_states")
    conversations = shop.rows("conversations")
    assert {row["conversation_id"] for row in states.values()} == conversations.keys()
    assert len(states) > len(conversations)
    newest: dict[str, Any] = {}
    for row in sorted(states.values(), key=lambda row: row["observed_from"]):
        newest[row["conversation_id"]] = (row["status"], row["assigned_to"])
    assert newest == {i: (row["status"], row["assigned_to"]) for i, row in conversations.items()}


@pytest.mark.parametrize("order", ["created_desc", "created_asc", "last_message_desc"])
def test_contacts_are_whole_in_any_order_and_cost_little_when_nothing_came(
    shop: Shop, order: str
) -> None:
    end = shop.clock.now
    shop.clock.now = end - timedelta(hours=3)
    shop.sync(shop.app(contacts_order=order))
    shop.clock.now = end
    shop.sync(shop.app(contacts_order=order))
    assert len(shop.rows("contacts")) == len(shop.world.contacts)
    app = shop.app(contacts_order=order)
    shop.sync(app)
    assert sum(seen.path.endswith("/contacts") for seen in app.state.requests) == 1


@pytest.mark.parametrize(
    "settings",
    [{"nulls": "first"}, {"last_cursor": "null"}, {"content_key": "body"}, {"with_authors": False}],
    ids=str,
)
def test_what_the_documentation_leaves_open_is_read_either_way(
    shop: Shop, settings: dict[str, Any]
) -> None:
    assert shop.sync(shop.app(**settings)).is_ok
    assert len(shop.rows("messages")) == len(shop.world.messages)
    app = shop.app(**settings)
    assert shop.sync(app).changed == 0
    assert len(app.state.requests) <= 10
