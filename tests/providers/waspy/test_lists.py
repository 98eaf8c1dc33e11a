"""The states that conversations are seen in, sweeps, and contacts that drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from pipelines.errors import BadPayload, Unreachable
from pipelines.providers.waspy import client, contacts, source
from pipelines.providers.waspy.simulator_rows import agent_id, contact_id
from pipelines.providers.waspy.simulator_story import conversation_id
from pipelines.reading.pull import Pull
from pipelines.simulation import Fault, broken, instead
from pipelines.simulation.asking import Answer, Asked, Change
from pipelines.world import Thread, ThreadChange, World

from ..conftest import ENDS_AT, Shop
from .conftest import DAY, HOUR


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


@pytest.mark.parametrize("first", [20, "20"])
def test_numbered_pages_are_read_to_the_last_also_where_numbers_are_texts(
    shop: Shop, first: int | str
) -> None:
    rows = [{"id": f"t{i}", "name": f"t{i}", "language": "es"} for i in range(51)]

    def numbered(asked: Asked, _: Answer) -> Answer:
        """Says what it was asked for as it was asked: in a query, everything is text."""
        page, size = asked.query.get("page", 1), asked.query.get("pageSize", first)
        start = (int(page) - 1) * int(size)
        meta = {"page": page, "pageSize": size, "total": len(rows)}
        body = {"data": rows[start : start + int(size)], "meta": meta}
        return Answer(orjson.dumps(body))

    faults = [Fault(numbered, "/templates", times=None)]
    only = frozenset({"templates"})
    assert shop.sync(shop.app(faults=faults), resources=only).is_ok
    assert shop.rows("templates").keys() == {row["id"] for row in rows}


def test_a_list_that_goes_on_without_a_cursor_is_an_error(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LIMIT", 10)

    def without_cursor(_: Asked, answer: Answer) -> Answer:
        body = orjson.loads(answer.body)
        body["meta"]["cursor"] = None
        return replace(answer, body=orjson.dumps(body))

    faults = [Fault(without_cursor, "/conversations", times=None)]
    report = shop.sync(shop.app(faults=faults), resources=frozenset({"conversations"}))
    assert isinstance(report.outcomes["conversations"].error, BadPayload)


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


def without_total(_: Asked, answer: Answer) -> Answer:
    return replace(answer, body=answer.body.replace(b'"total":', b'"count":'))


def test_contacts_that_were_merged_keep_no_other_from_being_looked_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "SINGLE_LOOKUPS", 3)
    shop.sync(resources=frozenset({"conversations"}))
    *unlisted, left = sorted({row["contact_id"] for row in shop.rows("conversations").values()})[:7]
    merged = unlisted[:3]

    def change(asked: Asked, answer: Answer) -> Answer:
        body = orjson.loads(answer.body)
        if asked.path.endswith("/contacts"):
            body["data"] = [row for row in body["data"] if row["id"] not in unlisted]
            body["meta"]["total"] -= len(unlisted)
        elif asked.path.endswith(tuple(merged)):
            body["data"]["id"] = left
        return replace(answer, body=orjson.dumps(body))

    looked_up = []
    for _ in range(3):
        app = shop.app(faults=[Fault(change, "/contacts", times=None)])
        shop.sync(app)
        paths = (seen.path for seen in app.state.requests if "/contacts/" in seen.path)
        looked_up.append({path.split("/")[-1] for path in paths})
    assert looked_up == [set(merged), set(unlisted[3:]), set()]
    assert shop.rows("contacts").keys().isdisjoint(merged)


def one_more(_: Asked, answer: Answer) -> Answer:
    return in_meta(answer, lambda meta: {"total": meta["total"] + 1})


def total_as_text(_: Asked, answer: Answer) -> Answer:
    return in_meta(answer, lambda meta: {"total": str(meta["total"])})


def in_meta(answer: Answer, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    body = orjson.loads(answer.body)
    body["meta"] |= change(body["meta"]) if "total" in body["meta"] else {}
    return replace(answer, body=orjson.dumps(body))


def cut_name(_: Asked, answer: Answer) -> Answer:
    """One contact's row holds half an emoji."""
    old = b'"id":"%s"' % contact_id("contact-40").encode()
    return replace(answer, body=answer.body.replace(old, old + rb',"cut":"\ud83d"'))


@pytest.mark.parametrize("change", [one_more, total_as_text, cut_name])
def test_a_new_contact_costs_two_pages_also_where_the_total_is_not_what_can_be_stored(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    monkeypatch.setattr(contacts, "LIMIT", 5)
    monkeypatch.setattr(contacts, "PASSES", ((5, False), (4, True), (5, False)))
    asked = []
    for came_at in sorted(contact.created_at for contact in shop.world.contacts)[-4:]:
        shop.clock.now = came_at + timedelta(seconds=1)
        app = shop.app(faults=[Fault(change, "/contacts", times=None)])
        assert shop.sync(app, resources=frozenset({"contacts"})).outcomes["contacts"].is_complete
        asked.append(len(app.state.requests))
    assert asked[1:] == [2, 2, 2]


def by_pull(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each pull holds when it is loaded."""
    held: list[int] = []
    forget = Pull.forget

    def noted(pull: Pull) -> None:
        held.append(pull.rows_kept)
        forget(pull)

    monkeypatch.setattr(Pull, "forget", noted)
    return held


@pytest.mark.parametrize("total", ["told", "untold"])
@pytest.mark.parametrize("order", ["created_desc", "last_message_desc"])
def test_a_long_list_of_contacts_is_scanned_in_several_pulls_of_one_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, order: str, total: str
) -> None:
    monkeypatch.setattr(contacts, "LIMIT", 5)
    monkeypatch.setattr(contacts, "PASSES", ((5, False), (4, True), (5, False)))
    faults = [Fault(without_total, "/contacts", times=None)] if total == "untold" else []
    app = shop.app(contacts_order=order, faults=faults)
    held = by_pull(monkeypatch)
    only = frozenset({"contacts"})
    # Time ran out before it began: it is brought to its end all the same, or it would never be.
    report = shop.sync(app, resources=only, chunk_rows=20, seconds=0)
    assert report.is_ok
    assert not report.has_more
    assert shop.rows("contacts").keys() == {contact_id(c.id) for c in shop.world.contacts}
    assert len(held) > len(shop.world.contacts) / 40
    assert max(held) < 20 + 4 * 5 + 5
    pages = -(-len(shop.world.contacts) // 5)
    assert len(app.state.requests) <= pages + 3
    (state,) = shop.warehouse.sync_states(shop.room, "shop")
    assert state.is_complete
    assert state.position["surplus"] == 0


def fails(*identities: str) -> Fault:
    """Whoever asks for one of these things gets no answer."""

    def change(asked: Asked, answer: Answer) -> Answer:
        return replace(answer, status=500) if asked.path.endswith(identities) else answer

    return Fault(change, times=None)


def test_a_conversation_that_never_answers_is_told_and_hides_no_other(shop: Shop) -> None:
    world = shop.world
    shop.sync()
    live = sorted(i for i, row in shop.rows("conversations").items() if row["status"] == "open")
    gone = {t.contact_id for t in world.threads if conversation_id(t) in live[:3]}
    shop.world = world.without(contacts=sorted(gone))
    left = sorted(i for i in live if i in erased_ids(world, gone))
    report = shop.sync(shop.app(faults=[fails(left[0])]), after=HOUR)
    outcome = report.outcomes["conversations"]
    assert outcome.is_complete
    assert "1 that were live could not be asked for" in (outcome.note or "")
    deleted = {i for i in left if states_of(shop, i)[-1] == "deleted"}
    assert deleted == set(left[1:])
    again = shop.app()
    shop.sync(again, after=HOUR + timedelta(minutes=5))
    assert not [seen for seen in again.state.requests if seen.query.get("status")]
    assert shop.sync(after=2 * HOUR + timedelta(minutes=1)).outcomes["conversations"].note is None
    assert states_of(shop, left[0])[-1] == "deleted"


def erased_ids(world: World, contacts: set[str]) -> set[str]:
    return {conversation_id(thread) for thread in world.threads if thread.contact_id in contacts}


def test_a_contact_that_never_answers_keeps_no_other_from_being_looked_up(shop: Shop) -> None:
    shop.sync(resources=frozenset({"conversations"}))
    unlisted = sorted({row["contact_id"] for row in shop.rows("conversations").values()})[:3]

    def hide(asked: Asked, answer: Answer) -> Answer:
        if not asked.path.endswith("/contacts"):
            return answer
        body = orjson.loads(answer.body)
        body["data"] = [row for row in body["data"] if row["id"] not in unlisted]
        body["meta"]["total"] -= len(unlisted)
        return replace(answer, body=orjson.dumps(body))

    gone = Fault(broken(404), unlisted[1], times=None)
    faults = [gone, fails(unlisted[0]), Fault(hide, "/contacts", times=None)]
    report = shop.sync(shop.app(faults=faults))
    assert isinstance(report.outcomes["contacts"].error, Unreachable)
    assert unlisted[2] in shop.rows("contacts")
    app = shop.app(faults=faults)
    shop.sync(app, after=timedelta(minutes=5))
    asked = {seen.path.split("/")[-1] for seen in app.state.requests if "/contacts/" in seen.path}
    assert asked == {unlisted[0]}  # what is gone is remembered


def states(shop: Shop) -> dict[str, list[tuple[str, str]]]:
    """Conversation → the statuses that it was seen in, with when, the oldest first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in sorted(shop.rows("conversation_states").values(), key=lambda r: r["observed_from"]):
        found.setdefault(row["conversation_id"], []).append((row["observed_from"], row["status"]))
    return found


def test_a_range_that_is_read_again_notes_what_its_conversations_became(shop: Shop) -> None:
    shop.clock.now = ENDS_AT - 3 * DAY
    shop.sync()
    before = shop.rows("conversations")
    shop.clock.now = ENDS_AT
    shop.sync(span=(ENDS_AT - 10 * DAY, ENDS_AT))
    after = {i: row["status"] for i, row in shop.rows("conversations").items()}
    assert {i for i in before if before[i]["status"] != after[i]}
    assert {i: told[-1][1] for i, told in states(shop).items()} == after


def test_a_state_that_a_clock_ahead_of_time_noted_is_not_noted_for_ever(shop: Shop) -> None:
    shop.sync()
    one, (first, *_) = next(iter(states(shop).items()))
    with shop.warehouse.connect() as connection:
        connection.execute(
            "update raw_waspy.conversation_states set observed_from = '2999-01-01T00:00:00', "
            "status = 'of that day' where conversation_id = $1",
            [one],
        )
    for _ in range(3):
        shop.sync(is_full=True)
    assert [status for _, status in states(shop)[one]] == [first[1], "of that day"]


def test_a_template_is_the_same_in_whichever_way_its_language_is_told() -> None:
    plain, object_ = {"name": "promo", "language": "es"}, {"code": "es"}
    assert source._identity(plain) == source._identity(plain | {"language": object_}) == "promo|es"


def test_messages_without_any_conversation_are_told_to_be_incomplete(shop: Shop) -> None:
    outcome = shop.sync(resources=frozenset({"messages"})).outcomes["messages"]
    assert not outcome.is_complete
    assert "add conversations to `resources`" in (outcome.note or "")


def test_messages_are_not_complete_when_the_list_of_conversations_broke_off(shop: Shop) -> None:
    fault = Fault(instead({"data": None}), path="/conversations", request=2, times=3)
    outcome = shop.sync(shop.app(faults=[fault])).outcomes["messages"]
    assert not outcome.is_complete
    assert outcome.note == "conversations are not read to their end"


def pages_of_contacts(shop: Shop, spoil: Callable[[int, Any], None], after: timedelta) -> int:
    """How many pages of contacts a sync asks for when each is spoilt by its number."""
    asked = 0

    def change(question: Asked, answer: Answer) -> Answer:
        nonlocal asked
        if not question.path.endswith("/contacts"):
            return answer
        asked += 1
        body = orjson.loads(answer.body)
        spoil(asked, body)
        return replace(answer, body=orjson.dumps(body))

    listed = Fault(change, "/contacts", times=None)
    shop.sync(shop.app(faults=[listed]), after=after)
    return asked


def grow(number: int, body: Any) -> None:
    body["meta"]["total"] += number > 3


def lose_a_row(number: int, body: Any) -> None:
    """Rows move while the list is read: no pass sees them all, nor what another one saw."""
    body["data"].pop(number % len(body["data"]))


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "PASSES", ((10, False), (7, True), (10, False)))


@pytest.mark.usefixtures("short_pages")
def test_a_list_that_grows_while_it_is_scanned_is_scanned_once(shop: Shop) -> None:
    pages = pages_of_contacts(shop, lambda number, body: None, timedelta(0))
    assert pages_of_contacts(shop, grow, DAY) == pages > 4
    assert shop.rows("contacts").keys() == {contact_id(c.id) for c in shop.world.contacts}


@pytest.mark.usefixtures("short_pages")
def test_a_list_that_no_scan_fits_is_scanned_again_an_hour_later(shop: Shop) -> None:
    scan = pages_of_contacts(shop, lose_a_row, timedelta(0))
    assert pages_of_contacts(shop, lose_a_row, timedelta(minutes=5)) == 1 < scan
    assert pages_of_contacts(shop, lose_a_row, timedelta(minutes=61)) == scan
    assert shop.rows("contacts").keys() == {contact_id(c.id) for c in shop.world.contacts}


@pytest.mark.parametrize(
    ("totals", "is_plausible"),
    [
        ([3, 3], True),
        ([2, 3], True),
        ([3, 5], True),
        ([2, 4, 3], True),
        ([4], False),
        ([4, 3], False),  # one left, and the page that it left may have lost another
        ([1, 2], False),
        ([None], True),  # no list that tells one
        ([None, 3], False),  # told only now and then
    ],
)
def test_a_pass_is_trusted_by_the_totals_that_its_pages_tell(
    totals: list[int | None], is_plausible: bool
) -> None:
    seen = contacts._Pass(100, is_backwards=False, ids={"a", "b", "c"}, totals=totals)
    assert seen.is_plausible() == is_plausible
