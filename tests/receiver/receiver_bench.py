"""Receivers in processes of their own, which can be killed; senders that remember what was
acknowledged; and what strace saw."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pipelines.failpoint import arm
from pipelines.providers import find
from pipelines.receiver import serving, sqlite_log
from pipelines.receiver.log import FILE_NAME, Delivery
from pipelines.receiver.signatures import sign
from pipelines.receiver.sqlite_log import SqliteLog
from pipelines.settings import Account, Receiver, Settings

SECRET = b"CANARY-secret-of-the-shop"
HOST = "127.0.0.1"
PATH = "/webhooks/kapso/shop"

PROCESSES = get_context("fork")  # a receiver starts in milliseconds, with everything imported


def account(name: str = "shop", **given: Any) -> Account:
    given = {"webhook_secrets": [SecretStr(SECRET.decode())]} | given
    return Account(provider="kapso", name=name, **given)


def settings_of(folder: Path, *accounts: Account, **receiver: Any) -> Settings:
    chosen = Receiver(**({"port": 0, "metrics_port": 0} | receiver))
    return Settings(folder=folder, accounts=list(accounts) or [account()], receiver=chosen)


def signed(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return {"X-Webhook-Signature": sign(body, secret).decode()}


def post(body: bytes, **headers: str) -> bytes:
    """A delivery as bytes on the wire."""
    given = {"Host": "receiver", "Content-Length": str(len(body))} | signed(body) | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


# Processes.


def receive(folder: Path, armed: str, careless: bool, ready: Connection) -> None:
    """In the process: what `doblecheck receive` does."""
    os.umask(0o077)
    arm(armed)
    if careless:
        sqlite_log.SETTINGS = sqlite_log.SETTINGS.replace("synchronous = full", "synchronous = off")
    with serving.prepared(settings_of(folder), find()) as receiving:
        ready.send(receiving.listener.getsockname()[1])
        receiving.run()


@dataclass
class Running:
    """A receiver's process."""

    process: Any
    port: int

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def peak_megabytes(self) -> float:
        """The most memory that it ever had."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        assert found
        return int(found[1]) / 1024


@contextmanager
def running(folder: Path, armed: str = "", *, careless: bool = False) -> Iterator[Running]:
    """A receiver on a log in `folder`; killed at the end, if it is still there."""
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=receive, args=(folder, armed, careless, there), daemon=True)
    process.start()
    found = Running(process, here.recv())
    try:
        yield found
    finally:
        found.kill()


def stored(folder: Path) -> list[Delivery]:
    """All that the log holds."""
    log, found = SqliteLog(folder / "data" / FILE_NAME), []
    while more := log.read(found[-1].sequence if found else 0, 1_000):
        found += more
    return found


# Senders.


@dataclass
class Ledger:
    """What was sent, and what was answered.

    Attributes:
        acknowledged: bodies that were answered with 200.
    """

    seed: int
    sent: set[bytes] = field(default_factory=set)
    acknowledged: set[bytes] = field(default_factory=set)
    answers: list[int] = field(default_factory=list)

    def next_body(self, dice: random.Random) -> bytes:
        body = b'{"n":"%s","pad":"%s"}' % (
            dice.randbytes(12).hex().encode(),
            b"x" * dice.choice([0, 100, 1_000, 6_000]),
        )
        self.sent.add(body)
        return body


async def read_answer(reader: asyncio.StreamReader) -> int:
    """The status of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split()[1])


async def sender(port: int, ledger: Ledger, number: int, is_over: Callable[[], bool]) -> None:
    """Post one delivery after the other, until the receiver is gone or it is over."""
    dice = random.Random(f"{ledger.seed} {number} {len(ledger.sent)}")
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        while not is_over():
            body = ledger.next_body(dice)
            writer.write(post(body))
            status = await read_answer(reader)
            ledger.answers.append(status)
            if status == 200:
                ledger.acknowledged.add(body)
    except (OSError, asyncio.IncompleteReadError):
        return
    writer.close()


async def load(
    port: int, ledger: Ledger, *, connections: int = 8, seconds: float = 10.0, end: Any = None
) -> None:
    """Load from several connections at once; `end` is called in a thread beside it."""
    until = time.monotonic() + seconds
    senders = [
        sender(port, ledger, number, lambda: time.monotonic() > until)
        for number in range(connections)
    ]
    beside = [asyncio.to_thread(end)] if end else []
    await asyncio.gather(*senders, *beside)


# What the system saw.


def can_trace() -> bool:
    """Whether strace is here and may be used: on a process that it did not start, which some
    systems forbid to all but root."""
    if not shutil.which("strace"):
        return False
    with subprocess.Popen(["sleep", "20"]) as other:
        try:
            with traced(other.pid, Path(os.devnull)):
                return True
        except AssertionError:
            return False
        finally:
            other.kill()


@contextmanager
def traced(pid: int, file: Path, *options: str) -> Iterator[None]:
    """strace on all threads of a process."""
    command = ["strace", "-f", "-yy", "-s", "64", "-o", str(file), *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr
    assert "attached" in tracer.stderr.readline()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait()
        tracer.stderr.close()


_PART = re.compile(r"^\d+\s+(?:<\.\.\. )?(\w+)(?: resumed>|\()")


def unsafe_acknowledgements(lines: Sequence[str]) -> tuple[int, int]:
    """Answers of 200, and how many of them were sent with something written and not flushed.

    For deliveries that were sent one after the other.
    """
    answered = unsafe = 0
    is_dirty = was_written = False
    for line in lines:
        match = _PART.match(line)
        call = match[1] if match else ""
        if call == "pwrite64" and f"{FILE_NAME}-wal" in line:
            is_dirty = was_written = True
        elif call in ("fdatasync", "fsync") and line.rstrip().endswith("= 0"):
            is_dirty = False
        elif call == "sendto" and "HTTP/1.1 200" in line:
            answered += 1
            unsafe += is_dirty or not was_written
            was_written = False
    return answered, unsafe
