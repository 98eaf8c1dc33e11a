"""The simulator's lists without messages, as documented, also for somebody else's client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from kapso_whatsapp import KapsoPlatformClient

from pipelines.cursors import Page
from pipelines.providers.kapso.client import page_of
from pipelines.providers.kapso.simulator import simulate
from pipelines.providers.kapso.simulator_logs import SECRET
from pipelines.providers.kapso.simulator_rows import contact_id
from pipelines.simulation import Clock, serve
from pipelines.world import World, make_world

END = datetime(2026, 11, 20, 15, tzinfo=UTC)
KEY = "kapso-key"
PROJECT = "/platform/v1"
LEGACY = "/api/v1"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=11, ends_at=END, days=30, conversations_per_day=9)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(END)


@pytest.fixture(scope="module")
def url(world: World, clock: Clock) -> Iterator[str]:
    with serve(simulate(world, api_key=KEY, clock=clock)) as url:
        yield url


@pytest.fixture
def api(url: str, clock: Clock) -> Iterator[httpx.Client]:
    clock.now = END
    with httpx.Client(base_url=url, headers={"X-API-Key": KEY}) as client:
        yield client


def rows(client: httpx.Client, path: str, **query: Any) -> list[Row]:
    answer = client.get(path, params={"limit": 100, "per_page": 100, **query})
    assert answer.status_code == 200, answer.text
    found: list[Row] = answer.json()["data"]
    return found


def test_somebody_elses_client_reads_every_list(world: World) -> None:
    async def read(url: str) -> dict[str, list[Any]]:
        async with KapsoPlatformClient(api_key=KEY, base_url=f"{url}{PROJECT}") as kapso:
            broadcasts = [b async for b in kapso.broadcasts.iter(per_page=2)]
            return {
                "broadcasts": broadcasts,
                "recipients": [
                    r
                    for b in broadcasts
                    async for r in kapso.broadcasts.iter_recipients(b.id, per_page=100)
                ],
                "users": [u async for u in kapso.users.iter(per_page=3)],
                "customers": [c async for c in kapso.customers.iter()],
                "webhooks": [w async for w in kapso.project_webhooks.iter()],
                "deliveries": [
                    d async for d in kapso.webhook_deliveries.iter(period="30d", per_page=100)
                ],
                "logs": [entry async for entry in kapso.api_logs.iter(per_page=100)],
            }

    with serve(simulate(world, api_key=KEY, list_family="page")) as url:
        found = asyncio.run(read(url))
    assert len(found["broadcasts"]) == len(world.campaigns)
    sent = [m for m in world.messages if m.campaign_id]
    assert len(found["recipients"]) == len(sent) > 0
    assert len(found["users"]) == len(world.agents)
    assert len(found["customers"]) == len(world.customers)
    assert {hook.secret_key for hook in found["webhooks"]} == {SECRET}
    live = [m for m in world.messages if m.direction == "inbound" and not m.is_imported]
    events = Counter(delivery.event for delivery in found["deliveries"])
    assert events["whatsapp.message.received"] == len(live)
    assert found["logs"]


def test_the_logs_show_a_day_unless_asked_for_more(api: httpx.Client) -> None:
    for path in (f"{PROJECT}/webhook_deliveries", f"{PROJECT}/api_logs"):
        day = rows(api, path)
        oldest = min(datetime.fromisoformat(row["created_at"]) for row in day)
        assert oldest >= END - timedelta(days=1)
        assert len(rows(api, path, period="7d")) > len(day)
        assert api.get(path, params={"period": "1y"}).status_code == 400


def test_a_delivery_is_tried_four_times_and_then_given_up(
    world: World, api: httpx.Client, clock: Clock
) -> None:
    seen: dict[str, list[tuple[str, int]]] = {}
    outage = max(world.outages, key=lambda outage: outage.ends_at - outage.starts_at)
    for seconds in (21, 35, 65, 115):
        clock.now = outage.starts_at + timedelta(seconds=seconds)
        for row in rows(api, f"{PROJECT}/webhook_deliveries"):
            if row["created_at"] >= outage.starts_at.isoformat()[:19]:
                state = (row["status"], row["attempt_count"])
                seen.setdefault(row["id"], []).append(state)
    first = next(states for states in seen.values() if len(states) == 4)
    assert first == [("pending", 1), ("pending", 2), ("pending", 3), ("failed", 4)]


def test_recipients_lack_the_stages_they_did_not_reach(api: httpx.Client) -> None:
    found = [
        row
        for broadcast in rows(api, f"{PROJECT}/whatsapp/broadcasts")
        for row in rows(api, f"{PROJECT}/whatsapp/broadcasts/{broadcast['id']}/recipients")
    ]
    assert any("read_at" in row for row in found)
    assert any("read_at" not in row for row in found)
    assert any(row["status"] == "sent" and "delivered_at" in row for row in found)


def test_a_broadcasts_counts_are_cumulative(api: httpx.Client) -> None:
    for row in rows(api, f"{PROJECT}/whatsapp/broadcasts"):
        stages = [row[f"{s}_count"] for s in ("sent", "delivered", "read", "responded")]
        assert stages == sorted(stages, reverse=True)
        assert row["total_recipients"] == (
            row["pending_count"] + row["failed_count"] + row["sent_count"]
        )


def test_one_assignment_of_a_conversation_is_active_at_most(api: httpx.Client) -> None:
    handed = 0
    for session in rows(api, f"{PROJECT}/whatsapp/conversations"):
        found = rows(api, f"{PROJECT}/whatsapp/conversations/{session['id']}/assignments")
        assert sum(row["active"] for row in found) <= 1
        handed += len(found)
    assert handed > 0


def test_notes_and_call_permissions_hang_on_a_contact(world: World, api: httpx.Client) -> None:
    noted = contact_id(world.notes[0].contact_id)
    assert rows(api, f"{LEGACY}/whatsapp_contacts/{noted}/notes")
    answer = api.get(f"{LEGACY}/whatsapp_contacts/{noted}/call_permissions")
    assert set(answer.json()) == {"data"}
    assert api.get(f"{LEGACY}/whatsapp_contacts/nobody/notes").status_code == 404


@pytest.mark.parametrize(
    ("meta", "following"),
    [
        ({"page": 1, "per_page": 20, "total_pages": 3}, "page:2:20"),
        ({"page": "1", "per_page": "20", "total_pages": "3"}, "page:2:20"),
        ({"current_page": 1, "per_page": 20, "total_count": 21}, "page:2:20"),
        ({"page": 3, "per_page": 20, "total_pages": 3}, None),
        ({"page": 1, "per_page": 20, "total_pages": 0}, None),
        ({"page": True, "total_pages": 2}, "page:2:100"),
        ({"per_page": 20, "total_pages": 3}, "page:2:20"),
        ({"per_page": 20, "total_count": 20}, None),
        ({}, None),
        (None, None),
    ],
)
def test_numbered_pages_are_followed_however_their_numbers_are_written(
    meta: object, following: str | None
) -> None:
    page: Page[Row] = page_of({"data": [], "meta": meta}, END)
    assert page.next == following
