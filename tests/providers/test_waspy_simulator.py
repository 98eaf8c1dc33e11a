"""The Waspy simulator keeps what Waspy documents, and lets every open question be set both ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from pipelines.providers.waspy.simulator import simulate
from pipelines.providers.waspy.simulator_story import (
    channel_id,
    contact_id,
    conversation_id,
    message_id,
)
from pipelines.simulation import Clock, Fault, expired_cursor, repeated_cursor, serve, too_many
from pipelines.world import WINDOW, Message, World, make_world

END = datetime(2026, 11, 20, 15, tzinfo=UTC)
KEY = "wspy_key"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=12, ends_at=END, days=30, conversations_per_day=7)


@contextmanager
def waspy(world: World, **settings: Any) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        serve(simulate(world, api_key=KEY, **settings)) as url,
        httpx.Client(base_url=f"{url}/api/v2", headers=headers) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[httpx.Client]:
    with waspy(world) as client:
        yield client


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(client: httpx.Client, path: str, **query: Any) -> list[Row]:
    """Every row, by `meta.cursor` while `meta.hasMore`."""
    rows: list[Row] = []
    while True:
        page = get(client, path, **query)
        rows += page["data"]
        if not page["meta"]["hasMore"]:
            return rows
        query["cursor"] = page["meta"]["cursor"]


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def talks(world: World) -> dict[str, list[Message]]:
    """Conversation id → its messages, oldest first."""
    found: dict[tuple[str, str], list[Message]] = {}
    for message in sorted(world.messages, key=lambda m: (m.occurred_at, message_id(m))):
        found.setdefault((message.channel_id, message.contact_id), []).append(message)
    return {conversation_id(t): found.get((t.channel_id, t.contact_id), []) for t in world.threads}


def long_talk(world: World) -> tuple[str, list[Message]]:
    """The longest conversation that one page can hold, and its messages."""
    short = ((t, messages) for t, messages in talks(world).items() if len(messages) < 100)
    return max(short, key=lambda item: len(item[1]))


def test_every_thread_is_one_conversation_newest_message_first(
    api: httpx.Client, world: World
) -> None:
    rows = walk(api, "/conversations", limit=100)
    assert sorted(row["id"] for row in rows) == sorted(map(conversation_id, world.threads))
    times = [row["lastMessageAt"] for row in rows if row["lastMessageAt"]]
    assert times == sorted(times, reverse=True)
    truth = talks(world)
    for row in rows:
        last = truth[row["id"]][-1:]
        assert row["lastMessageAt"] == (iso(last[0].occurred_at) if last else None)


def test_a_page_size_changes_nothing_but_the_pages(api: httpx.Client) -> None:
    whole = walk(api, "/conversations", limit=100)
    assert walk(api, "/conversations", limit=7) == whole
    assert get(api, "/conversations")["data"] == whole[:50]


def test_a_conversation_cursor_is_its_last_rows_time_and_id(api: httpx.Client) -> None:
    page = get(api, "/conversations", limit=3)
    last = page["data"][-1]
    assert page["meta"]["cursor"] == f"{last['lastMessageAt']}|{last['id']}"


@pytest.mark.parametrize("nulls", ["first", "last"])
def test_conversations_without_a_message_stand_at_one_end(world: World, nulls: str) -> None:
    with waspy(world, nulls=nulls) as api:
        rows = walk(api, "/conversations", limit=10)
    empty = [row["lastMessageAt"] is None for row in rows]
    assert len({row["id"] for row in rows}) == len(rows) == len(world.threads)
    assert 0 < sum(empty) < len(empty)
    assert empty == sorted(empty, reverse=nulls == "first")


def test_messages_come_oldest_first(api: httpx.Client, world: World) -> None:
    thread, messages = long_talk(world)
    rows = walk(api, f"/conversations/{thread}/messages", limit=4)
    assert [row["id"] for row in rows] == [message_id(m) for m in messages]
    assert all(a["createdAt"] <= b["createdAt"] for a, b in pairwise(rows))


def test_a_last_page_still_has_a_cursor_that_later_gives_only_what_is_new(world: World) -> None:
    thread, messages = long_talk(world)
    clock = Clock(messages[-3].inserted_at)
    path = f"/conversations/{thread}/messages"
    with waspy(world, clock=clock) as api:
        page = get(api, path, limit=100)
        cursor = page["meta"]["cursor"]
        assert not page["meta"]["hasMore"]
        assert cursor
        again = get(api, path, cursor=cursor)
        assert (again["data"], again["meta"]["hasMore"]) == ([], False)
        clock.now = END
        news = get(api, path, cursor=cursor)["data"]
    assert [row["id"] for row in news] == [message_id(m) for m in messages[-2:]]
    with waspy(world, last_cursor="null") as api:
        assert get(api, path, limit=100)["meta"]["cursor"] is None


def test_a_message_that_becomes_known_late_lies_before_an_older_cursor(world: World) -> None:
    thread, messages = long_talk(world)
    late = replace(messages[2], inserted_at=END - timedelta(minutes=1))
    rest = [m for m in world.messages if m.id != late.id]
    kept = sorted([*rest, late], key=lambda m: m.inserted_at)
    clock = Clock(END - timedelta(minutes=2))
    path = f"/conversations/{thread}/messages"
    with waspy(replace(world, messages=tuple(kept)), clock=clock) as api:
        cursor = get(api, path, limit=100)["meta"]["cursor"]
        clock.now = END
        assert message_id(late) not in {r["id"] for r in get(api, path, cursor=cursor)["data"]}
        assert message_id(late) in {r["id"] for r in get(api, path, limit=100)["data"]}


def test_a_message_tells_who_wrote_it_unless_the_api_keeps_silent(
    world: World, api: httpx.Client
) -> None:
    truth = {message_id(m): m for m in world.messages}
    rows = [r for t in list(talks(world))[:80] for r in walk(api, f"/conversations/{t}/messages")]
    assert rows
    for row in rows:
        author = truth[row["id"]].author
        assert row["sentByAi"] == (author == "bot")
        assert (row["campaignId"] is not None) == (author == "campaign")
        assert (row["origin"] in ("agent", "phone")) == (author == "human")
    with waspy(world, with_authors=False) as silent:
        row = get(silent, f"/conversations/{rows[0]['conversationId']}/messages")["data"][0]
        assert not {"origin", "sentByAi", "campaignId"} & set(row)


def test_whatsapps_id_is_missing_while_a_message_is_pending_or_failed(
    world: World, api: httpx.Client
) -> None:
    failed = next(m for m in world.messages if m.status_at(END) == "failed")
    thread = next(t for t, messages in talks(world).items() if failed in messages)
    rows = {r["id"]: r for r in walk(api, f"/conversations/{thread}/messages")}
    row = rows[message_id(failed)]
    assert row["waMessageId"] is None
    assert row["errorCode"] == str(failed.statuses[-1].error_code)
    assert all(r["waMessageId"] for r in rows.values() if r["status"] == "read")


@pytest.mark.parametrize("key", ["text", "body"])
def test_a_text_stands_under_either_key(world: World, key: str) -> None:
    text = next(m for m in world.messages if m.type == "text")
    thread = next(t for t, messages in talks(world).items() if text in messages)
    with waspy(world, content_key=key) as api:
        rows = walk(api, f"/conversations/{thread}/messages")
    assert {key: text.text} in [row["content"] for row in rows]


def test_the_service_window_ends_a_day_after_the_customers_last_message(
    api: httpx.Client, world: World
) -> None:
    quiet = ("reaction", "edit", "revoke", "system", "request_welcome")
    truth = talks(world)
    for row in get(api, "/conversations", limit=100)["data"]:
        messages = [
            m
            for m in truth[row["id"]]
            if m.direction == "inbound" and m.type not in quiet and not m.is_imported
        ]
        if not messages:
            assert row["serviceWindowExpiresAt"] is None
            continue
        ends = messages[-1].occurred_at + WINDOW
        assert row["serviceWindowExpiresAt"] == iso(ends)


def test_the_status_filter_gives_exactly_the_conversations_with_that_status(
    api: httpx.Client,
) -> None:
    rows = walk(api, "/conversations", limit=100)
    for status in ("open", "pending", "resolved", "closed"):
        expected = [row["id"] for row in rows if row["status"] == status]
        assert expected
        found = walk(api, "/conversations", status=status, limit=9)
        assert [row["id"] for row in found] == expected


def test_status_and_assignment_change_without_moving_a_conversation(world: World) -> None:
    thread, change = next(
        (t, b)
        for t in world.threads
        for a, b in pairwise(t.changes)
        if (a.status, b.status) == ("open", "resolved") and a.at < b.at < END
    )
    clock = Clock(change.at - timedelta(seconds=1))
    with waspy(world, clock=clock) as api:
        path = f"/conversations/{conversation_id(thread)}"
        before = get(api, path)["data"]
        clock.now = change.at
        after = get(api, path)["data"]
    assert (before["status"], after["status"]) == ("open", "resolved")
    assert before["lastMessageAt"] == after["lastMessageAt"]


def test_contacts_come_in_numbered_pages_with_a_total(api: httpx.Client, world: World) -> None:
    pages = [get(api, "/contacts", page=n, pageSize=30) for n in range(1, 20)]
    rows = [row for page in pages for row in page["data"]]
    assert sorted(row["id"] for row in rows) == sorted(contact_id(c.id) for c in world.contacts)
    assert pages[0]["meta"]["total"] == len(world.contacts)
    assert len(get(api, "/contacts")["data"]) == 20


def test_a_contact_may_have_no_phone_no_name_and_tags(api: httpx.Client) -> None:
    rows = [r for n in range(1, 20) for r in get(api, "/contacts", page=n, pageSize=100)["data"]]
    assert any(row["phoneNumber"] is None for row in rows)
    assert any(row["name"] is None for row in rows)
    assert any(row["tags"] for row in rows)
    assert {row["optedIn"] for row in rows} == {True, False}


@pytest.mark.parametrize(
    ("order", "field", "falling"),
    [
        ("created_desc", "createdAt", True),
        ("created_asc", "createdAt", False),
        ("last_message_desc", "lastMessageAt", True),
    ],
)
def test_the_order_of_contacts_can_be_set(
    world: World, order: str, field: str, falling: bool
) -> None:
    with waspy(world, contacts_order=order) as api:
        values = [r[field] or "" for r in get(api, "/contacts", pageSize=100)["data"]]
    assert values == sorted(values, reverse=falling)


def test_channels_and_templates_are_whole_lists(api: httpx.Client, world: World) -> None:
    channels = get(api, "/channels")["data"]
    assert {row["id"] for row in channels} == {channel_id(c.id) for c in world.channels}
    assert len(get(api, "/templates")["data"]) == len(world.templates)
    approved = get(api, "/templates", status="APPROVED")["data"]
    assert {row["status"] for row in approved} == {"APPROVED"}


def test_a_few_conversations_can_lose_their_channel(world: World) -> None:
    with waspy(world, lost_channels=True) as api:
        rows = walk(api, "/conversations", limit=100)
        lost = [row for row in rows if row["phoneNumberId"] is None]
        assert 0 < len(lost) < len(rows) / 4


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/conversations?limit=101", 400, "INVALID_REQUEST"),
        ("/conversations?limit=0", 400, "INVALID_REQUEST"),
        ("/conversations?cursor=rubbish", 400, "INVALID_REQUEST"),
        ("/contacts?pageSize=101", 400, "INVALID_REQUEST"),
        ("/conversations/none", 404, "CONVERSATION_NOT_FOUND"),
        ("/conversations/none/messages", 404, "CONVERSATION_NOT_FOUND"),
        ("/contacts/none", 404, "CONTACT_NOT_FOUND"),
        ("/agents", 404, "NOT_FOUND"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_code(
    api: httpx.Client, path: str, status: int, code: str
) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_wrong_key_and_every_other_method_are_refused(api: httpx.Client) -> None:
    assert api.get("/channels", headers={"Authorization": "Bearer no"}).status_code == 401
    assert api.patch("/conversations/x").status_code == 405


def test_faults_closed_resources_and_cursors_work_here_too(world: World) -> None:
    faults = [
        Fault(too_many(retry_after=None), path="/channels"),
        Fault(repeated_cursor, path="/conversations", request=2),
        Fault(expired_cursor, path="/conversations", request=3),
    ]
    with waspy(world, faults=faults, closed=["templates"], closed_status=404) as api:
        answer = api.get("/channels")
        assert answer.status_code == 429
        assert "Retry-After" not in answer.headers
        assert api.get("/templates").status_code == 404
        first = get(api, "/conversations", limit=2)["meta"]["cursor"]
        assert get(api, "/conversations", limit=2, cursor=first)["meta"]["cursor"] == first
        assert api.get("/conversations", params={"cursor": first}).status_code == 400


def test_a_list_that_loops_never_says_that_it_ends(world: World) -> None:
    with waspy(world, faults=[Fault(repeated_cursor, times=None)]) as api:
        first = get(api, "/conversations", limit=100)["meta"]["cursor"]
        again = get(api, "/conversations", limit=100, cursor=first)
        assert (again["meta"]["cursor"], again["meta"]["hasMore"]) == (first, True)


def test_every_answer_has_a_request_id_of_its_own(api: httpx.Client) -> None:
    ids = [get(api, "/channels")["meta"]["requestId"] for _ in range(3)]
    assert len(set(ids)) == 3
