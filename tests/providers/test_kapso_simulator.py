"""The Kapso simulator keeps Kapso's documented behaviour."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from pipelines.providers.kapso.simulator import simulate
from pipelines.providers.kapso.simulator_rows import WABA, phone_number_id
from pipelines.simulation import (
    Clock,
    Fault,
    Quota,
    broken,
    expired_cursor,
    html,
    instead,
    repeated_cursor,
    serve,
    too_many,
    truncated,
)
from pipelines.world import World, make_world

END = datetime(2026, 11, 20, 15, tzinfo=UTC)
KEY = "kapso-key"
PLATFORM = "/platform/v1/whatsapp"
PROXY = f"/meta/whatsapp/v24.0/{phone_number_id('ventas')}"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=11, ends_at=END, days=30, conversations_per_day=7)


@contextmanager
def kapso(world: World, **settings: Any) -> Iterator[httpx.Client]:
    with (
        serve(simulate(world, api_key=KEY, **settings)) as url,
        httpx.Client(base_url=url, headers={"X-API-Key": KEY}) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[httpx.Client]:
    with kapso(world) as client:
        yield client


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(client: httpx.Client, path: str, **query: Any) -> list[Row]:
    """Every row, by `paging.cursors.after` until a page is empty or names none."""
    rows: list[Row] = []
    while True:
        page = get(client, path, limit=100, **query)
        rows += page["data"]
        query["after"] = page["paging"]["cursors"].get("after")
        if not page["data"] or not query["after"]:
            return rows


def test_a_walk_gives_every_message_once_newest_insertion_first(
    api: httpx.Client, world: World
) -> None:
    ids = [row["id"] for row in walk(api, f"{PLATFORM}/messages")]
    assert ids == [message.id for message in reversed(world.messages)]


def test_the_per_number_list_has_the_messages_of_one_number(
    api: httpx.Client, world: World
) -> None:
    ids = [row["id"] for row in walk(api, f"{PROXY}/messages")]
    assert ids == [m.id for m in reversed(world.messages) if m.channel_id == "ventas"]


def test_pages_hold_twenty_rows_unless_asked_and_never_more_than_a_hundred(
    api: httpx.Client,
) -> None:
    assert len(get(api, f"{PLATFORM}/messages")["data"]) == 20
    for limit in ("0", "101", "ten", "-1"):
        answer = api.get(f"{PLATFORM}/messages", params={"limit": limit})
        assert answer.status_code == 400
        assert isinstance(answer.json()["error"], str)


def test_a_cursor_is_a_sort_key_in_base64(api: httpx.Client) -> None:
    page = get(api, f"{PLATFORM}/messages", limit=2)
    cursor = json.loads(b64decode(page["paging"]["cursors"]["after"]))
    assert cursor["columns"] == ["created_at", "id"]
    at, id_ = cursor["values"]
    assert at.endswith("Z")
    assert id_.isdecimal()
    naive = b64encode(b'{"values":["2026-01-01","x"]}').decode()
    for rubbish in ("rubbish", "W10=", "bnVsbA==", naive):
        assert api.get(f"{PLATFORM}/messages", params={"after": rubbish}).status_code == 400


def test_before_leads_back_to_the_page_before(api: httpx.Client) -> None:
    first = get(api, f"{PLATFORM}/messages", limit=5)
    second = get(api, f"{PLATFORM}/messages", limit=5, after=first["paging"]["cursors"]["after"])
    back = get(api, f"{PLATFORM}/messages", limit=5, before=second["paging"]["cursors"]["before"])
    assert back["data"] == first["data"]


def test_next_repeats_the_cursor_is_null_or_is_missing(api: httpx.Client) -> None:
    messages = get(api, f"{PLATFORM}/messages")["paging"]
    conversations = get(api, f"{PLATFORM}/conversations")["paging"]
    proxy = get(api, f"{PROXY}/messages")["paging"]
    assert messages["next"] == messages["cursors"]["after"]
    assert conversations["cursors"]["after"]
    assert conversations["next"] is None
    assert set(proxy) == {"cursors"}
    assert set(proxy["cursors"]) == {"after"}


def test_the_last_page_names_a_cursor_that_leads_to_an_empty_page(world: World) -> None:
    part = world.only(channels=["mayorista"])
    with kapso(part) as api:
        last = get(api, f"{PLATFORM}/contacts", limit=len(part.contacts))["paging"]["cursors"]
        empty = get(api, f"{PLATFORM}/contacts", after=last["after"])
        assert empty["data"] == []
        assert empty["paging"]["cursors"] == {"before": None, "after": None}
    with kapso(part, last_cursor="null") as api:
        page = get(api, f"{PLATFORM}/contacts", limit=len(part.contacts))
        assert page["paging"]["cursors"]["after"] is None


def test_only_the_platform_list_tells_the_origin(world: World, api: httpx.Client) -> None:
    platform = {r["id"]: r["kapso"] for r in walk(api, f"{PLATFORM}/messages")}
    for message in world.messages:
        origin = "business_app" if message.typed_on == "phone" else "cloud_api"
        expected = "history_sync" if message.is_imported else origin
        assert platform[message.id]["origin"] == expected
    proxy = get(api, f"{PROXY}/messages")["data"][0]["kapso"]
    assert not {"origin", "phone_number_id"} & set(proxy)
    with kapso(world, proxy_origin=True) as frank:
        row = get(frank, f"{PROXY}/messages")["data"][0]
        assert row["kapso"]["origin"] == platform[row["id"]]["origin"]


def test_since_and_until_count_by_insertion_and_include_their_bounds(
    api: httpx.Client, world: World
) -> None:
    mine = [m for m in world.messages if m.channel_id == "ventas"]
    since, until = mine[100].inserted_at, mine[140].inserted_at
    rows = walk(api, f"{PROXY}/messages", since=since.isoformat(), until=until.isoformat())
    assert {row["id"] for row in rows} == {m.id for m in mine[100:141]}


def test_the_platform_message_list_knows_no_times_but_other_filters(
    api: httpx.Client, world: World
) -> None:
    everything = get(api, f"{PLATFORM}/messages")
    assert get(api, f"{PLATFORM}/messages", since=END.isoformat()) == everything
    failed = walk(api, f"{PLATFORM}/messages", status="failed", direction="outbound")
    assert {r["id"] for r in failed} == {
        m.id for m in world.messages if m.status_at(END) == "failed"
    }


def test_a_message_carries_metas_status_events(api: httpx.Client, world: World) -> None:
    message = next(m for m in world.messages if len(m.statuses) == 3 and not m.is_imported)
    row = get(api, f"{PLATFORM}/messages/{message.id}")["data"]
    assert row["timestamp"] == str(int(message.occurred_at.timestamp()))
    assert [s["status"] for s in row["kapso"]["statuses"]] == ["sent", "delivered", "read"]
    assert ["pricing" in s for s in row["kapso"]["statuses"]] == [True, True, False]
    failed = next(m for m in world.messages if m.statuses and m.statuses[-1].error_code == 131047)
    events = get(api, f"{PLATFORM}/messages/{failed.id}")["data"]["kapso"]["statuses"]
    assert events[-1]["errors"][0]["code"] == 131047


def test_media_rows_give_away_a_link_that_the_content_repeats(api: httpx.Client) -> None:
    rows = walk(api, f"{PLATFORM}/messages", has_media="true")
    assert rows
    for row in rows:
        assert row["kapso"]["media_url"] in row["kapso"]["content"]
    text = next(r for r in get(api, f"{PLATFORM}/messages")["data"] if r["type"] == "text")
    assert "media_url" not in text["kapso"]


def test_phones_are_written_two_ways_and_some_people_have_none(
    api: httpx.Client, world: World
) -> None:
    rows = {r["id"]: r for r in walk(api, f"{PLATFORM}/messages")}
    proxy = get(api, f"{PROXY}/messages", limit=50)["data"]
    for row in proxy:
        plain = rows[row["id"]]["kapso"]["phone_number"]
        assert row["kapso"]["phone_number"] == (f"+{plain}" if plain else None)
    hidden = {c.id: c.bsuid for c in world.contacts if c.phone is None}
    theirs = [m for m in world.messages if m.contact_id in hidden and m.direction == "inbound"]
    assert theirs
    for message in theirs:
        assert not rows[message.id].get("from")
        assert rows[message.id]["business_scoped_user_id"] == hidden[message.contact_id]


def test_a_conversation_is_a_session_without_a_silent_day(api: httpx.Client, world: World) -> None:
    rows = walk(api, f"{PLATFORM}/messages")
    sessions: dict[str, list[int]] = {}
    for row in rows:
        key = row["kapso"]["whatsapp_conversation_id"]
        sessions.setdefault(key, []).append(int(row["timestamp"]))
    for times in sessions.values():
        times.sort()
        assert all(b - a < 86_400 for a, b in pairwise(times))
    listed = {row["id"]: row for row in walk(api, f"{PLATFORM}/conversations")}
    assert set(listed) == set(sessions)
    assert len(listed) > len(world.threads)
    for key, times in sessions.items():
        assert listed[key]["kapso"]["messages_count"] == len(times)
        if END.timestamp() - times[-1] >= 86_400:
            assert listed[key]["status"] == "ended"


def test_conversations_come_by_last_activity_with_bounds_included(api: httpx.Client) -> None:
    rows = walk(api, f"{PROXY}/conversations")
    active = [row["last_active_at"] for row in rows]
    assert active == sorted(active, reverse=True)
    bounds = {"last_active_since": active[30], "last_active_until": active[10]}
    assert [r["last_active_at"] for r in walk(api, f"{PROXY}/conversations", **bounds)] == (
        active[10:31]
    )
    assert all(row["whatsapp_config_id"] for row in rows)
    open_ones = walk(api, f"{PLATFORM}/conversations", status="active")
    assert open_ones
    assert all(row["status"] == "active" for row in open_ones)


def test_platform_times_have_no_fraction_and_proxy_times_six_digits(api: httpx.Client) -> None:
    assert "." not in get(api, f"{PLATFORM}/conversations")["data"][0]["last_active_at"]
    assert "." in get(api, f"{PROXY}/conversations")["data"][0]["last_active_at"]
    assert get(api, f"{PLATFORM}/contacts")["data"][0]["created_at"].endswith("Z")


def test_the_world_is_told_as_at_the_clock(world: World) -> None:
    clock = Clock(END - timedelta(days=3))
    with kapso(world, clock=clock) as api:
        before = walk(api, f"{PLATFORM}/messages")
        top = get(api, f"{PLATFORM}/conversations", limit=1)["data"][0]
        assert len(before) == sum(m.inserted_at <= clock.now for m in world.messages)
        clock.now = END
        after = {row["id"]: row for row in walk(api, f"{PLATFORM}/messages")}
        assert len(after) == len(world.messages)
        moved = get(api, f"{PLATFORM}/conversations", limit=1)["data"][0]
    assert moved["last_active_at"] > top["last_active_at"]
    changed = [r for r in before if after[r["id"]]["kapso"]["status"] != r["kapso"]["status"]]
    assert changed, "statuses go on after a message was listed"


def test_a_future_message_cannot_be_fetched(world: World) -> None:
    newest = world.messages[-1]
    with kapso(world, clock=Clock(newest.inserted_at - timedelta(seconds=1))) as api:
        assert api.get(f"{PLATFORM}/messages/{newest.id}").status_code == 404


def test_single_things_are_found_by_any_of_their_names(api: httpx.Client, world: World) -> None:
    known = world.only(channels=["ventas"]).contacts
    twice = Counter(c.bsuid for c in world.contacts)  # one person, in two address books
    contact = next(c for c in reversed(known) if c.phone and c.bsuid and twice[c.bsuid] == 1)
    assert contact.phone
    row = get(api, f"{PLATFORM}/contacts/{contact.phone[1:]}")["data"]
    assert get(api, f"{PLATFORM}/contacts/{row['id']}")["data"] == row
    assert get(api, f"{PLATFORM}/contacts/{contact.bsuid}")["data"] == row
    conversation = get(api, f"{PLATFORM}/conversations", limit=1)["data"][0]
    path = f"{PLATFORM}/conversations/{conversation['id']}"
    assert get(api, path)["data"] == conversation


def test_calls_are_listed_per_number_and_on_the_legacy_api(world: World, api: httpx.Client) -> None:
    number = phone_number_id("posventa")
    rows = walk(api, f"/meta/whatsapp/v24.0/{number}/calls")
    assert {row["call_id"] for row in rows} == {
        call.id for call in world.calls if call.channel_id == "posventa"
    }
    assert all(
        (row["duration_seconds"] is None) == (row["session_started_at"] is None) for row in rows
    )
    legacy = get(api, "/api/v1/whatsapp_calls", per_page=100)
    assert legacy["meta"]["total_count"] == len(world.calls)
    assert "phone_number_id" not in legacy["data"][0]
    with kapso(world, call_case="upper") as shouting:
        row = get(shouting, f"/meta/whatsapp/v24.0/{number}/calls", direction="inbound")["data"][0]
        assert row["direction"] == "INBOUND"


def test_templates_are_metas_with_a_link_nobody_may_follow(world: World, api: httpx.Client) -> None:
    path = f"/meta/whatsapp/v24.0/{WABA}/message_templates"
    page = get(api, path, limit=2)
    assert page["paging"]["next"].startswith("https://graph.facebook.com/")
    assert len(walk(api, path)) == len(world.templates)
    assert api.get("/meta/whatsapp/v24.0/404/message_templates").status_code == 404
    legacy = get(api, "/api/v1/whatsapp_templates")["data"]
    assert {row["language_code"] for row in legacy} == {"es_AR", "pt_BR"}


def test_numbers_come_in_numbered_pages(world: World, api: httpx.Client) -> None:
    page = get(api, f"{PLATFORM}/phone_numbers", per_page=2)
    assert page["meta"] == {"page": 1, "per_page": 2, "total_pages": 2, "total_count": 3}
    assert api.get(f"{PLATFORM}/phone_numbers", params={"per_page": 101}).status_code == 400


def test_the_older_lists_have_numbered_pages_up_to_fifty(world: World) -> None:
    with kapso(world, list_family="page") as api:
        page = get(api, f"{PLATFORM}/messages", page=2, per_page=50)
        assert page["meta"]["total_count"] == len(world.messages)
        assert page["data"][0]["id"] == world.messages[-51].id
        assert api.get(f"{PLATFORM}/messages", params={"page": 51}).status_code == 400


def test_a_wrong_key_path_or_method_is_refused(api: httpx.Client) -> None:
    refused = api.get(f"{PLATFORM}/messages", headers={"X-API-Key": "other"})
    assert refused.status_code == 401
    assert refused.json() == {"error": "Unauthorized"}
    lost = api.get("/platform/v1/nothing")
    assert (lost.status_code, lost.json()) == (404, {"error": "Not found"})
    assert api.post(f"{PLATFORM}/messages").status_code == 405
    assert api.delete("/anything").status_code == 405


def test_a_quota_answers_429_and_says_when_to_come_back(world: World) -> None:
    with kapso(world, requests_per_minute=2) as api:
        first = api.get(f"{PLATFORM}/phone_numbers")
        assert first.headers["X-RateLimit-Remaining"] == "1"
        api.get(f"{PLATFORM}/phone_numbers")
        answer = api.get(f"{PLATFORM}/phone_numbers")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"
    assert answer.headers["X-RateLimit-Remaining"] == "0"


def test_a_quota_is_full_again_after_a_minute() -> None:
    now = 100.0
    quota = Quota(1, timer=lambda: now)
    assert [quota.take()[0] for _ in range(2)] == [True, False]
    now += 60
    assert quota.take()[0]


def test_a_closed_resource_is_refused_until_it_opens(world: World) -> None:
    closed = {"calls"}
    with kapso(world, closed=closed) as api:
        path = f"{PROXY}/calls"
        assert api.get(path).status_code == 403
        closed.clear()
        assert api.get(path).status_code == 200


def test_faults_come_as_planned(world: World) -> None:
    faults = [
        Fault(too_many(retry_after=3), path="/messages", request=2),
        Fault(html(), path="/contacts"),
        Fault(truncated, path="/contacts", request=2),
        Fault(instead({}), path="/contacts", request=3),
        Fault(instead(None), path="/contacts", request=4),
        Fault(broken(500), path="/phone_numbers", times=None),
    ]
    with kapso(world, faults=faults) as api:
        messages = [api.get(f"{PLATFORM}/messages") for _ in range(3)]
        assert [a.status_code for a in messages] == [200, 429, 200]
        assert messages[1].headers["Retry-After"] == "3"
        contacts = [api.get(f"{PLATFORM}/contacts") for _ in range(4)]
        assert contacts[0].status_code == 502
        assert contacts[0].headers["Content-Type"].startswith("text/html")
        with pytest.raises(json.JSONDecodeError):
            contacts[1].json()
        assert [a.json() for a in contacts[2:]] == [{}, None]
        numbers = [api.get(f"{PLATFORM}/phone_numbers").status_code for _ in range(3)]
        assert numbers == [500, 500, 500]


def test_a_cursor_can_repeat_or_expire_on_purpose(world: World) -> None:
    with kapso(world, faults=[Fault(repeated_cursor, times=None)]) as api:
        first = get(api, f"{PLATFORM}/messages")["paging"]["cursors"]["after"]
        second = get(api, f"{PLATFORM}/messages", after=first)["paging"]
        assert second["cursors"]["after"] == second["next"] == first
    with kapso(world, faults=lambda _, number: expired_cursor if number == 2 else None) as api:
        first = get(api, f"{PLATFORM}/messages")["paging"]["cursors"]["after"]
        assert api.get(f"{PLATFORM}/messages", params={"after": first}).status_code == 400
        assert api.get(f"{PLATFORM}/messages", params={"after": first}).status_code == 200


def test_the_ledger_counts_requests_and_keeps_nobodys_phone(world: World) -> None:
    app = simulate(world, api_key=KEY)
    with serve(app) as url, httpx.Client(base_url=url, headers={"X-API-Key": KEY}) as api:
        api.get(f"{PLATFORM}/messages", params={"limit": 3, "phone_number": "54911"})
        api.get(f"{PLATFORM}/contacts/5490000000000")
        api.post(f"{PLATFORM}/messages")
    seen = app.state.requests
    assert [(line.method, line.status) for line in seen] == [
        ("GET", 200), ("GET", 404), ("POST", 405),
    ]  # fmt: skip
    assert seen[0].query == {"limit": "3", "phone_number": "…"}
    assert "549" not in seen[1].path
