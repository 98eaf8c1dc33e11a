"""What changes or is stored late without being told is found by reading again on a schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from place import Place

from pipelines.errors import Unreachable
from pipelines.failpoint import arm
from pipelines.providers.waspy import PROVIDER
from pipelines.providers.waspy.readings import OLDER, RECENT, START, Checkpoint, Reading
from pipelines.providers.waspy.simulator_story import conversation_id, message_id
from pipelines.providers.waspy.tables import MESSAGE_CURSORS
from pipelines.reading.landing import Lander
from pipelines.world import Message, StatusChange, World, make_world

from ..conftest import ENDS_AT, Shop
from .conftest import DAY, HOUR, broken_messages


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
    daily = open_ends(shop, 6 * DAY) | going_on(shop, 3 * DAY)
    assert len(asked_again(shop, DAY)) == len(daily)
    assert len(asked_again(shop, 7 * DAY)) == len(open_ends(shop, 23 * DAY))
    assert asked_again(shop, 40 * DAY) == []


def test_a_refresh_that_is_cut_off_goes_on_where_it_was(shop: Shop) -> None:
    shop.sync()
    due = len(open_ends(shop, 6 * DAY) | going_on(shop, 3 * DAY))
    only = frozenset({"messages"})
    left = iter(range(3))
    first = asked_again(shop, DAY, resources=only, is_stopping=lambda: next(left, None) is None)
    rest = asked_again(shop, DAY, resources=only)
    assert 0 < len(first) < due
    assert len(first) + len(rest) == due
    assert len({*first, *rest}) == due
    assert asked_again(shop, DAY, resources=only) == []


def test_a_full_sync_that_takes_several_runs_comes_to_its_end(tmp_path: Path) -> None:
    world = make_world(seed=11, ends_at=ENDS_AT, days=3, conversations_per_day=4)
    shop = Shop(PROVIDER, world, Place(tmp_path))
    shop.sync()
    stamps, asked, runs = refreshed(shop), [], 0
    later, only = timedelta(minutes=5), frozenset({"conversations", "messages"})
    while runs == 0 or refreshed(shop) == stamps:
        runs += 1
        asked += asked_again(shop, later, is_full=True, seconds=0, resources=only)
        assert asked_again(shop, later) == []
        assert runs < 20
    assert runs > 2
    assert len(asked) == len(set(asked)) == len(shop.rows("conversations"))
    assert {*refreshed(shop).values()} == {(shop.clock.now + later).isoformat()}
    # What comes next is the beginning of another one.
    assert asked_again(shop, later, is_full=True, resources=only, seconds=0)[0] in asked[:4]


def refreshed(shop: Shop) -> dict[str, str]:
    """When each refresh of the messages was last done."""
    states = {state.resource: state for state in shop.warehouse.sync_states(shop.room, "shop")}
    stamps: dict[str, str] = states["messages"].position["refreshed"]
    return stamps


def test_messages_that_are_stored_late_are_there_within_a_day(
    small_world: World, tmp_path: Path
) -> None:
    end = small_world.ends_at
    kept_back = [
        m.id
        for m in small_world.messages
        if end - 71 * HOUR <= m.occurred_at < end - HOUR and m.direction == "inbound"
    ][::2]
    late = {
        m.id: stored_late(m, end + timedelta(minutes=1)) if m.id in kept_back else m
        for m in small_world.messages
    }
    shop = Shop(PROVIDER, replace(small_world, messages=tuple(late.values())), Place(tmp_path))
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
    shop = Shop(PROVIDER, replace(world, messages=(*said, news)), Place(tmp_path))
    shop.clock.now = ends_at - timedelta(seconds=30)
    shop.sync()
    assert not {message_id(late), message_id(news)} & statuses(shop).keys()
    shop.clock.now = ends_at
    # Of seven pages, those of the last four days: the seventh began less than four hours ago.
    asked = asked_again(shop, 4 * DAY - timedelta(minutes=200))
    assert len(asked) == 3
    assert {message_id(late), message_id(news)} <= statuses(shop).keys()
    assert message_id(old) not in statuses(shop)


def test_what_may_have_changed_is_read_before_history_that_is_still_to_come(shop: Shop) -> None:
    shop.sync()
    young = open_ends(shop, DAY - HOUR)
    history = shop.rows("conversations").keys() - going_on(shop, 2 * DAY)
    with shop.warehouse.connect() as connection:
        for table, column in (("messages", "conversation_id"), ("message_cursors", "id")):
            sql = f"delete from raw_waspy.{table} where {column} in (select unnest($1::text[]))"
            connection.execute(sql, [[*history]])
    asked = [path.split("/")[-2] for path in asked_again(shop, HOUR)]
    assert young
    assert history
    assert {*asked} == young | history
    assert max(asked.index(i) for i in young) < min(asked.index(i) for i in history)


def test_a_conversation_that_was_given_up_is_looked_at_every_day(shop: Shop) -> None:
    shop.sync()
    quiet = min(shop.rows("conversations").keys() - going_on(shop, 5 * DAY))
    with shop.warehouse.connect() as connection:
        sql = "update raw_waspy.message_cursors set attempts = '3' where id = $1"
        connection.execute(sql, [quiet])
    others = {path.split("/")[-2] for path in asked_again(shop, HOUR)}
    assert quiet not in others
    assert quiet in {path.split("/")[-2] for path in asked_again(shop, DAY)}


def test_news_that_can_not_be_read_keep_no_other_conversation_from_a_refresh(shop: Shop) -> None:
    end = shop.clock.now
    shop.clock.now = end - HOUR
    shop.sync()
    shop.clock.now = end
    news = [m for m in shop.world.messages if end - HOUR < m.inserted_at <= end]
    speaking = {(m.channel_id, m.contact_id) for m in news}
    lost = next(t for t in shop.world.threads if (t.channel_id, t.contact_id) in speaking)
    report = shop.sync(shop.app(faults=broken_messages(conversation_id(lost))))
    assert isinstance(report.outcomes["messages"].error, Unreachable)
    assert refreshed(shop)["day"] == end.isoformat()


def test_a_refresh_that_fails_of_one_conversation_is_made_up_for_with_the_next_sync(
    shop: Shop,
) -> None:
    shop.sync()
    lost = min(open_ends(shop, DAY - HOUR))
    report = shop.sync(shop.app(faults=broken_messages(lost)), after=HOUR)
    assert isinstance(report.outcomes["messages"].error, Unreachable)
    asked = asked_again(shop, HOUR + timedelta(minutes=5))
    assert [path.split("/")[-2] for path in asked] == [lost]
    assert asked_again(shop, HOUR + timedelta(minutes=10)) == []


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
    shop = Shop(PROVIDER, world, Place(tmp_path))
    shop.clock.now = world.ends_at - 19 * DAY - HOUR
    shop.sync()
    assert statuses(shop)[message_id(slow)] == "sent"
    shop.clock.now = world.ends_at - 19 * DAY
    # Of seven pages, and too late for messages that are stored late.
    assert len(asked_again(shop, 4 * DAY)) == 3
    assert statuses(shop) == truth(shop)
    assert shop.rows("messages") == fresh_rows(
        Shop(PROVIDER, world, Place(tmp_path / "fresh"), shop.clock)
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


def test_a_status_that_a_newer_one_replaced_stays_known(shop: Shop) -> None:
    end = shop.clock.now
    shop.clock.now = end - 2 * HOUR
    shop.sync()
    before = statuses(shop)
    shop.clock.now = end - HOUR
    shop.sync()
    between = statuses(shop)
    shop.clock.now = end
    shop.sync()
    after = statuses(shop)
    replaced = {f"{i}|{was}" for i, was in before.items() if between[i] != was}
    replaced |= {f"{i}|{was}" for i, was in between.items() if after[i] != was}
    assert len(replaced) > 1
    assert shop.rows("message_states").keys() == replaced


def test_what_a_status_was_is_known_before_a_load_can_overwrite_it(shop: Shop) -> None:
    end = shop.clock.now
    shop.clock.now = end - HOUR
    shop.sync()
    before = statuses(shop)
    shop.clock.now = end
    arm("load.extracted=raise")
    assert shop.sync().error is not None
    arm("")
    assert statuses(shop) == before
    known = shop.rows("message_states").keys()
    shop.sync()
    after = statuses(shop)
    assert known == {f"{i}|{was}" for i, was in before.items() if after[i] != was} != set()
