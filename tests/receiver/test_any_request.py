"""Any request at all has an answer, and never a 500."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from house import BODY, MOST, PATH, House, played
from receiver_bench import SECRET

from pipelines.receiver.signatures import sign

if TYPE_CHECKING:
    pass

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
