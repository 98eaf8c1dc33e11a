"""Messages are read conversation by conversation, where the list tells of news."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pipelines.errors import ProviderError, Unavailable, Unreachable
from pipelines.provider import Table
from pipelines.providers.waspy import client
from pipelines.providers.waspy.messages import CLOSED_AFTER
from pipelines.providers.waspy.simulator_story import conversation_id
from pipelines.providers.waspy.tables import MESSAGES
from pipelines.reading.holding import CHUNK_ROWS
from pipelines.reading.pull import Pull
from pipelines.reading.retrying import TRIES
from pipelines.simulation import (
    Answer,
    Asked,
    Change,
    Fault,
    Faults,
    broken,
    expired_cursor,
    instead,
    with_rows,
)
from pipelines.warehouse.stored import StoredRows
from pipelines.world import Thread

from ..conftest import Shop
from .conftest import DAY, NOT_FOUND, broken_messages, messages_asked

NO_ROWS = instead({"data": [], "meta": {"hasMore": False}})


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
    asked, notes = [], []
    for _ in range(5):
        app = shop.app(faults=[Fault(NO_ROWS, path=path, times=None)])
        notes.append(shop.sync(app).outcomes["messages"].note)
        asked.append(messages_asked(app))
    assert asked == [1, 1, 1, 0, 0]
    assert [bool(note) for note in notes] == [False, False, True, True, True]


def test_a_message_that_does_not_come_is_tried_once_in_a_run(shop: Shop) -> None:
    conversation = next(iter(shop.rows_after_sync("conversations")))
    with shop.warehouse.connect() as connection:
        for table in ("messages", "message_cursors"):
            connection.execute(f"delete from raw_waspy.{table}")
    path = f"/conversations/{conversation}/messages"
    app = shop.app(faults=[Fault(NO_ROWS, path=path, times=None)])
    assert shop.sync(app, chunk_rows=100).is_ok  # which takes several pulls
    asked = [seen.path for seen in app.state.requests if seen.path.endswith(path)]
    assert len(asked) == 1
    assert shop.rows("message_cursors")[conversation]["attempts"] == "1"
    shop.sync()
    assert shop.rows("message_cursors")[conversation]["attempts"] == "0"


def test_a_message_that_names_no_conversation_is_in_the_one_that_was_asked_for(shop: Shop) -> None:
    def unnamed(_: Asked, answer: Answer) -> Answer:
        body = re.sub(rb'"conversationId":"[^"]+"', b'"conversationId":null', answer.body)
        return replace(answer, body=body)

    faults = [Fault(unnamed, path="/messages", times=None)]
    shop.sync(shop.app(faults=faults))
    told = {row["conversation_id"] for row in shop.rows("messages").values()}
    assert told
    assert told <= shop.rows("conversations").keys()


def test_a_conversation_that_was_given_up_is_read_again_with_its_next_news(shop: Shop) -> None:
    conversation = next(iter(shop.rows_after_sync("conversations")))
    with shop.warehouse.connect() as connection:
        connection.execute(
            "update raw_waspy.message_cursors set conversation_mark = 'before', synced_to = '', "
            "attempts = '3' where id = $1",
            [conversation],
        )
    path = f"/conversations/{conversation}/messages"
    app = shop.app(faults=[Fault(NO_ROWS, path=path, times=None)])
    shop.sync(app)
    assert messages_asked(app) > 0
    assert shop.rows("message_cursors")[conversation]["conversation_mark"] == ""
    shop.sync()
    assert shop.sync().outcomes["messages"].note is None


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


def test_a_message_cursor_that_leads_to_nothing_costs_a_reading_from_the_start(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LIMIT", 5)
    end = shop.clock.now
    shop.clock.now = end - DAY
    shop.sync()
    shop.clock.now = end - timedelta(minutes=1)
    given: set[str | None] = set()  # cursors live as long as the walk they were given in

    def forgets(asked: Asked, count: int) -> Change | None:
        return forgetting(given) if asked.path.endswith("/messages") else None

    assert shop.sync(shop.app(faults=forgets)).is_ok
    said = [m for m in shop.world.messages if m.inserted_at <= shop.clock.now]
    assert len(shop.rows("messages")) == len(said)


def forgetting(given: set[str | None]) -> Change:
    """The page, and what cursor it gave; an empty one for a cursor that was not given."""

    def change(asked: Asked, answer: Answer) -> Answer:
        if asked.cursor and asked.cursor not in given:
            return NO_ROWS(asked, answer)
        given.add(answer.cursor)
        return answer

    return change


def test_cursors_of_a_load_that_never_completed_are_not_trusted(shop: Shop) -> None:
    shop.sync()
    with shop.warehouse.connect() as connection:
        connection.execute("update raw_waspy._dlt_loads set status = 1")
    app = shop.app()
    shop.sync(app)
    assert messages_asked(app) == len(shop.rows("conversations"))


def test_a_conversation_that_can_not_be_decoded_keeps_its_messages(shop: Shop) -> None:
    thread = shop.world.threads[0]
    lost = conversation_id(thread)
    end = shop.clock.now
    said = [m for m in shop.world.messages if (m.channel_id, m.contact_id) == thread_of(thread)]
    shop.clock.now = said[-1].inserted_at - timedelta(seconds=1)
    asked = []
    for now in (shop.clock.now, shop.clock.now, end):
        shop.clock.now = now
        app = shop.app(faults=cut_preview(lost))
        assert shop.sync(app).outcomes["messages"].is_complete
        asked.append(sum(seen.path.endswith(f"/{lost}/messages") for seen in app.state.requests))
    assert lost not in shop.rows("conversations")
    assert asked == [1, 0, 1]
    assert len(shop.rows("messages")) == len(shop.world.messages)


def test_a_conversation_that_can_not_even_be_named_is_told(shop: Shop) -> None:
    fault = Fault(with_rows(b'{"id":NaN}'), path="/conversations", times=TRIES)
    outcome = shop.sync(shop.app(faults=[fault])).outcomes["messages"]
    assert not outcome.is_complete
    assert outcome.note
    assert len(shop.rows("messages")) == len(shop.world.messages)


def cut_preview(conversation: str) -> Faults:
    """The row of a conversation holds half an emoji."""
    identity = b'"id":"%s"' % conversation.encode()

    def cut(_: Asked, answer: Answer) -> Answer:
        body = answer.body.replace(identity, identity + rb',"lastMessagePreviewCut":"\ud83d"')
        return replace(answer, body=body)

    return lambda asked, _: None if asked.path.endswith("/messages") else cut


def thread_of(thread: Thread) -> tuple[str, str]:
    return thread.channel_id, thread.contact_id


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


@pytest.mark.parametrize(
    ("change", "tries", "kind"), [(NOT_FOUND, 1, Unavailable), (broken(500), TRIES, Unreachable)]
)
def test_a_list_of_messages_that_never_answers_is_not_asked_for_every_conversation(
    shop: Shop, change: Change, tries: int, kind: type[ProviderError]
) -> None:
    app = shop.app(faults=[Fault(change, path="/messages", times=None)])
    report = shop.sync(app)
    assert isinstance(report.outcomes["messages"].error, kind)
    assert messages_asked(app) / tries < CLOSED_AFTER + 8 < len(shop.rows("conversations"))


@pytest.mark.parametrize("chunk_rows", [CHUNK_ROWS, 100])
def test_conversations_whose_messages_can_not_be_read_hide_no_other(
    shop: Shop, chunk_rows: int
) -> None:
    shop.sync(resources=frozenset({"conversations"}))
    last = {i: row["last_message_at"] for i, row in shop.rows("conversations").items()}
    talks = sorted((i for i in last if last[i]), key=lambda i: last[i])
    lost = {*talks[-4:]}  # one per worker
    report = shop.sync(shop.app(faults=broken_messages(*lost)), chunk_rows=chunk_rows)
    assert isinstance(report.outcomes["messages"].error, Unreachable)
    assert not report.outcomes["messages"].is_complete
    read = {row["conversation_id"] for row in shop.rows("messages").values()}
    assert read == set(talks) - lost
    assert shop.sync().is_ok
    assert len(shop.rows("messages")) == len(shop.world.messages)


def test_a_range_holds_messages_of_a_conversation_that_is_younger_than_they_are(shop: Shop) -> None:
    """The history of a number that was connected later."""
    shop.sync()
    before, end = shop.rows("messages"), shop.clock.now
    span = (end - 9 * DAY, end - 3 * DAY)
    first, last = (time.isoformat()[:19] for time in span)
    held = [r for r in before.values() if first <= r["created_at"][:19] < last]
    # All but one message of each conversation are lost.
    kept = {row["conversation_id"]: row["id"] for row in held}.values()
    lost = [row["id"] for row in held if row["id"] not in kept]
    assert lost
    with shop.warehouse.connect() as connection:
        sql = "delete from raw_waspy.messages where id in (select unnest($1::text[]))"
        connection.execute(sql, [lost])
        connection.execute("update raw_waspy.conversations set created_at = $1", [end.isoformat()])
    assert shop.sync(span=span).is_ok
    assert shop.rows("messages") == before
