"""The answers of the receiver, over the ASGI app in this process and a real log."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from receiver_bench import SECRET, account, settings_of, signed

from pipelines.errors import LogBroken, LogError
from pipelines.failpoint import NAMES, arm
from pipelines.providers import find
from pipelines.receiver import app as module
from pipelines.receiver import writer as writing
from pipelines.receiver.app import Receiver
from pipelines.receiver.doors import doors
from pipelines.receiver.log import Arrival
from pipelines.receiver.metrics import Metrics
from pipelines.receiver.postgres_log import PostgresLog
from pipelines.receiver.signatures import sign
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.receiver.writer import Writer
from pipelines.settings import Account

if TYPE_CHECKING:
    from real_postgres import Server

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


def test_a_signed_delivery_is_stored_as_it_came_and_then_acknowledged(tmp_path: Path) -> None:
    async def play(house: House) -> None:
        headers = {
            **signed(BODY),
            "X-Webhook-Event": "whatsapp.message.received",
            "X-Idempotency-Key": "k-1",
            "X-Forwarded-For": "203.0.113.9",
            "Content-Type": "application/json",
        }
        answer = await house.post(**headers)
        assert (answer.status_code, answer.text) == (200, "OK")
        (found,) = house.log.read(0, 10)
        assert (found.provider, found.account, found.body) == ("kapso", "shop", BODY)
        assert found.headers == {
            "x-webhook-event": "whatsapp.message.received",
            "x-idempotency-key": "k-1",
            "content-type": "application/json",
        }
        assert house.counted() == {"accepted": 1}

    played(play, tmp_path)


def test_a_replay_adds_nothing_and_a_key_used_again_hides_nothing(tmp_path: Path) -> None:
    async def play(house: House) -> None:
        other = BODY + b" "
        for body, key in [(BODY, "a"), (BODY, "a"), (BODY, "b"), (other, "a")]:
            answer = await house.post(body, **signed(body), **{"X-Idempotency-Key": key})
            assert answer.status_code == 200
        answers = await asyncio.gather(*(house.post() for _ in range(300)))
        assert {answer.status_code for answer in answers} == {200}
        assert [d.body for d in house.log.read(0, 10)] == [BODY, other]
        assert [d.copies for d in house.log.read(0, 10)] == [302, 0]
        assert house.counted() == {"accepted": 2, "duplicates": 302}

    played(play, tmp_path)


UNDERSTOOD_LATER = {
    "not JSON": b"hello",
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "an unknown event": b'{"event":"from.the.future"}',
    "no phone": b'{"message":{}}',
    "deep": b"[" * 2_000,
    "a long number": b"9" * 4_500,
    "invalid UTF-8": b"\xff\xfe",
    "NUL": b"\x00",
    "a lone surrogate": b'"\\ud800"',
    "form": b"a=1&b=2",
}


@pytest.mark.parametrize("body", UNDERSTOOD_LATER.values(), ids=UNDERSTOOD_LATER)
def test_what_is_signed_is_stored_whatever_it_holds(tmp_path: Path, body: bytes) -> None:
    async def play(house: House) -> None:
        assert (await house.post(body)).status_code == 200
        assert [d.body for d in house.log.read(0, 10)] == [body]

    played(play, tmp_path)


def test_a_wrong_signature_and_a_missing_account_get_the_same_answer(tmp_path: Path) -> None:
    async def play(house: House) -> None:
        wrong = {"X-Webhook-Signature": "0" * 64}
        answers = [
            await house.post(**wrong),
            await house.post(BODY, "/webhooks/kapso/nobody"),
            await house.post(BODY, "/webhooks/nobody/shop"),
            await house.post(BODY, "/webhooks/kapso/" + "x" * 3_000),
            await house.post(BODY, "/webhooks/kapso/..", **wrong),
            await house.post(**{"X-Webhook-Signature": b"\xe9" * 64}),  # type: ignore[arg-type]
            await house.post(**{"X-Other": "1"}),
        ]
        told = {(a.status_code, a.text, tuple(sorted(a.headers.items()))) for a in answers}
        assert len({(status, text) for status, text, _ in told if status != 404}) == 1
        assert {a.status_code for a in answers} <= {401, 404}
        assert house.log.read(0, 10) == []

    played(play, tmp_path)


def test_what_is_refused_and_why(tmp_path: Path) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 1_000):
            yield b"x" * 1_000

    async def play(house: House) -> None:
        exact = b"x" * MOST
        assert (await house.post(exact)).status_code == 200
        cases: list[tuple[Any, dict[str, str], int]] = [
            (b"x" * (MOST + 1), {}, 413),
            (chunks(MOST + 1_000), {"transfer-encoding": "chunked"}, 413),
            (BODY, {"content-length": "9" * 30}, 413),
            (b"", {}, 400),
            (BODY, {"content-length": "-1"}, 400),
            (BODY, {"content-length": "1e3"}, 400),
            (BODY, {"transfer-encoding": "chunked", "content-length": "5"}, 400),
            (BODY, {"content-encoding": "gzip"}, 415),
            (BODY, {"content-encoding": "identity, br"}, 415),
        ]
        for body, headers, status in cases:
            sure = signed(body) if isinstance(body, bytes) else {"X-Webhook-Signature": "0"}
            assert (await house.post(body, **sure, **headers)).status_code == status, headers
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"):
            answer = await house.client.request(method, PATH)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        for path in ("/", "/webhooks", "/webhooks/kapso", f"{PATH}/", "/docs",
                     "/openapi.json", "/metrics", "/webhooks/kapso/shop/x"):  # fmt: skip
            assert (await house.post(path=path)).status_code == 404, path
        assert house.counted() == {
            "accepted": 1, "length": 3, "empty": 1, "framing": 3, "encoding": 2, "method": 7,
            "path": 8,
        }  # fmt: skip

    played(play, tmp_path)


def test_a_second_secret_another_header_and_a_second_lock(tmp_path: Path) -> None:
    old = b"the secret of last month"
    two = account("two", webhook_secrets=[SECRET.decode(), old.decode()])
    other = account(
        "other", signature_header="X-Sig", signature_prefix="v1=", signature_encoding="base64"
    )
    locked = account("locked", required_headers={"X-Shop": "a long random value"})
    door = doors(settings_of(tmp_path, two, other, locked), find())

    async def play(house: House) -> None:
        for secret, status in [(SECRET, 200), (old, 200), (b"yet another secret", 401)]:
            answer = await house.post(BODY, "/webhooks/kapso/two", **signed(BODY, secret))
            assert answer.status_code == status
        value = sign(BODY, SECRET, door["kapso", "other"].scheme).decode()
        path = "/webhooks/kapso/other"
        assert (await house.post(BODY, path, **{"X-Sig": value})).status_code == 200
        assert (await house.post(BODY, path, **signed(BODY))).status_code == 401
        path = "/webhooks/kapso/locked"
        for shown, status in [("a long random value", 200), ("another", 401), ("", 401)]:
            answer = await house.post(BODY, path, **signed(BODY), **{"X-Shop": shown})
            assert answer.status_code == status
        assert (await house.post(BODY, path, **signed(BODY))).status_code == 401

    played(play, tmp_path, two, other, locked)


def test_a_door_shows_no_secret_where_it_is_printed(tmp_path: Path) -> None:
    locked = account(required_headers={"X-Shop": SECRET.decode()})
    assert "CANARY" not in repr(doors(settings_of(tmp_path, locked), find()))
    assert "CANARY" not in repr(settings_of(tmp_path, locked))


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


# Fuzzing: any request at all has an answer, and never a 500.

METHODS = ["POST"] * 12 + ["GET", "PUT", "HEAD", "OPTIONS", "TRACE", "PATCH", "DELETE", "X", ""]
PATHS = [PATH] * 8 + [
    "/webhooks/kapso/none", "/webhooks//", "/webhooks/%00/%ff", "/healthz", "/", "", "//", "/../..",
    "/webhooks/kapso/\ud800", "/webhooks/kapso/" + "a" * 5_000, "/webhooks/KAPSO/shop",
]  # fmt: skip
NAMES_OF_HEADERS = [
    b"content-length", b"content-encoding", b"transfer-encoding", b"x-webhook-signature",
    b"x-webhook-event", b"x-idempotency-key", b"content-type", b"host", b"expect", b"", b"\xff",
]  # fmt: skip


def junk(dice: random.Random) -> bytes:
    kinds = [
        lambda: dice.randbytes(dice.randrange(80)),
        lambda: str(dice.choice([0, 1, 7, -1, 10**6, 10**40])).encode(),
        lambda: dice.choice([b"gzip", b"identity", b"chunked", b"sha256=", b"", b"\x00", b"\r\n"]),
        lambda: sign(BODY, SECRET),
        lambda: sign(BODY, SECRET) * dice.randrange(3),
        lambda: "é€".encode("utf-16"),
    ]
    return dice.choice(kinds)()


def a_request(dice: random.Random) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    headers = [(dice.choice(NAMES_OF_HEADERS), junk(dice)) for _ in range(dice.randrange(5))]
    body = dice.choice([BODY, b"", dice.randbytes(dice.randrange(60)), b"x" * (MOST + 1)])
    if dice.random() < 0.4:
        headers.append((b"x-webhook-signature", sign(body, SECRET)))
    messages: list[dict[str, Any]] = []
    while body and dice.random() < 0.7:
        cut = dice.randrange(len(body) + 1)
        messages.append({"type": "http.request", "body": body[:cut], "more_body": True})
        body = body[cut:]
    last = dice.choice(
        [{"type": "http.request", "body": body, "more_body": False}] * 9
        + [{"type": "http.request"}, {"type": "http.disconnect"}]
    )
    scope = {"type": "http", "method": dice.choice(METHODS), "path": dice.choice(PATHS),
             "headers": headers, "query_string": junk(dice), "root_path": ""}  # fmt: skip
    return scope, [*messages, last]


async def ask(app: Any, dice: random.Random) -> int:
    """The status of a random request; 0 when its sender was gone."""
    scope, messages = a_request(dice)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"] if sent else 0


@pytest.mark.parametrize(
    "requests", [2_000, pytest.param(100_000, marks=pytest.mark.matrix)], ids=str
)
def test_any_request_has_an_answer_and_never_a_500(tmp_path: Path, requests: int) -> None:
    seed = 20260301
    seen: Counter[int] = Counter()

    async def play(house: House) -> None:
        app, dice = house.receiver.app(), random.Random(seed)
        for _ in range(requests):
            seen[await ask(app, dice)] += 1
        counts = house.counted()
        kept = counts.pop("accepted") + counts.pop("duplicates")
        assert kept == seen[200] - seen_health(seen, requests, seed)
        assert sum(counts.values()) + seen[200] == requests
        assert {d.account for d in house.log.read(0, 10_000)} == {"shop"}
        assert counts.get("error", 0) == 0

    played(play, tmp_path)
    assert set(seen) == {0, 200, 400, 401, 404, 405, 413, 415}, seen


def seen_health(seen: Counter[int], requests: int, seed: int) -> int:
    """How many of the 200 were health checks."""
    dice, found = random.Random(seed), 0
    for _ in range(requests):
        scope, _ = a_request(dice)
        found += scope["method"] == "GET" and scope["path"] == "/healthz"
    return found
