"""A scripted server, a clock that only sleeping moves, and one question asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from pipelines.errors import ProviderError
from pipelines.reading.transport import Transport

KEY = "CANARY-key-4711"


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        for _ in range(100):  # whoever was let in before starts before the time passes
            await asyncio.sleep(0)
        self.now += seconds


Answer = Callable[[int], httpx.Response]


def a_transport(handle: Callable[[httpx.Request], Any], time: Time, **given: Any) -> Transport:
    """A transport to a scripted server, by a clock that only sleeping moves."""
    return Transport(
        **{
            "title": "Shop",
            "base_url": "https://api.example",
            "headers": {"X-API-Key": KEY},
            "requests_per_minute": 1000,
            "concurrency": 4,
            "carrier": httpx.MockTransport(handle),
            "clock": time,
            "sleep": time.sleep,
            **given,
        }
    )


def ask(
    answer: Answer, *, path: str = "/list", params: dict[str, Any] | None = None, **get: Any
) -> tuple[Any, int, float]:
    """One GET against a scripted server: the body, the requests it took, the seconds slept."""
    time, seen = Time(), []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(len(seen))

    async def go() -> Any:
        transport = a_transport(handle, time)
        async with transport:
            return (await transport.get(path, params, **get)).body

    try:
        return asyncio.run(go()), len(seen), time.now - 1000
    except ProviderError as error:
        error.requests = len(seen)  # type: ignore[attr-defined]
        raise
    finally:
        assert {request.method for request in seen} <= {"GET"}


def failing(times: int, response: Callable[[], httpx.Response]) -> Answer:
    return lambda n: response() if n <= times else httpx.Response(200, json={"data": []})


def bad_gateway() -> httpx.Response:
    return httpx.Response(502, html="<html>")
