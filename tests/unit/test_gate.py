"""The gate: the quota to the request, the places to the one, the urgent first."""

from __future__ import annotations

import asyncio

import pytest
from transport_stage import Time

from pipelines.reading.gate import Gate, Urgency, urgent


def gate(time: Time, *, per_minute: int = 1000, concurrency: int = 1000) -> Gate:
    return Gate(per_minute, concurrency, clock=time, sleep=time.sleep)


@pytest.mark.parametrize("concurrency", [1, 4, 100])
def test_no_minute_holds_more_requests_than_the_quota(concurrency: int) -> None:
    time = Time()
    starts: list[float] = []

    async def go() -> None:
        door = gate(time, per_minute=10, concurrency=concurrency)

        async def one() -> None:
            async with door.turn():
                starts.append(time.now)
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(45)))

    asyncio.run(go())
    for start in starts:
        assert sum(start <= other < start + 60 for other in starts) <= 10
    assert starts[-1] - starts[0] < 4 * 60 + 10
    assert starts[9] - starts[0] < 1


def test_no_more_are_in_the_air_than_there_are_places() -> None:
    time, most, inside = Time(), 0, 0

    async def go() -> None:
        door = gate(time, concurrency=3)

        async def one() -> None:
            nonlocal most, inside
            async with door.turn():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(20)))

    asyncio.run(go())
    assert most == 3


def test_what_is_fresh_goes_before_what_waited_longer() -> None:
    time = Time()
    order: list[Urgency] = []

    async def go() -> None:
        door = gate(time, per_minute=1)

        async def one(level: Urgency) -> None:
            with urgent(level):
                async with door.turn():
                    order.append(level)

        await asyncio.gather(*(one(level) for level in reversed(Urgency) for _ in range(2)))

    asyncio.run(go())
    assert order == sorted(order)


def test_what_stands_inside_something_less_urgent_is_no_more_urgent() -> None:
    time = Time()
    order: list[str] = []

    async def go() -> None:
        door = gate(time, per_minute=1)

        async def one(name: str, outer: Urgency, inner: Urgency) -> None:
            with urgent(outer), urgent(inner):
                async with door.turn():
                    order.append(name)

        await asyncio.gather(
            one("page of a fan-out", Urgency.FANOUT, Urgency.FRESH),
            one("history", Urgency.FRESH, Urgency.HISTORY),
        )

    asyncio.run(go())
    assert order == ["history", "page of a fan-out"]


def test_a_request_that_gives_up_leaves_its_place() -> None:
    time = Time()

    async def go() -> int:
        door = gate(time, concurrency=1)

        async def one() -> int:
            async with door.turn():
                return 1

        async with door.turn():
            leaving = asyncio.create_task(one())
            await asyncio.sleep(0)
            leaving.cancel()
        return await asyncio.wait_for(one(), 1)

    assert asyncio.run(go()) == 1


def test_a_request_that_gives_up_as_it_is_let_in_gives_its_place_back() -> None:
    time = Time()

    async def go() -> int:
        door = gate(time, concurrency=1)

        async def one() -> int:
            async with door.turn():
                return 1

        async with door.turn():
            leaving = asyncio.create_task(one())
            await asyncio.sleep(0)
        for _ in range(3):  # until its ticket is called, before it has noticed
            await asyncio.sleep(0)
            if not door._line:
                break
        leaving.cancel()
        return await asyncio.wait_for(one(), 1)

    assert asyncio.run(go()) == 1


def test_a_smaller_quota_that_the_provider_tells_is_kept() -> None:
    time = Time()
    starts: list[float] = []

    async def go() -> None:
        door = gate(time, per_minute=1000)

        async def one() -> None:
            async with door.turn():
                starts.append(time.now)
                door.obey(limit=5, remaining=None)

        for _ in range(12):
            await one()
        assert door.per_minute == 5

    asyncio.run(go())
    assert [sum(s <= t < s + 60 for t in starts) <= 5 for s in starts].count(False) == 0


def test_when_none_are_left_the_oldest_must_leave_its_minute_first() -> None:
    time = Time()

    async def go() -> float:
        door = gate(time)
        async with door.turn():
            time.now += 10
        door.obey(limit=None, remaining=0)
        async with door.turn():
            return time.now

    assert asyncio.run(go()) == 1061
