"""What the receiver answers when its log fails, senders are slow or gone, or the disk is full."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from house import BODY, MOST, PATH, House, house, played
from receiver_bench import signed

from pipelines.errors import LogBroken, LogError
from pipelines.failpoint import NAMES, arm
from pipelines.receiver import app as module
from pipelines.receiver import writer as writing
from pipelines.receiver.log import Arrival
from pipelines.receiver.postgres_log import PostgresLog
from pipelines.receiver.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from real_postgres import Server


class Failing(SqliteLog):
    """A log whose commits fail as they are told to."""

    failure: Exception | None = None
    hangs: threading.Event | None = None
    calls = 0

    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        self.calls += 1
        if self.hangs:
            self.hangs.wait(30)
        if self.failure:
            raise self.failure
        return super().append(arrivals)

    def check(self, size: int = 0) -> None:
        if self.failure:
            raise self.failure
        super().check(size)


@pytest.fixture
def failing(tmp_path: Path) -> Failing:
    return Failing(tmp_path / "deliveries.db")


async def healthy(house: House) -> int:
    house.receiver._probed_at = float("-inf")
    return (await house.client.get("/healthz")).status_code


@pytest.mark.parametrize("failure", [LogError("no room"), RuntimeError("a bug")], ids=repr)
def test_what_cannot_be_stored_is_not_acknowledged_until_it_can(
    failing: Failing, tmp_path: Path, failure: Exception
) -> None:
    async def scene() -> None:
        async with house(tmp_path, log=failing) as found:
            assert await healthy(found) == 200
            failing.failure = failure
            answers = await asyncio.gather(*(found.post(b"%d" % i) for i in range(100)))
            assert {(a.status_code, a.headers["retry-after"]) for a in answers} == {(503, "10")}
            assert await healthy(found) == 503
            failing.failure = None
            assert await healthy(found) == 200
            assert (await found.post()).status_code == 200
            assert [d.body for d in failing.read(0, 1000)] == [BODY]
            assert found.counted() == {"accepted": 1, "log": 100}

    asyncio.run(scene())


def test_room_for_a_small_row_is_not_health_while_a_delivery_finds_none(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "deliveries.db")

    async def scene() -> None:
        async with house(tmp_path, log=log) as found:
            assert (await found.post()).status_code == 200
            assert log._connection
            [(pages,)] = log._connection.execute("pragma page_count")
            log._connection.execute(f"pragma max_page_count = {pages}")
            assert (await found.post(b"x" * MOST)).status_code == 503
            assert (await found.post(b"small")).status_code == 200
            assert [await healthy(found) for _ in range(3)] == [503, 503, 503]
            log._connection.execute("pragma max_page_count = 1000")
            assert await healthy(found) == 200
            assert (await found.post(b"x" * MOST)).status_code == 200

    asyncio.run(scene())


def test_a_database_that_is_away_is_waited_for(postgres: Server, tmp_path: Path) -> None:
    log = PostgresLog(postgres.database())

    async def scene() -> None:
        async with house(tmp_path, log=log) as found:
            assert (await found.post(b"before")).status_code == 200
            assert log._connection
            database = log._connection.info.dbname
            postgres.run(f"alter database {database} allow_connections false")
            postgres.run(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                f"where datname = '{database}'"
            )
            answers = [await found.post(b"during %d" % i) for i in range(3)]
            assert {answer.status_code for answer in answers} == {503}
            assert await healthy(found) == 503
            postgres.run(f"alter database {database} allow_connections true")
            assert await healthy(found) == 200
            assert (await found.post(b"after")).status_code == 200
            assert [d.body for d in log.read(0, 10)] == [b"before", b"after"]

    asyncio.run(scene())


def test_after_a_failed_flush_nothing_is_acknowledged_any_more(
    failing: Failing, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with house(tmp_path, log=failing) as found:
            assert (await found.post(b"before")).status_code == 200
            failing.failure = LogBroken("the disk failed")
            assert (await found.post()).status_code == 503
            failing.failure, failing.calls = None, 0
            answers = [await found.post(b"before") for _ in range(100)]
            assert {answer.status_code for answer in answers} == {503}
            assert await healthy(found) == 503
            assert failing.calls == 0

    asyncio.run(scene())


def test_a_commit_that_hangs_is_not_waited_for(
    failing: Failing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMIT_SECONDS", 0.1)
    monkeypatch.setattr(writing, "STUCK_SECONDS", 0.05)

    async def scene() -> None:
        async with house(tmp_path, log=failing) as found:
            failing.hangs = threading.Event()
            assert (await found.post(b"one")).status_code == 503
            answers = [await found.post(b"two") for _ in range(5)]
            assert {answer.status_code for answer in answers} == {503}
            assert not found.receiver.writer._queue  # nothing piles up behind it
            assert await healthy(found) == 503
            failing.hangs.set()
            failing.hangs = None
            while found.receiver.writer._began_at:  # noqa: ASYNC110 - a thread's end
                await asyncio.sleep(0.01)
            assert (await found.post(b"one")).status_code == 200
            assert [d.body for d in failing.read(0, 10)] == [b"one"]
            assert found.counted() == {"late": 1, "log": 5, "duplicates": 1}

    asyncio.run(scene())


def test_what_nobody_waits_for_any_more_is_not_written(failing: Failing, tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path, log=failing) as found:
            failing.hangs = threading.Event()
            first = asyncio.create_task(found.post(b"one"))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(found.post(b"two"))
            await asyncio.sleep(0.05)
            for waiting in found.receiver.writer._queue:
                waiting.done.cancel()
            failing.hangs.set()
            assert (await first).status_code == 200
            assert (await second).status_code == 503
            assert [d.body for d in failing.read(0, 10)] == [b"one"]

    asyncio.run(scene())


def test_a_body_that_comes_too_slowly_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    async def play(house: House) -> None:
        answer = await house.post(slow(), **signed(BODY))
        assert answer.status_code == 408
        assert house.receiver._held == 0

    played(play, tmp_path)


def test_bodies_in_memory_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 2_000)

    async def play(house: House) -> None:
        held = asyncio.Event()

        async def waiting() -> AsyncIterator[bytes]:
            yield b"x" * 1_500
            await held.wait()

        first = asyncio.create_task(house.post(waiting(), **signed(b"x" * 1_500)))
        await asyncio.sleep(0.01)
        assert (await house.post(b"y" * 1_000)).status_code == 503
        held.set()
        assert (await first).status_code == 200
        assert (await house.post(b"y" * 1_000)).status_code == 200
        assert house.counted() == {"accepted": 2, "crowded": 1}
        assert house.receiver._held == 0

    played(play, tmp_path)


def test_a_sender_that_leaves_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    async def play(house: House) -> None:
        for sent in range(100):
            messages = [
                {"type": "http.request", "body": BODY[: sent % 20], "more_body": True},
                {"type": "http.disconnect"},
            ]

            async def receive(left: list[Any] = messages) -> Any:
                return left.pop(0)

            async def send(message: Any) -> None:
                raise AssertionError("nobody is there")

            scope = {
                "type": "http", "method": "POST", "path": PATH, "headers": [],
                "path_params": {"provider": "kapso", "account": "shop"},
            }  # fmt: skip
            await house.receiver.take(scope, receive, send)
        assert house.log.read(0, 10) == []
        assert house.counted() == {"gone": 100}

    played(play, tmp_path)


@pytest.mark.parametrize("place", [n for n in NAMES if n in ("receive.begin", "receive.verified")])
def test_a_bug_is_a_503_and_tells_nothing(
    tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(house: House) -> None:
        arm(f"{place}=raise")
        answer = await house.post(b"CANARY-5491155550000")
        assert (answer.status_code, answer.text) == (503, "Service Unavailable")
        assert house.counted() == {"error": 1}

    played(play, tmp_path)
    assert "CANARY" not in caplog.text
    assert "Injected" in caplog.text


def test_a_full_disk_is_a_503(tmp_path: Path) -> None:
    async def play(house: House) -> None:
        arm("log.commit=enospc")
        assert (await house.post()).status_code == 503
        assert (await house.post()).status_code == 200
        arm("log.commit=eio")
        assert (await house.post(b"x")).status_code == 503
        assert (await house.post(b"x")).status_code == 503
        assert "disk" in str(house.receiver.writer.failure)

    played(play, tmp_path)
