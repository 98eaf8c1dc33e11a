"""A receiver in this process, over its ASGI app, with a real log; and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from receiver_bench import settings_of, signed

from pipelines.providers import find
from pipelines.receiver.app import Receiver
from pipelines.receiver.doors import doors
from pipelines.receiver.metrics import Metrics
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.receiver.writer import Writer
from pipelines.settings import Account

if TYPE_CHECKING:
    pass

BODY = b'{"message":{"id":"wamid.1"}}'
PATH = "/webhooks/kapso/shop"
MOST = 5_000


class House:
    """A receiver in this process, and a client for it."""

    def __init__(self, log: Any, receiver: Receiver) -> None:
        self.log, self.receiver = log, receiver
        transport = httpx.ASGITransport(receiver.app())
        self.client = httpx.AsyncClient(transport=transport, base_url="http://receiver")

    async def post(self, body: Any = BODY, path: str = PATH, **headers: str) -> httpx.Response:
        given = headers or signed(body)
        return await self.client.post(path, content=body, headers=given)

    def counted(self) -> dict[str, int]:
        return {name: n for name, n in self.receiver.metrics.totals().items() if n}


@asynccontextmanager
async def house(folder: Path, *accounts: Account, log: Any = None) -> AsyncIterator[House]:
    made = log or SqliteLog(folder / "deliveries.db")
    writer = Writer(made)
    writer.start()
    receiver = Receiver(
        doors(settings_of(folder, *accounts), find()),
        writer,
        Metrics(),
        MOST,
        clock=lambda: datetime.now(UTC),
    )
    found = House(made, receiver)
    try:
        yield found
    finally:
        await found.client.aclose()
        writer.close(2)
        made.close()


def played(play: Callable[[House], Awaitable[None]], folder: Path, *accounts: Account) -> None:
    """Run a scene against a receiver."""

    async def scene() -> None:
        async with house(folder, *accounts) as found:
            await play(found)

    asyncio.run(scene())
