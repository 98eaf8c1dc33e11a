"""The toy's lists, page by page.

GET /v1/<things>?cursor=…    X-Toy-Key: <key>

{"data": [{…}], "next": "2026-03-20T21:00:00.000000Z|42"}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pipelines.cursors import Page
from pipelines.provider import Row
from pipelines.reading.transport import Transport
from pipelines.settings import Account

LIMIT = 100


class Toy:
    """One account."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def page(self, things: str, cursor: str | None) -> Page[Row]:
        """A page of a list; None is the first."""
        params = {"limit": LIMIT, "cursor": cursor}
        answer = await self.transport.get(f"/v1/{things}", params, is_whole=_is_list)
        return Page(answer.body["data"], answer.body.get("next"), answer.fetched_at)


def _is_list(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("data"), list)


@asynccontextmanager
async def connect(account: Account) -> AsyncIterator[Toy]:
    """A client of an account."""
    transport = Transport(
        title="Toy",
        base_url=account.base_url,
        headers={"X-Toy-Key": account.key},
        requests_per_minute=account.requests_per_minute,
        concurrency=account.concurrency,
        retry_seconds=account.retry_seconds,
    )
    async with transport:
        yield Toy(transport)


async def probe(client: Toy) -> None:
    """The cheapest request that needs a good key."""
    await client.transport.get("/v1/conversations", {"limit": 1}, is_whole=_is_list)
