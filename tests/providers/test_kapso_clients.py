"""Somebody else's client reads the Kapso simulator, over real HTTP. It was written for the numbered
pages."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from kapso_whatsapp import KapsoPlatformClient, WhatsAppClient
from kapso_whatsapp.exceptions import (
    AuthenticationError,
    NotFoundError,
    RateLimitError,
    ValidationError,
    WhatsAppAPIError,
)
from starlette.applications import Starlette
from starlette.routing import Mount

from pipelines.providers.kapso.simulator import simulate
from pipelines.providers.kapso.simulator_rows import WABA, phone_number_id
from pipelines.simulation import (
    Fault,
    html,
    serve,
    too_many,
)
from pipelines.world import World, make_world

from .test_kapso_simulator import END, KEY, PROXY, Row, walk


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=11, ends_at=END, days=30, conversations_per_day=7)


def test_a_third_partys_platform_client_reads_everything(world: World) -> None:
    async def read(url: str) -> dict[str, list[Any]]:
        async with KapsoPlatformClient(api_key=KEY, base_url=f"{url}/platform/v1") as kapso:
            found = {
                "messages": [m async for m in kapso.messages.iter(per_page=100)],
                "conversations": [c async for c in kapso.conversations.iter(per_page=100)],
                "contacts": [c async for c in kapso.contacts.iter(per_page=100)],
                "numbers": [n async for n in kapso.phone_numbers.iter(per_page=1)],
            }
            single = await kapso.conversations.get(found["conversations"][0].id)
            assert single.id == found["conversations"][0].id
            message = await kapso.messages.get(found["messages"][0].id)
            assert message.kapso.origin
            return found

    part = world.only(channels=["mayorista", "posventa"])
    with serve(simulate(part, api_key=KEY, list_family="page")) as url:
        found = asyncio.run(read(url))
    assert [m.id for m in found["messages"]] == [m.id for m in reversed(part.messages)]
    assert len({c.id for c in found["conversations"]}) == len(found["conversations"]) > 0
    assert len(found["contacts"]) == len(part.contacts)
    assert len(found["numbers"]) == 2


def test_the_same_client_reads_one_page_of_todays_api_and_stops(world: World) -> None:
    async def read(url: str) -> int:
        async with KapsoPlatformClient(api_key=KEY, base_url=f"{url}/platform/v1") as kapso:
            return len([m async for m in kapso.messages.iter(per_page=100)])

    with serve(simulate(world, api_key=KEY)) as url:
        assert asyncio.run(read(url)) == 20


def test_a_third_partys_proxy_client_follows_cursors(world: World) -> None:
    async def read(url: str) -> list[Row]:
        rows: list[Row] = []
        # the client recognises the proxy by `kapso.ai` in its address
        async with WhatsAppClient(
            kapso_api_key=KEY, base_url=f"{url}/kapso.ai/meta/whatsapp"
        ) as client:
            after = None
            while True:
                page = await client.conversations.list(
                    phone_number_id=phone_number_id("ventas"),
                    limit=100,
                    after=after,
                    last_active_until=END,
                )
                rows += page["data"]
                after = page["paging"]["cursors"].get("after")
                if not after:
                    break
            contacts = await client.contacts.list(phone_number_id=phone_number_id("ventas"))
            assert len(contacts["data"]) == 20
            templates = await client.templates.list(business_account_id=WABA)
            assert len(templates["data"]) == len(world.templates)
            return rows

    app = Starlette(routes=[Mount("/kapso.ai", simulate(world, api_key=KEY))])
    with serve(app) as url, httpx.Client(base_url=url, headers={"X-API-Key": KEY}) as api:
        ours = walk(api, f"/kapso.ai{PROXY}/conversations")
        assert asyncio.run(read(url)) == ours


@pytest.mark.parametrize(
    ("settings", "key", "path", "error"),
    [
        ({}, "wrong", "whatsapp/messages", AuthenticationError),
        ({}, KEY, "whatsapp/nothing", NotFoundError),
        ({}, KEY, "whatsapp/messages?limit=101", ValidationError),
        ({"faults": [Fault(too_many(retry_after=7))]}, KEY, "whatsapp/messages", RateLimitError),
        ({"faults": [Fault(html())]}, KEY, "whatsapp/messages", WhatsAppAPIError),
    ],
)
def test_a_third_partys_client_understands_our_errors(
    world: World, settings: Row, key: str, path: str, error: type[WhatsAppAPIError]
) -> None:
    async def ask(url: str) -> None:
        async with KapsoPlatformClient(
            api_key=key, base_url=f"{url}/platform/v1", max_retries=0
        ) as kapso:
            await kapso.request("GET", path)

    with serve(simulate(world, api_key=KEY, **settings)) as url, pytest.raises(error) as raised:
        asyncio.run(ask(url))
    if isinstance(raised.value, RateLimitError):
        assert raised.value.retry_after == 7
