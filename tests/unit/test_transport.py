"""The way out: quota, and errors that carry nothing private."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from transport_stage import KEY, Time, a_transport, ask, failing

from pipelines.errors import (
    BadCursor,
    BadPayload,
    BadRequest,
    ProviderError,
    Stopped,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from pipelines.reading.retrying import TRIES
from pipelines.reading.transport import Transport
from pipelines.salvage import Unreadable

PHONE = "5491126032641"


@pytest.mark.parametrize(
    ("status", "params", "error"),
    [
        (401, {}, Unauthorized),
        (403, {}, Unavailable),
        (404, {}, Unavailable),
        (400, {}, BadRequest),
        (422, {}, BadRequest),
        (302, {}, BadRequest),
        (400, {"after": "abc"}, BadCursor),
        (400, {"cursor": "abc"}, BadCursor),
    ],
)
def test_a_refusal_is_asked_once(
    status: int, params: dict[str, str], error: type[ProviderError]
) -> None:
    response = httpx.Response(status, json={"error": f"no {PHONE}"})
    with pytest.raises(error) as caught:
        ask(lambda n: response, params=params)
    assert caught.value.requests == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"data": [', b'{"data": NaN}', b"null", b"{}", b'{"error": "x"}', b'"ok"'],
)
def test_an_answer_of_the_wrong_shape_is_never_an_empty_page(body: bytes) -> None:
    with pytest.raises(BadPayload) as caught:
        ask(
            lambda n: httpx.Response(200, content=body),
            is_whole=lambda b: isinstance(b, dict) and isinstance(b.get("data"), list),
        )
    assert caught.value.requests == 3  # type: ignore[attr-defined]


def test_an_error_shows_neither_key_nor_query_nor_body_nor_number() -> None:
    def answer(n: int) -> httpx.Response:
        raise httpx.ConnectError(f"no route {KEY}")

    for reply in (answer, lambda n: httpx.Response(403, text=f"{PHONE} {KEY}")):
        with pytest.raises(ProviderError) as caught:
            ask(reply, path=f"/contacts/{PHONE}", params={"phone_number": PHONE})
        message = str(caught.value) + caught.value.hint
        assert KEY not in message + "".join(traceback.format_exception(caught.value))
        assert PHONE not in message
        assert caught.value.__cause__ is None


def test_a_refused_key_stops_every_later_request() -> None:
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401, json={"error": "Unauthorized"})

    async def go() -> int:
        transport = Transport(
            title="Shop",
            base_url="https://api.example",
            headers={},
            requests_per_minute=1000,
            concurrency=1,
            carrier=httpx.MockTransport(handle),
        )
        results = await asyncio.gather(
            *(transport.get("/x") for _ in range(20)), return_exceptions=True
        )
        return sum(isinstance(result, Unauthorized) for result in results)

    assert asyncio.run(go()) == 20
    assert len(seen) == 1


def two_hosts(handle: Callable[[httpx.Request], httpx.Response], time: Time) -> list[Transport]:
    main = a_transport(
        handle, time, base_url="https://new.example", requests_per_minute=3, concurrency=2
    )
    return [main, main.beside("https://old.example/")]


@pytest.mark.parametrize("prefix", ["X-RateLimit", "RateLimit"])
def test_what_a_provider_tells_of_its_quota_is_kept_to(prefix: str) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        headers = {f"{prefix}-Limit": "3", f"{prefix}-Remaining": "2"}
        return httpx.Response(200, json={"data": []}, headers=headers)

    time = Time()
    transport = a_transport(handle, time)

    async def go() -> None:
        for _ in range(4):
            await transport.get("/x")

    began = time.now
    asyncio.run(go())
    assert transport.per_minute == 3
    assert time.now - began >= 60


def test_two_hosts_of_one_account_spend_one_quota() -> None:
    time, starts = Time(), []

    def handle(request: httpx.Request) -> httpx.Response:
        starts.append((time.now, request.url.host))
        return httpx.Response(200, json={})

    async def go() -> int:
        main, side = two_hosts(handle, time)
        async with main:
            for _ in range(4):
                await asyncio.gather(main.get("/a"), side.get("/b"))
        return main.requests

    assert asyncio.run(go()) == 8
    assert {host for _, host in starts} == {"new.example", "old.example"}
    for start, _ in starts:
        assert sum(start <= other < start + 60 for other, _ in starts) <= 3


@pytest.mark.parametrize(
    ("refuses", "asked"),
    [
        ("new.example", ["new.example"]),  # the account ends
        ("old.example", ["new.example", "old.example", "new.example"]),
    ],
)
def test_a_key_that_the_main_host_takes_may_be_refused_by_the_other(
    refuses: str, asked: list[str]
) -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(401 if request.url.host == refuses else 200, json={})

    async def go() -> list[Any]:
        main, side = two_hosts(handle, Time())
        async with main:
            calls = [main.get("/a"), side.get("/b"), side.get("/b"), main.get("/a")]
            return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]

    refusals = [answer for answer in asyncio.run(go()) if isinstance(answer, Unauthorized)]
    assert seen == asked
    assert len(refusals) == (4 if refuses == "new.example" else 2)
    assert {error.ends_account for error in refusals} == {refuses == "new.example"}


def test_what_ended_an_account_is_told_as_short_the_tenth_time_as_the_second() -> None:
    async def go() -> list[int]:
        depths = []
        async with two_hosts(lambda _: httpx.Response(401), Time())[0] as transport:
            for _ in range(10):
                with pytest.raises(Unauthorized) as raised:
                    await transport.get("/a")
                depths.append(len(raised.traceback))
        return depths

    assert len(set(asyncio.run(go())[1:])) == 1


def test_a_side_host_that_is_gone_ends_nothing_else() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "old.example":
            raise httpx.ConnectError("gone")
        return httpx.Response(200, json={})

    async def go() -> None:
        main, side = two_hosts(handle, Time())
        async with main:
            with pytest.raises(Unreachable) as raised:
                await side.get("/b")
            assert not raised.value.ends_account
            await main.get("/a")

    asyncio.run(go())


def test_a_page_with_a_bad_row_is_asked_for_again_and_then_taken_without_it() -> None:
    body = b'{"data":[{"id":"a"},{"id":NaN},{"id":"b"}]}'
    page, requests, _ = ask(lambda n: httpx.Response(200, content=body))
    assert (page, requests) == ({"data": [{"id": "a"}, {}, {"id": "b"}]}, 3)
    cut = failing(2, lambda: httpx.Response(200, content=body))
    assert ask(cut)[:2] == ({"data": []}, 3)


def test_one_thing_with_a_bad_text_is_asked_for_again_and_then_set_aside() -> None:
    body = rb'{"data":{"id":"a","text":"ok \ud83d"}}'
    found, requests, _ = ask(lambda n: httpx.Response(200, content=body), has_rows=False)
    assert isinstance(found["data"], Unreadable)
    assert requests == 3


def test_a_page_that_is_good_json_and_would_lose_something_is_asked_for_once() -> None:
    body = rb'{"data":[{"id":"a","id":"b"},{"id":"c"}]}'
    assert ask(lambda n: httpx.Response(200, content=body))[:2] == ({"data": [{}, {"id": "c"}]}, 1)


def test_a_body_that_drips_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.reading.transport.TOTAL_SECONDS", 0.1)

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    with pytest.raises(Unreachable, match="TimeoutError") as caught:
        ask(lambda n: httpx.Response(200, content=drops()))
    assert caught.value.requests == TRIES  # type: ignore[attr-defined]


@pytest.mark.parametrize("waits_for", ["its quota", "an answer", "Retry-After"])
def test_a_stop_ends_every_wait(waits_for: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.reading.transport.GRACE_SECONDS", 0.1)
    seen = []

    async def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        await asyncio.sleep(100 if waits_for == "an answer" else 0)
        return httpx.Response(429, headers={"Retry-After": "100"})

    async def go() -> list[Any]:
        transport = Transport(
            title="Shop",
            base_url="https://api.example",
            headers={},
            requests_per_minute=1 if waits_for == "its quota" else 1000,
            concurrency=2,
            carrier=httpx.MockTransport(handle),
        )
        asking = [asyncio.ensure_future(transport.get("/x")) for _ in range(5)]
        await asyncio.sleep(0.05)
        transport.stop()
        async with asyncio.timeout(2):
            return await asyncio.gather(*asking, return_exceptions=True)

    assert {type(result) for result in asyncio.run(go())} == {Stopped}
    assert len(seen) <= 2


def test_an_answer_that_is_on_its_way_when_the_run_stops_is_kept() -> None:
    async def handle(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        return httpx.Response(200, json=[])

    async def go() -> Any:
        transport = Transport(
            title="Shop",
            base_url="https://api.example",
            headers={},
            requests_per_minute=1000,
            concurrency=1,
            carrier=httpx.MockTransport(handle),
        )
        asking = asyncio.ensure_future(transport.get("/x"))
        await asyncio.sleep(0.02)
        transport.stop()
        return (await asking).body

    assert asyncio.run(go()) == []
