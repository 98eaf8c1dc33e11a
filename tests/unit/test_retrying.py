"""How often a question is asked again, and how long it waits for that."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from transport_stage import Time, a_transport, ask, bad_gateway, failing

from pipelines.errors import (
    BadPayload,
    Unreachable,
)
from pipelines.reading.retrying import THROTTLES, TRIES


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
        async with a_transport(handle, Time(), concurrency=1) as transport:
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
