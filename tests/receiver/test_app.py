"""The answers of the receiver, over the ASGI app in this process and a real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from house import BODY, MOST, PATH, House, played
from receiver_bench import SECRET, account, settings_of, signed

from pipelines.providers import find
from pipelines.receiver.doors import doors
from pipelines.receiver.signatures import sign

if TYPE_CHECKING:
    pass


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
