"""The receiver as a server, over real sockets: limits, deadlines, too many at once."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from receiver_bench import (
    HOST,
    PATH,
    SECRET,
    Ledger,
    account,
    load,
    post,
    read_answer,
    running,
    settings_of,
    stored,
)

from pipelines.errors import ConfigError, LogError
from pipelines.providers import find
from pipelines.receiver import app as module
from pipelines.receiver import guard, serving, sqlite_log
from pipelines.receiver.guard import SECONDS, Phase
from pipelines.receiver.serving import Receiving, prepared, serve
from pipelines.receiver.sqlite_log import SqliteLog

BODY = b'{"message":{"id":"wamid.1"}}'


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[Receiving]:
    with serve(settings_of(tmp_path), find()) as found:
        yield found


def connect(receiving: Receiving) -> socket.socket:
    return socket.create_connection((HOST, port_of(receiving)), timeout=10)


def port_of(receiving: Receiving) -> int:
    return int(receiving.url.rpartition(":")[2])


def answers(receiving: Receiving, sent: bytes, *, closes: bool = False) -> bytes:
    """All that comes back until the receiver closes the connection."""
    with connect(receiving) as there:
        with suppress(ConnectionError):
            there.sendall(sent)
        if closes:
            with suppress(OSError):  # it was cut already
                there.shutdown(socket.SHUT_WR)
        return until_closed(there)


def until_closed(there: socket.socket) -> bytes:
    found = b""
    try:
        while more := there.recv(65536):
            found += more
    except ConnectionError:
        pass
    return found


def statuses(answered: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answered)]


CLOSE = {"Connection": "close"}


def test_a_connection_serves_several_and_tells_nothing_of_the_server(receiving: Receiving) -> None:
    forged = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "Forwarded": "for=::1"}
    sent = post(BODY) + post(BODY, **forged) + post(b"[1]", **CLOSE)
    answered = answers(receiving, sent)
    assert statuses(answered) == [200, 200, 200]
    assert b"server:" not in answered.lower()
    assert receiving.metrics.totals()["accepted"] == 2
    assert receiving.metrics.totals()["duplicates"] == 1


def head(path: str = PATH, method: str = "POST", **headers: str) -> bytes:
    lines = "".join(f"{n.replace('_', '-')}: {v}\r\n" for n, v in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: r\r\n{lines}\r\n".encode()


BROKEN = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": b"POST / HTTP/1.1\r\n\r\n",
    "a length twice": head(Content_Length="5")[:-2] + b"Content-Length: 6\r\n\r\nhello",
    "a length below zero": head(Content_Length="-5"),
    "a length of letters": head(Content_Length="five"),
    "a bad chunk": head(Transfer_Encoding="chunked") + b"zz\r\n",
    "another coding": head(Transfer_Encoding="gzip"),
    "length and chunks": head(Transfer_Encoding="chunked", Content_Length="5") + b"0\r\n\r\n",
    "header of 17 KiB": head(X_Long="x" * 17_000),
    "header of 1 MiB": b"POST / HTTP/1.1\r\nx: " + b"x" * 1_000_000,
    "many headers": head(**{f"X-{i}": "x" * 50 for i in range(500)}),
    "NUL in a header": b"POST / HTTP/1.1\r\nHost: r\r\nX: a\x00b\r\n\r\n",
    "a blank in the path": b"POST /a b HTTP/1.1\r\nHost: r\r\n\r\n",
    "a folded header": b"POST / HTTP/1.1\r\nHost: r\r\nX : a\r\n\r\n",
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
def test_broken_http_is_refused(receiving: Receiving, sent: bytes) -> None:
    found = statuses(answers(receiving, sent, closes=True))
    assert found in ([400], [501]), found
    until = time.monotonic() + 5
    while not (counted := {name for name, n in receiving.metrics.totals().items() if n}):
        assert time.monotonic() < until  # it may be counted after the connection is closed
    assert counted in ({"framing"}, {"gone"}), counted


def test_a_bad_end_of_a_body_that_was_refused_already_ends_it(
    receiving: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    begun = head("/nowhere", Transfer_Encoding="chunked") + b"3\r\nabc\r\n"
    with connect(receiving) as there:
        there.sendall(begun)
        answer = HTTPResponse(there)
        answer.begin()
        assert (answer.status, answer.read()) == (404, b"Not Found")
        there.sendall(b"zz\r\n")
        assert until_closed(there) == b""
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_a_length_that_lies(receiving: Receiving, tmp_path: Path) -> None:
    shorter = post(BODY).replace(b"Content-Length: 28", b"Content-Length: 20")
    assert statuses(answers(receiving, shorter, closes=True)) == [401]
    longer = post(BODY).replace(b"Content-Length: 28", b"Content-Length: 29")
    assert statuses(answers(receiving, longer, closes=True)) == []
    assert stored(tmp_path) == []


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_of_200_mib_is_refused_and_costs_no_memory(tmp_path: Path, is_chunked: bool) -> None:
    piece = b"x" * 1_048_576
    with running(tmp_path) as receiver:
        before = receiver.peak_megabytes()
        with socket.create_connection((HOST, receiver.port), timeout=10) as there:
            framing = {"Transfer_Encoding": "chunked"} if is_chunked else {}
            there.sendall(head(**framing or {"Content_Length": str(200 * len(piece))}))
            try:
                for _ in range(200):
                    there.sendall(b"100000\r\n%s\r\n" % piece if is_chunked else piece)
            except ConnectionError:
                pass
            assert statuses(until_closed(there)) == [413]
        assert receiver.peak_megabytes() - before < 16


def test_who_waits_for_a_word_before_the_body_gets_it(receiving: Receiving) -> None:
    with connect(receiving) as there:
        there.sendall(head(Content_Length="99999999", Expect="100-continue"))
        assert statuses(until_closed(there)) == [413]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a fraction of a second."""
    for phase in (Phase.IDLE, Phase.HEADERS):
        monkeypatch.setitem(SECONDS, phase, 0.3)
    monkeypatch.setitem(SECONDS, Phase.BODY, 0.8)
    monkeypatch.setattr(module, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("begun", "drop", "expected"),
    [
        (b"", b"", []),
        (b"POST /webh", b"o", []),
        (post(BODY), b"", [200]),
        (post(BODY) + b"POST", b"x", [200]),
        (head(Content_Length="1000"), b"x", [408]),
        (head(Transfer_Encoding="chunked") + b"3\r\n", b"x", [400, 408]),
    ],
    ids=["silent", "headers", "idle", "second headers", "body", "chunks"],
)
def test_who_is_slow_is_cut(
    receiving: Receiving, begun: bytes, drop: bytes, expected: list[int]
) -> None:
    started = time.monotonic()
    with connect(receiving) as there:
        there.sendall(begun)
        there.settimeout(0.02)
        found = b""
        while time.monotonic() - started < 8:
            try:
                more = there.recv(65536)
                if not more:
                    break
                found += more
            except TimeoutError:
                try:
                    there.sendall(drop)  # a byte now and then
                except ConnectionError:
                    break
            except ConnectionError:
                break
        else:
            pytest.fail("never cut")
    assert statuses(found) in ([], expected, expected[:1], expected[1:])
    assert statuses(found) or not expected


def test_slow_connections_cannot_keep_good_ones_out(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MOST_CONNECTIONS", 20)
    slow = [connect(receiving) for _ in range(60)]
    for there in slow[:30]:
        there.sendall(b"POST /webhooks/kapso/shop HTTP/1.1\r\nHost: r\r\n")
    for i in range(10):
        assert statuses(answers(receiving, post(b"%d" % i, **CLOSE))) == [200]
    assert receiving.metrics.totals()["crowded"] >= 40
    for there in slow:
        there.close()


def test_who_waits_for_a_commit_is_not_cut_for_others(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MOST_CONNECTIONS", 3)
    begun, go_on = [], []

    class Slow(SqliteLog):
        pass

    original = SqliteLog.append

    def waiting(self: SqliteLog, arrivals: object) -> object:
        begun.append(1)
        while not go_on:
            time.sleep(0.01)
        return original(self, arrivals)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteLog, "append", waiting)
    senders = [connect(receiving) for _ in range(3)]
    for i, there in enumerate(senders):
        there.sendall(post(b"%d" % i, **CLOSE))
    while not begun:
        time.sleep(0.01)
    time.sleep(0.1)
    assert statuses(answers(receiving, post(BODY))) in ([503], [])
    go_on.append(1)
    assert [statuses(until_closed(there)) for there in senders] == [[200]] * 3
    for there in senders:
        there.close()


def test_a_commit_that_hangs_does_not_keep_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(module, "COMMIT_SECONDS", 0.1)
    monkeypatch.setattr(serving, "LAST_COMMIT_SECONDS", 0.1)
    original = sqlite_log._insert

    def waiting(connection: Any, arrival: Any) -> bool:
        go_on.wait(30)
        return original(connection, arrival)

    monkeypatch.setattr(sqlite_log, "_insert", waiting)
    with serve(settings_of(tmp_path), find()) as receiving:
        assert statuses(answers(receiving, post(BODY, **CLOSE))) == [503]
    assert not go_on.is_set()  # it ended all the same
    go_on.set()


def test_a_storm_of_wrong_signatures_stores_and_says_nothing(
    receiving: Receiving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = post(BODY, **{"X-Webhook-Signature": "0" * 64})
    size = (tmp_path / "data" / "deliveries.db-wal").stat().st_size
    with caplog.at_level(logging.DEBUG):
        answered = answers(receiving, wrong * 400 + post(BODY, **CLOSE))
    assert statuses(answered) == [401] * 400 + [200]
    assert len([r for r in caplog.records if r.name.startswith(("pipelines", "uvicorn"))]) == 0
    assert (tmp_path / "data" / "deliveries.db-wal").stat().st_size - size < 100_000


def test_what_is_logged_of_broken_requests_quotes_none(
    receiving: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for sent in (*BROKEN.values(), head("/webhooks/kapso/CANARY?secret=CANARY", X_A="CANARY")):
            answers(receiving, sent, closes=True)
        answers(receiving, post(b"CANARY", **CLOSE))
    assert "CANARY" not in caplog.text


def test_the_metrics_are_told_on_loopback(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    with serve(settings_of(tmp_path, metrics_port=port), find()) as receiving:
        wrong = post(BODY, **{"X-Webhook-Signature": "0"})
        answers(receiving, post(BODY) + post(BODY) + wrong + post(b"[]", **CLOSE))
        with urlopen(f"http://{HOST}:{port}/metrics") as answered:
            told = answered.read().decode()
    labels = '{account="shop",provider="kapso"}'
    for line in (
        f"doblecheck_receiver_accepted_total{labels} 2.0",
        f"doblecheck_receiver_duplicates_total{labels} 1.0",
        'doblecheck_receiver_refused_total{reason="signature"} 1.0',
        'doblecheck_receiver_refused_total{reason="log"} 0.0',
        "doblecheck_receiver_backlog_records 2.0",
    ):
        assert line in told
    assert "doblecheck_receiver_commit_seconds_bucket" in told


REFUSED = {
    "none": ([], "no account has a webhook secret"),
    "empty": ([""], "can't be used: it is empty"),
    "an empty variable": (["env:NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is empty"),
    "short": (["fifteen letters"], "shorter than 16"),
    "three": ([f"a secret of the shop {i}" for i in range(3)], "3 webhook secrets"),
    "a short second": ([SECRET.decode(), "tiny"], "shorter than 16"),
}


@pytest.mark.parametrize(("secrets", "told"), REFUSED.values(), ids=REFUSED)
def test_it_does_not_start_with_a_secret_that_is_none(
    tmp_path: Path, secrets: list[str], told: str
) -> None:
    settings = settings_of(tmp_path, account(webhook_secrets=secrets))
    with pytest.raises(ConfigError) as refused, prepared(settings, find()):
        pass
    assert told in str(refused.value)
    assert not any(
        secret and secret in str(refused.value) for secret in secrets if len(secret) < 30
    )


def test_a_port_that_is_taken_is_told(receiving: Receiving, tmp_path: Path) -> None:
    taken = port_of(receiving)
    for settings in (settings_of(tmp_path, port=taken), settings_of(tmp_path, metrics_port=taken)):
        told = f"port {taken} can't be used"
        with pytest.raises(ConfigError, match=told), prepared(settings, find()):
            pass


def test_it_does_not_start_when_it_could_not_store(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(LogError), prepared(settings_of(tmp_path), find()):
        pass


def test_other_addresses_than_loopback_are_warned_of(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, account(), account("closed", webhook_secrets=[]))
    for host, warned in (("127.0.0.1", False), ("0.0.0.0", True)):
        with prepared(settings, find(), host=host) as receiving:
            lines = list(serving.opening(receiving, settings))
        assert lines[0].endswith("for kapso:shop")
        assert "nothing is received for kapso:closed: it has no webhook secret" in lines
        assert any(line.startswith("warning") for line in lines) is warned


def test_what_was_counted_is_told_in_a_line() -> None:
    counts = {"accepted": 1_200, "duplicates": 3, "signature": 4, "slow": 0}
    assert serving.summary(counts) == "1,200 accepted, 3 duplicates; refused: signature 4"


def test_a_secret_is_changed_without_a_refusal(tmp_path: Path) -> None:
    """A thousand deliveries over a rotation: each is signed with what the provider has then."""
    new = b"the secret of next month"
    both = account(webhook_secrets=[new.decode(), SECRET.decode()])
    found: list[int] = []
    for accounts, secrets in (([account()], [SECRET]), ([both], [SECRET, new]),
                              ([account(webhook_secrets=[new.decode()])], [new])):  # fmt: skip
        with serve(settings_of(tmp_path, *accounts), find()) as receiving:
            for secret in secrets:
                bodies = [b"%d %s" % (i, secret) for i in range(250)]
                sent = b"".join(_signed_with(secret, body) for body in bodies)
                found += statuses(answers(receiving, sent + b"GET / HTTP/1.1\r\n\r\n"))[:-1]
    assert found == [200] * 1_000


def _signed_with(secret: bytes, body: bytes) -> bytes:
    from pipelines.receiver.signatures import sign

    return post(body, **{"X-Webhook-Signature": sign(body, secret).decode()})


def test_a_burst_of_a_thousand_is_taken(receiving: Receiving, tmp_path: Path) -> None:
    ledger = Ledger(seed=1)

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port_of(receiving))
        for i in range(10):
            body = b"%d %d" % (number, i)
            writer.write(post(body))
            ledger.answers.append(await read_answer(reader))
        writer.close()

    async def burst() -> None:
        await asyncio.gather(*(one(number) for number in range(100)))

    asyncio.run(burst())
    assert ledger.answers == [200] * 1_000
    assert len(stored(tmp_path)) == 1_000


def test_what_came_is_accepted_or_refused_and_nothing_else(tmp_path: Path) -> None:
    ledger = Ledger(seed=2)
    with serve(settings_of(tmp_path), find()) as receiving:
        asyncio.run(load(port_of(receiving), ledger, seconds=0.4))
        totals = receiving.metrics.totals()
    assert totals["accepted"] == len(ledger.acknowledged) == len(stored(tmp_path))
    assert sum(totals.values()) == len(ledger.answers)
