"""What only the Waspy room does: conversations read one by one, drifting contacts, states seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from place import Place

from pipelines.errors import Unavailable
from pipelines.providers import find
from pipelines.providers.waspy.messages import CLOSED_AFTER
from pipelines.providers.waspy.readings import OLDER, RECENT, START, Checkpoint, Reading
from pipelines.providers.waspy.simulator_rows import agent_id
from pipelines.providers.waspy.simulator_story import conversation_id, message_id
from pipelines.providers.waspy.tables import MESSAGE_CURSORS
from pipelines.reading.landing import Lander
from pipelines.simulation import Asked, Change, Fault, expired_cursor, instead
from pipelines.world import Message, StatusChange, Thread, ThreadChange, World

from .conftest import Shop

WASPY = next(room for room in find() if room.name == "waspy")


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOT_FOUND = instead({"error": {"code": "NOT_FOUND"}}, status=404)


@pytest.fixture
def shop(small_world: World, tmp_path: Path) -> Shop:
    return Shop(WASPY, small_world, Place(tmp_path))


def messages_asked(app: Any) -> int:
    return sum(seen.path.endswith("/messages") for seen in app.state.requests)


def last_messages(shop: Shop) -> set[tuple[Any, ...]]:
    """What the conversation list tells of each conversation's messages."""
    told = ("last_message_at", "last_message_status", "last_message_direction")
    rows = shop.rows("conversations").items()
    return {(identity, *(row[name] for name in told)) for identity, row in rows}


def long_talk(world: World, messages: int) -> World:
    """A world in which all that was said, was said in one conversation; it ends long ago, but for
    one message that stays on its way. One message a minute: a status changes in between."""
    thread = world.threads[0]
    end = world.ends_at - 20 * DAY
    start = end - messages * timedelta(minutes=1)
    said = [
        replace(
            world.messages[i],
            direction="outbound",
            author="agent",
            channel_id=thread.channel_id,
            contact_id=thread.contact_id,
            occurred_at=start + i * timedelta(minutes=1),
            inserted_at=start + i * timedelta(minutes=1),
            statuses=(StatusChange("read", start + i * timedelta(minutes=1)),),
        )
        for i in range(messages)
    ]
    return replace(world, messages=tuple(said), threads=(replace(thread, created_at=start),))


def statuses(shop: Shop) -> dict[str, str]:
    return {identity: row["status"] for identity, row in shop.rows("messages").items()}


def truth(shop: Shop) -> dict[str, str]:
    """The statuses as the provider knows them at the clock's time."""
    return truth_at(shop, shop.clock.now)


def truth_at(shop: Shop, now: datetime) -> dict[str, str]:
    return {message_id(m): m.status_at(now) for m in shop.world.messages if m.inserted_at <= now}


def asked_again(shop: Shop, after: timedelta, **order: Any) -> list[str]:
    """The paths of messages that a sync asks for, so long after the clock's time."""
    app = shop.app()
    shop.sync(app, after=after, **order)
    return [seen.path for seen in app.state.requests if seen.path.endswith("/messages")]


def open_ends(shop: Shop, younger_than: timedelta) -> set[str]:
    """Conversations with a message that may still be delivered or read."""
    return {
        row["conversation_id"]
        for row in young_messages(shop, younger_than)
        if row["direction"] == "outbound" and row["status"] in ("pending", "sent", "delivered")
    }


def going_on(shop: Shop, younger_than: timedelta) -> set[str]:
    """Conversations in which something was said."""
    return {row["conversation_id"] for row in young_messages(shop, younger_than)}


def young_messages(shop: Shop, younger_than: timedelta) -> list[dict[str, Any]]:
    since = shop.clock.now - younger_than
    rows = shop.rows("messages").values()
    return [row for row in rows if datetime.fromisoformat(row["created_at"]) >= since]


def stored_late(message: Message, at: datetime) -> Message:
    return replace(message, inserted_at=at)


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


def test_a_status_that_changes_unseen_is_read_within_the_hour_while_the_message_is_young(
    shop: Shop,
) -> None:
    end = shop.clock.now
    shop.clock.now = end - timedelta(hours=1)
    shop.sync()
    shop.clock.now = end
    shop.sync()
    young = {
        message_id(m)
        for m in shop.world.messages
        if m.direction == "outbound" and m.occurred_at >= end - DAY
    }
    told, known = truth(shop), statuses(shop)
    assert {i: known[i] for i in young} == {i: told[i] for i in young}


def test_what_is_not_final_is_read_again_the_older_the_less_often(shop: Shop) -> None:
    shop.sync()
    day, week, month = (len(open_ends(shop, days * DAY)) for days in (1, 7, 30))
    assert 0 < day < week < month
    assert len(asked_again(shop, timedelta(minutes=59))) == 0
    assert len(asked_again(shop, HOUR)) == len(open_ends(shop, DAY - HOUR))
    assert len(asked_again(shop, timedelta(minutes=119))) == 0
    daily = open_ends(shop, 6 * DAY) | going_on(shop, 2 * DAY)
    assert len(asked_again(shop, DAY)) == len(daily)
    assert len(asked_again(shop, 7 * DAY)) == len(open_ends(shop, 23 * DAY))
    assert asked_again(shop, 40 * DAY) == []


def test_a_refresh_that_is_cut_off_goes_on_where_it_was(shop: Shop) -> None:
    shop.sync()
    due = len(open_ends(shop, 6 * DAY) | going_on(shop, 2 * DAY))
    only = frozenset({"messages"})
    left = iter(range(3))
    first = asked_again(shop, DAY, resources=only, is_stopping=lambda: next(left, None) is None)
    rest = asked_again(shop, DAY, resources=only)
    assert 0 < len(first) < due
    assert len(first) + len(rest) == due
    assert len({*first, *rest}) == due
    assert asked_again(shop, DAY, resources=only) == []


def test_messages_that_are_stored_late_are_there_within_a_day(
    small_world: World, tmp_path: Path
) -> None:
    end = small_world.ends_at
    kept_back = [
        m.id
        for m in small_world.messages
        if end - 40 * HOUR <= m.occurred_at < end - HOUR and m.direction == "inbound"
    ][::2]
    late = {
        m.id: stored_late(m, end + timedelta(minutes=1)) if m.id in kept_back else m
        for m in small_world.messages
    }
    shop = Shop(WASPY, replace(small_world, messages=tuple(late.values())), Place(tmp_path))
    shop.sync()
    missing = truth_at(shop, end + DAY).keys() - shop.rows("messages").keys()
    assert len(missing) == len(kept_back) >= 20
    shop.clock.now = end + DAY
    shop.sync()
    assert shop.rows("messages").keys() == truth(shop).keys()


def test_a_message_that_was_stored_late_comes_with_the_next_news_of_a_long_conversation(
    small_world: World, tmp_path: Path
) -> None:
    world = long_talk(small_world, 650)
    *said, news = world.messages
    ends_at = news.occurred_at
    old, late = said[10], said[480]
    for message in (old, late):
        said[said.index(message)] = stored_late(message, ends_at)
    shop = Shop(WASPY, replace(world, messages=(*said, news)), Place(tmp_path))
    shop.clock.now = ends_at - timedelta(seconds=30)
    shop.sync()
    assert not {message_id(late), message_id(news)} & statuses(shop).keys()
    shop.clock.now = ends_at
    # Of seven pages, those of the last three days: the seventh began less than four hours ago.
    asked = asked_again(shop, 3 * DAY - timedelta(minutes=200))
    assert len(asked) == 3
    assert {message_id(late), message_id(news)} <= statuses(shop).keys()
    assert message_id(old) not in statuses(shop)


def test_a_refresh_leaves_alone_what_tells_that_there_is_news(shop: Shop) -> None:
    shop.sync()
    before = shop.rows("message_cursors")
    assert asked_again(shop, HOUR)
    assert shop.rows("message_cursors") == before


def test_a_refresh_reads_from_the_page_of_the_oldest_message_that_is_not_final(
    small_world: World, tmp_path: Path
) -> None:
    world = long_talk(small_world, 650)
    late = world.messages[420]
    sent = StatusChange("sent", late.occurred_at)
    read = StatusChange("read", world.ends_at - 19 * DAY)
    slow = replace(late, statuses=(sent, read))
    world = replace(world, messages=(*world.messages[:420], slow, *world.messages[421:]))
    shop = Shop(WASPY, world, Place(tmp_path))
    shop.clock.now = world.ends_at - 19 * DAY - HOUR
    shop.sync()
    assert statuses(shop)[message_id(slow)] == "sent"
    shop.clock.now = world.ends_at - 19 * DAY
    # Of seven pages, and too late for messages that are stored late.
    assert len(asked_again(shop, 4 * DAY)) == 3
    assert statuses(shop) == truth(shop)
    assert shop.rows("messages") == fresh_rows(
        Shop(WASPY, world, Place(tmp_path / "fresh"), shop.clock)
    )
    assert asked_again(shop, 9 * DAY) == []


def fresh_rows(shop: Shop) -> dict[str, dict[str, Any]]:
    return shop.rows_after_sync("messages")


def test_checkpoints_stay_few_and_never_lead_past_what_is_looked_for() -> None:
    reading = Reading("c")
    for number in range(200):
        reading = reading.reached(Checkpoint(f"c{number}", number * 100, f"{number:03}"), "")
        assert len(reading.checkpoints) <= OLDER + RECENT
    assert Reading.from_row("c", as_stored(reading)) == reading
    assert reading.before("199.5").position == 19900
    assert reading.before("199").position == 19800  # it may stand at the end of the page before
    for number in range(200):
        assert reading.before(f"{number:03}.5").position <= number * 100
    assert reading.before("000") == START
    assert Reading("c").before("100") == START


def as_stored(reading: Reading) -> dict[str, str | None]:
    lander = Lander(MESSAGE_CURSORS)
    record = lander.record(reading.to_row(), datetime.now().astimezone())
    return dict(zip(MESSAGE_CURSORS.columns, record.values, strict=True))


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


def states_of(shop: Shop, conversation: str) -> list[str]:
    """Every status a conversation was seen with, in order."""
    states = shop.rows("conversation_states").values()
    mine = [row for row in states if row["conversation_id"] == conversation]
    return [row["status"] for row in sorted(mine, key=lambda row: row["observed_from"])]


def quiet_thread(world: World) -> Thread:
    """A thread that has been open for long and quiet for days."""
    spoken = {m.contact_id for m in world.messages if m.occurred_at > world.ends_at - 3 * DAY}
    return next(
        thread
        for thread in world.threads
        if thread.contact_id not in spoken
        and (change := thread.change_at(world.ends_at - DAY))
        and change.status == "open"
    )


def with_thread(world: World, thread: Thread) -> World:
    others = (t for t in world.threads if t.id != thread.id)
    return replace(world, threads=(*others, thread))


def test_a_quiet_conversation_that_is_closed_or_handed_over_is_seen_within_the_hour(
    shop: Shop,
) -> None:
    world, end = shop.world, shop.clock.now
    thread = quiet_thread(world)
    early = tuple(change for change in thread.changes if change.at <= end - DAY)
    handed = ThreadChange(end - timedelta(minutes=50), "pending", world.agents[-1].id)
    closed = ThreadChange(end - timedelta(minutes=40), "closed", world.agents[-1].id)
    identity = conversation_id(thread)
    shop.clock.now = end - HOUR
    for change in (handed, closed):
        shop.world = with_thread(world, replace(thread, changes=(*early, change)))
        shop.clock.now = change.at - timedelta(minutes=5)
        shop.sync()
        known = states_of(shop, identity)
        shop.clock.now = change.at + timedelta(minutes=5)
        shop.sync(after=HOUR)
        assert states_of(shop, identity) == [*known, change.status]
        row = shop.rows("conversations")[identity]
        assert (row["status"], row["assigned_to"]) == (change.status, agent_id(change.agent_id))


def test_a_live_conversation_that_was_erased_is_noted_once_and_is_not_closed(shop: Shop) -> None:
    world = shop.world
    thread = quiet_thread(world)
    identity = conversation_id(thread)
    shop.sync()
    before = shop.rows("conversations")[identity]
    shop.world = world.without(contacts=[thread.contact_id])
    for hours in (1, 2, 3):
        app = shop.app()
        assert shop.sync(app, after=hours * HOUR).is_ok
        asked = [seen.path for seen in app.state.requests if seen.path.endswith(identity)]
        assert len(asked) == (1 if hours == 1 else 0)
    assert states_of(shop, identity) == ["open", "deleted"]
    assert shop.rows("conversations")[identity] == before
    shop.world = world
    shop.sync(after=5 * HOUR)
    assert states_of(shop, identity) == ["open", "deleted", "open"]


def test_a_sweep_costs_its_two_lists_and_no_more(shop: Shop) -> None:
    shop.sync()
    app = shop.app()
    shop.sync(app, after=HOUR, resources=frozenset({"conversations"}))
    swept = [seen.query.get("status") for seen in app.state.requests]
    assert sorted(filter(None, swept)) == ["open", "pending"]
    again = shop.app()
    shop.sync(again, after=HOUR, resources=frozenset({"conversations"}))
    assert len(again.state.requests) == 1


def test_a_sweep_that_is_cut_off_concludes_nothing_and_is_made_again(shop: Shop) -> None:
    shop.sync()
    fault = Fault(instead({"data": None}), path="/conversations", request=3, times=None)
    report = shop.sync(shop.app(faults=[fault]), after=HOUR)
    assert not report.is_ok
    assert "deleted" not in {row["status"] for row in shop.rows("conversation_states").values()}
    app = shop.app()
    assert shop.sync(app, after=HOUR + timedelta(minutes=1)).is_ok
    assert {"open", "pending"} <= {seen.query.get("status") for seen in app.state.requests}
