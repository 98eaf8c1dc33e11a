"""The way out: quota, retries, and errors that carry nothing private."""

from __future__ import annotations

import asyncio
import itertools
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

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
from pipelines.reading.retrying import THROTTLES, TRIES
from pipelines.reading.transport import Transport
from pipelines.salvage import Unreadable

KEY = "CANARY-key-4711"
PHONE = "5491126032641"


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


def ask(
    answer: Answer, *, path: str = "/list", params: dict[str, Any] | None = None, **get: Any
) -> tuple[Any, int, float]:
    """One GET against a scripted server: the body, the requests it took, the seconds slept."""
    time, seen = Time(), []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(len(seen))

    async def go() -> Any:
        transport = Transport(
            title="Shop",
            base_url="https://api.example",
            headers={"X-API-Key": KEY},
            requests_per_minute=1000,
            concurrency=4,
            carrier=httpx.MockTransport(handle),
            clock=time,
            sleep=time.sleep,
        )
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


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    body, requests, _ = ask(failing(2, lambda: httpx.Response(status, text="Bad Gateway")))
    assert (body, requests) == ({"data": []}, 3)


def test_a_lasting_failure_ends_after_six_tries() -> None:
    with pytest.raises(Unreachable) as caught:
        ask(lambda n: bad_gateway())
    assert caught.value.requests == TRIES  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("60", 60),
        ("99999", 120),
        ("soon", 60),
        (None, 60),
        ("²", 60),
        ("9" * 5000, 120),
        ("in 90 s", 90),
    ],
)
def test_the_wait_that_is_asked_for_is_kept(header: str | None, seconds: float) -> None:
    if header == "in 90 s":
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=90))
    headers = {b"Retry-After": header.encode("latin-1")} if header else {}
    _, requests, slept = ask(failing(1, lambda: httpx.Response(429, headers=headers)))
    assert requests == 2
    assert slept == pytest.approx(seconds, abs=3)


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_a_wait_until_a_time_is_measured_by_the_clock_that_told_it(ahead: int) -> None:
    now = datetime.now(UTC) + timedelta(hours=ahead)
    until = format_datetime(now + timedelta(seconds=90))
    headers = {"Retry-After": until, "Date": format_datetime(now)}
    _, requests, slept = ask(failing(1, lambda: httpx.Response(429, headers=headers)))
    assert (requests, slept) == (2, 90)


def test_a_provider_that_asks_for_no_wait_is_asked_ever_less_often_all_the_same() -> None:
    no_wait = httpx.Response(429, headers={"Retry-After": "0"})
    _, requests, slept = ask(failing(5, lambda: no_wait))
    assert requests == 6
    assert 0.5 * 15.5 <= slept <= 15.5


def test_waits_that_are_asked_for_use_up_no_try() -> None:
    wait = httpx.Response(429, headers={"Retry-After": "60"})
    answers = {**dict.fromkeys(range(1, 21), wait), **dict.fromkeys(range(21, 26), bad_gateway())}
    body, requests, slept = ask(lambda n: answers.get(n, httpx.Response(200, json=[])))
    assert (body, requests) == ([], 26)
    assert 20 * 60 <= slept <= 20 * 60 + 15.5  # five failures after them wait as if they were alone


def ask_again_and_again(statuses: Iterator[int], *, is_late: bool) -> list[tuple[str, int]]:
    """What five requests in turn come to, and how often each asks."""
    seen: list[int] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(next(statuses))
        return httpx.Response(seen[-1], json=[])

    async def go() -> list[tuple[str, int]]:
        async with Transport(
            title="Shop",
            base_url="https://api.example",
            headers={},
            requests_per_minute=1000,
            concurrency=1,
            carrier=httpx.MockTransport(handle),
            clock=(time := Time()),
            sleep=time.sleep,
        ) as transport:
            if is_late:
                transport.hurry()
            told = []
            for _ in range(5):
                before = len(seen)
                try:
                    await transport.get("/list")
                except Unreachable as error:
                    told.append((str(error), len(seen) - before))
                else:
                    told.append(("well", len(seen) - before))
            return told

    return asyncio.run(go())


@pytest.mark.parametrize(("is_late", "tries"), [(False, THROTTLES + 1), (True, TRIES)])
def test_a_provider_that_only_ever_asks_to_wait_is_waited_for_once(
    is_late: bool, tries: int
) -> None:
    answers = itertools.chain([429] * (tries + 2), [200], itertools.repeat(429))
    gives_up = "Shop still asks to wait (429 on GET /list)"
    assert ask_again_and_again(answers, is_late=is_late) == [
        (gives_up, tries),
        (gives_up, 1),
        (gives_up, 1),
        ("well", 1),
        (gives_up, tries),
    ]


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


def test_a_failing_server_makes_no_body_worse() -> None:
    # A list of thousands of pages meets every order of a few failures.
    answers = {1: 500, 2: 503, 3: 200}

    def answer(n: int) -> httpx.Response:
        if n in answers:
            return httpx.Response(answers[n], html="<html>")
        return httpx.Response(200, json={"data": []})

    assert ask(answer)[:2] == ({"data": []}, 4)


def test_bodies_that_are_no_answers_are_counted_whatever_lies_between() -> None:
    with pytest.raises(BadPayload) as caught:
        ask(lambda n: httpx.Response(502 if n % 2 else 200, html="<html>"))
    assert caught.value.requests == TRIES  # type: ignore[attr-defined]


def test_a_connection_that_breaks_is_tried_again() -> None:
    def answer(n: int) -> httpx.Response:
        if n < 3:
            raise httpx.ReadError("cut off")
        return httpx.Response(200, json=[])

    assert ask(answer)[:2] == ([], 3)


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
    main = Transport(
        title="Shop",
        base_url="https://new.example",
        headers={"X-API-Key": KEY},
        requests_per_minute=3,
        concurrency=2,
        carrier=httpx.MockTransport(handle),
        clock=time,
        sleep=time.sleep,
    )
    return [main, main.beside("https://old.example/")]


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
