"""Messages are read conversation by conversation, where the list tells of news."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from pipelines.errors import Unavailable
from pipelines.provider import Table
from pipelines.providers.waspy.messages import CLOSED_AFTER
from pipelines.providers.waspy.simulator_story import conversation_id
from pipelines.providers.waspy.tables import MESSAGES
from pipelines.reading.pull import Pull
from pipelines.simulation import Asked, Change, Fault, expired_cursor, instead
from pipelines.warehouse.stored import StoredRows

from ..conftest import Shop
from .conftest import NOT_FOUND, messages_asked


def last_messages(shop: Shop) -> set[tuple[Any, ...]]:
    """What the conversation list tells of each conversation's messages."""
    told = ("last_message_at", "last_message_status", "last_message_direction")
    rows = shop.rows("conversations").items()
    return {(identity, *(row[name] for name in told)) for identity, row in rows}


def test_only_conversations_with_news_are_read_again_one_request_each(shop: Shop) -> None:
    end = shop.clock.now
    shop.clock.now = end - timedelta(hours=2)
    shop.sync()
    before = last_messages(shop)
    shop.clock.now = end - timedelta(minutes=61)  # before any refresh is due
    app = shop.app()
    shop.sync(app)
    moved = last_messages(shop) - before
    assert moved
    assert messages_asked(app) == len(moved)


def test_a_long_history_is_found_a_few_times_and_read_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, pulls = [], []
    moved, pull_moved = StoredRows.moved, Pull.moved

    def counted(stored: StoredRows, *args: Any, **options: Any) -> Any:
        asked.append(args)
        return moved(stored, *args, **options)

    def in_a_pull(pull: Pull, *args: Any, **options: Any) -> Any:
        pulls.append(args)
        return pull_moved(pull, *args, **options)

    monkeypatch.setattr(StoredRows, "moved", counted)
    monkeypatch.setattr(Pull, "moved", in_a_pull)
    app = shop.app()
    assert shop.sync(app, chunk_rows=40).is_ok
    conversations = len(shop.rows("conversations"))
    assert len(shop.rows("messages")) == len(shop.world.messages)
    assert messages_asked(app) == conversations
    assert len(pulls) > 3 * len(asked)
    assert len(asked) <= 2 + conversations // (40 - 10)


def test_a_warehouse_is_asked_which_messages_it_has_by_the_chunk(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    hashes, chunk = StoredRows.hashes, 80

    def counted(stored: StoredRows, table: Table, ids: Sequence[str]) -> Any:
        if ids and table is MESSAGES:
            asked.append(len(ids))
        return hashes(stored, table, ids)

    monkeypatch.setattr(StoredRows, "hashes", counted)
    assert shop.sync(chunk_rows=chunk).is_ok
    messages = len(shop.rows("messages"))
    assert sum(asked) == messages
    assert len(asked) <= 3 * messages / chunk < len(shop.rows("conversations"))
    asked.clear()
    assert shop.sync(chunk_rows=chunk, is_full=True).changed == 0
    assert sum(asked) == messages
    assert len(asked) <= 3 * messages / chunk


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
            "update raw_waspy.message_cursors set conversation_mark = '', "
            """checkpoints = '[["old", 3, "2000"]]'"""
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
    thread = shop.world.threads[0]
    gone, said = conversation_id(thread), (thread.channel_id, thread.contact_id)

    def deleted(asked: Asked, count: int) -> Change | None:
        return NOT_FOUND if f"/conversations/{gone}" in asked.path else None

    app = shop.app(faults=deleted)
    report = shop.sync(app)
    assert report.is_ok
    left = sum((m.channel_id, m.contact_id) != said for m in shop.world.messages)
    assert len(shop.rows("messages")) == left < len(shop.world.messages)
    assert sum(gone in seen.path for seen in app.state.requests) == 2
    again = shop.app(faults=deleted)
    shop.sync(again)
    assert not any(gone in seen.path for seen in again.state.requests)


def test_messages_not_found_of_a_conversation_that_is_there_are_told_and_asked_for_again(
    shop: Shop,
) -> None:
    """A route that is gone for an hour looks the same as a conversation that is gone."""
    report = shop.sync(shop.app(faults=[Fault(NOT_FOUND, path="/messages", times=1)]))
    assert isinstance(report.outcomes["messages"].error, Unavailable)
    assert 0 < len(shop.rows("messages")) < len(shop.world.messages)
    assert shop.sync().is_ok
    assert len(shop.rows("messages")) == len(shop.world.messages)


def test_a_closed_list_of_messages_is_not_asked_for_every_conversation(shop: Shop) -> None:
    app = shop.app(faults=[Fault(NOT_FOUND, path="/messages", times=None)])
    report = shop.sync(app)
    assert isinstance(report.outcomes["messages"].error, Unavailable)
    assert messages_asked(app) < CLOSED_AFTER + 8 < len(shop.rows("conversations"))
