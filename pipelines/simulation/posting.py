"""Webhooks as a provider posts them: bodies, in the order in which they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import httpx
from httpx_aiohttp import AiohttpTransport

SENDERS = 16


@dataclass(frozen=True)
class Posted:
    """One webhook.

    Attributes:
        at: when it was sent, UTC.
        event: its name, which stands in a header.
    """

    at: datetime
    event: str
    headers: Mapping[str, str]
    body: bytes


def post(url: str, posted: Iterable[Posted], sign: Callable[[bytes], Mapping[str, str]]) -> int:
    """Post webhooks with a signature; return how many were acknowledged."""
    return asyncio.run(_post(url, iter(posted), sign))


async def _post(
    url: str, posted: Iterator[Posted], sign: Callable[[bytes], Mapping[str, str]]
) -> int:
    # httpx's own pool looks at every connection for every request.
    async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=30) as client:
        counts = await asyncio.gather(*(_send(client, url, posted, sign) for _ in range(SENDERS)))
    return sum(counts)


async def _send(
    client: httpx.AsyncClient,
    url: str,
    posted: Iterator[Posted],
    sign: Callable[[bytes], Mapping[str, str]],
) -> int:
    """One sender: takes the next webhook when its last one was answered."""
    acknowledged = 0
    for each in posted:
        headers = {"content-type": "application/json", **each.headers, **sign(each.body)}
        answer = await client.post(url, content=each.body, headers=headers)
        acknowledged += answer.status_code == 200
    return acknowledged
