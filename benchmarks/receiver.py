"""Measure the receiver: durable acknowledgements, and good traffic under attack.

    python -m benchmarks.receiver [--seconds 10]

The receiver is `doblecheck receive` in a process of its own, good senders are in this one, bad ones
in a third. Every acknowledgement is looked for in the log afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.report import Figure, Run, most_megabytes, tell
from pipelines.receiver.log import FILE_NAME
from pipelines.receiver.signatures import sign
from pipelines.receiver.sqlite_log import SqliteLog

HOST, PORT = "127.0.0.1", 8490
SECRET = b"a secret for the benchmark"
PATH = "/webhooks/kapso/default"
CONNECTIONS = 64
GOOD_PER_SECOND = 50
Attack = Callable[[], Coroutine[Any, Any, None]]

BODY = (
    b'{"message":{"id":"wamid.%020d","timestamp":"1772366400","type":"text","from":"5491100000000",'
    b'"text":{"body":"%s"},"kapso":{"direction":"inbound","status":"received","origin":"cloud_api"}'
    b'},"conversation":{"id":"%s","status":"active"},"is_new_conversation":false,'
    b'"phone_number_id":"1234567890"}'
)


def request(number: int, *, is_signed: bool = True) -> bytes:
    """A delivery of some 1.2 kB on the wire; each number has a body of its own."""
    body = BODY % (number, b"hola, hay turno? " * 50, b"c" * 36)
    signature = sign(body, SECRET) if is_signed else b"0" * 64
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"X-Webhook-Event: whatsapp.message.received\r\nX-Idempotency-Key: {number}\r\n"
        f"Content-Length: {len(body)}\r\nX-Webhook-Signature: {signature.decode()}\r\n\r\n"
    )
    return head.encode() + body


# The receiver.


@dataclass
class Running:
    pid: int
    folder: Path

    def megabytes(self) -> float:
        """The most memory it had so far."""
        return most_megabytes(self.pid)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def records(self) -> int:
        return SqliteLog(self.folder / "data" / FILE_NAME).last_sequence()


@contextmanager
def receiver() -> Iterator[Running]:
    """A fresh receiver on an empty log."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        given = {
            "KAPSO_API_KEY": "none",
            "KAPSO_WEBHOOK_SECRET": SECRET.decode(),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        command = [sys.executable, "-m", "pipelines.cli", "receive", "--port", str(PORT)]
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | given, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        if "receiving" not in (line := process.stderr.readline()):
            raise SystemExit(line)
        try:
            yield Running(process.pid, Path(folder))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)
            process.stderr.close()


# The senders.


@dataclass
class Seen:
    """What a sender saw: seconds per answer, and how many were not 200."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, which: int) -> float:
        return quantiles(self.seconds, n=100)[which - 1] * 1000 if len(self.seconds) > 1 else 0.0


class Sender(asyncio.Protocol):
    """One delivery after the other on one connection, as fast as they are answered."""

    def __init__(self, numbers: Iterator[int], seen: Seen, until: float) -> None:
        self._numbers, self._seen, self._until = numbers, seen, until
        self._started = 0.0
        self._answer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._started = time.perf_counter()
        if self._started > self._until:
            self._transport.close()
            return
        self._transport.write(request(next(self._numbers)))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b"\r\n\r\nOK"):
            if b"HTTP/1.1 200" not in self._answer and b"\r\n\r\n" in self._answer:
                self._seen.failed += 1
                self._transport.close()
            return
        self._answer = b""
        self._seen.seconds.append(time.perf_counter() - self._started)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def flat_out(seconds: float) -> Seen:
    """As many as the connections take."""
    seen, until, numbers = Seen(), time.perf_counter() + seconds, iter(range(10**9))
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Sender(numbers, seen, until), HOST, PORT)
        for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(sender.done for _, sender in made))
    return seen


async def steady(seconds: float) -> Seen:
    """Good traffic at a steady pace, each on a connection of its own, as providers send."""
    seen, tasks = Seen(), []
    started = time.perf_counter()
    for number in range(int(seconds * GOOD_PER_SECOND)):
        due = started + number / GOOD_PER_SECOND
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(_one(number, due, seen)))
    await asyncio.gather(*tasks)
    return seen


async def _one(number: int, due: float, seen: Seen) -> None:
    try:
        reader, writer = await asyncio.open_connection(HOST, PORT)
        writer.write(request(number))
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    except (OSError, asyncio.IncompleteReadError):
        seen.failed += 1
        return
    seen.failed += b" 200 " not in head
    seen.seconds.append(time.perf_counter() - due)


# The attacks: each goes on until its process is ended.


async def nobody() -> None:
    """No attack."""


async def huge_bodies() -> None:
    """Four senders of 200 MiB, again and again."""
    piece = b"100000\r\n%s\r\n" % (b"x" * 1_048_576)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()

    async def send() -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, PORT)
                writer.write(head)
                for _ in range(200):
                    writer.write(piece)
                    await writer.drain()
                writer.close()
            await asyncio.sleep(0.05)

    await asyncio.gather(*(send() for _ in range(4)))


async def slow_senders() -> None:
    """A thousand connections that send a byte a second, and come again when they are cut."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n".encode()

    async def drip(number: int) -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, PORT)
                writer.write(head if number % 2 else head + b"\r\n")
                while not writer.is_closing():
                    await asyncio.sleep(1)
                    writer.write(b"x")
                    await writer.drain()
            await asyncio.sleep(1)

    await asyncio.gather(*(drip(number) for number in range(1_000)))


async def bad_signatures() -> None:
    """A hundred wrong signatures a second."""
    wrong = request(0, is_signed=False)
    while True:
        started = time.perf_counter()
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(HOST, PORT)
            for _ in range(10):
                writer.write(wrong)
                await reader.readuntil(b"\r\n\r\nUnauthorized")
            writer.close()
        await asyncio.sleep(max(0.1 - (time.perf_counter() - started), 0))


ATTACKS: dict[str, Attack] = {
    "": nobody,
    " and bodies of 200 MiB": huge_bodies,
    " and 1,000 slow connections": slow_senders,
    " and 100 wrong signatures a second": bad_signatures,
}
"""What comes beside good traffic, said after its pace."""


def begin(work: Attack) -> None:
    asyncio.run(work())


@contextmanager
def under(work: Attack) -> Iterator[None]:
    """An attack from a process of its own: good senders don't wait for it."""
    process = get_context("fork").Process(target=begin, args=(work,), daemon=True)
    process.start()
    time.sleep(1)
    yield
    process.kill()
    process.join()


# The report.


def throughput(seconds: float) -> list[Figure]:
    with receiver() as running:
        seen = asyncio.run(flat_out(seconds))
        cpu, records = running.cpu_seconds(), running.records()
        memory = running.megabytes()
    if records != len(seen.seconds):
        raise SystemExit(f"{len(seen.seconds)} acknowledged, {records} in the log")
    what = f"flat out, {CONNECTIONS} connections"
    rate = Figure(f"{what}: good answers", len(seen.seconds) / seconds, "/s", ">= 2000")
    return [rate, *costs(what, seen, memory, cpu / seconds, p99="<= 150")]


def costs(what: str, seen: Seen, memory: float, cores: float, *, p99: str) -> list[Figure]:
    """What good traffic saw, and what it took."""
    note = f"p50 {seen.percentile(50):.0f} ms, longest {max(seen.seconds) * 1000:.0f} ms"
    return [
        Figure(f"{what}: p99", seen.percentile(99), "ms", p99, note),
        Figure(f"{what}: not answered 200", seen.failed, "", "<= 0"),
        Figure(f"{what}: memory at most", memory, "MB", "<= 256", f"{cores:.0%} of a core"),
    ]


def attack(name: str, work: Attack, seconds: float) -> list[Figure]:
    with receiver() as running:
        with under(work):
            seen = asyncio.run(steady(seconds))
        memory, cpu = running.megabytes(), running.cpu_seconds()
        missing = len(seen.seconds) - seen.failed - running.records()
    if missing > 0:
        raise SystemExit(f"{missing} acknowledged and not in the log")
    return costs(name, seen, memory, cpu / seconds, p99="<= 500")


def flushes() -> float:
    """Flushes a second that this disk does, one after the other: the floor under all this."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < 1:
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            done += 1
        return done / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--keep", action="store_true", help="put the figures on the page")
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
    disk = flushes()
    figures = throughput(given.seconds)
    for what, work in ATTACKS.items():
        figures += attack(f"{GOOD_PER_SECOND} a second{what}", work, given.seconds)
    command = f"python -m benchmarks.receiver --seconds {given.seconds:g}"
    note = (
        f"{given.seconds:g} s each. Deliveries of 1.2 kB, answered when they are on disk, all "
        f"found in the log afterwards. The disk does {disk:,.0f} flushes a second, one after the "
        "other. The senders share the cores."
    )
    tell(Run("Receiver", command, figures, note), is_kept=given.keep)


if __name__ == "__main__":
    main()
