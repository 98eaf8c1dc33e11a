"""Receivers that die, are ended, or whose disk fails: what was acknowledged is in the log."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from fault_bench import NOTHING, Difference
from receiver_bench import (
    HOST,
    Ledger,
    can_trace,
    load,
    post,
    read_answer,
    running,
    stored,
    traced,
    unsafe_acknowledgements,
)

from pipelines.failpoint import NAMES

from .conftest import Figures

PLACES = [name for name in NAMES if name.startswith(("receive.", "log."))]
SEED = 20260301


def crash(folder: Path, ledger: Ledger, armed: str, dice: random.Random) -> None:
    """Load a receiver until it dies: at a place, or from outside at some moment."""
    with running(folder, armed) as receiver:

        def kill() -> None:
            time.sleep(dice.uniform(0.0, 0.08))
            receiver.kill()

        asyncio.run(load(receiver.port, ledger, end=None if armed else kill))
        receiver.process.join(10)
        assert receiver.process.exitcode == -signal.SIGKILL, f"{armed} was not reached"


def difference(folder: Path, ledger: Ledger) -> Difference:
    """Acknowledged deliveries that are missing, and records that are there twice."""
    kept = stored(folder)
    bodies = {delivery.body for delivery in kept}
    assert bodies - ledger.sent == set()
    assert all(a.sequence < b.sequence for a, b in pairwise(kept))
    return Difference(len(ledger.acknowledged - bodies), len(kept) - len(bodies))


def cases(crashes: int) -> Iterator[str]:
    """Two of three at a named place, at its first, second … passage; the others at random."""
    for number in range(crashes):
        place, passage = number // 3 * 2 + number % 3, number // 30 + 1
        yield "" if number % 3 == 2 else f"{PLACES[place % len(PLACES)]}:{passage}=kill"


@pytest.mark.parametrize("crashes", [21, pytest.param(1_000, marks=pytest.mark.matrix)], ids=str)
def test_what_was_acknowledged_survives_every_crash(
    tmp_path: Path, figures: Figures, crashes: int
) -> None:
    ledger, dice = Ledger(SEED), random.Random(SEED)
    for number, armed in enumerate(cases(crashes)):
        crash(tmp_path, ledger, armed, dice)
        found = NOTHING if number % 50 else difference(tmp_path, ledger)
        where = "at a named place" if armed else "at a random moment"
        figures.add("receive", f"kill -9 under load, {where}", found, note=f"seed {SEED}")
        assert found == NOTHING
    assert difference(tmp_path, ledger) == NOTHING
    assert len(ledger.acknowledged) > crashes


def test_every_named_place_is_among_the_default_crashes() -> None:
    assert {armed.partition(":")[0] for armed in cases(21) if armed} == set(PLACES)


@pytest.mark.parametrize("stops", [2, pytest.param(20, marks=pytest.mark.matrix)], ids=str)
def test_a_receiver_that_is_asked_to_end_answers_what_it_has(
    tmp_path: Path, figures: Figures, stops: int
) -> None:
    ledger = Ledger(SEED)
    for _ in range(stops):
        with running(tmp_path) as receiver:

            def end(pid: int = receiver.pid) -> None:
                time.sleep(0.2)
                os.kill(pid, signal.SIGTERM)

            asyncio.run(load(receiver.port, ledger, end=end))
            receiver.process.join(10)
            assert receiver.process.exitcode == 0
        figures.add("receive", "SIGTERM under load", NOTHING)
    assert difference(tmp_path, ledger) == NOTHING
    assert set(ledger.answers) == {200}


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as receiver, socket.create_connection((HOST, receiver.port)) as there:
        there.sendall(post(b"whole")[:-1])  # which it would wait for
        time.sleep(0.1)
        os.kill(receiver.pid, signal.SIGTERM)
        time.sleep(0.3)
        assert receiver.process.is_alive()
        os.kill(receiver.pid, signal.SIGTERM)
        receiver.process.join(5)
        assert receiver.process.exitcode == -signal.SIGTERM


@cache
def traces() -> bool:
    return can_trace()


def one_after_the_other(port: int, requests: Sequence[bytes]) -> list[int]:
    async def play() -> list[int]:
        reader, writer = await asyncio.open_connection(HOST, port)
        found = []
        for request in requests:
            writer.write(request)
            found.append(await read_answer(reader))
        writer.close()
        return found

    return asyncio.run(play())


CALLS = "trace=pwrite64,fdatasync,fsync,sendto"


@pytest.mark.parametrize("careless", [False, True], ids=["as it is", "without flushing"])
def test_an_acknowledgement_follows_the_flush_of_what_it_tells(
    tmp_path: Path, careless: bool
) -> None:
    """kill -9 cannot show this: what was written and not flushed survives a process."""
    if not traces():
        pytest.skip("strace is not here, or may not be used")
    seen = tmp_path / "seen"
    with (
        running(tmp_path, careless=careless) as receiver,
        traced(receiver.pid, seen, "-e", CALLS),
    ):
        deliveries = [post(b"delivery %d" % number) for number in range(30)]
        assert one_after_the_other(receiver.port, deliveries) == [200] * 30
    answered, unsafe = unsafe_acknowledgements(seen.read_text().splitlines())
    assert answered == 30
    assert unsafe == (30 if careless else 0)


def test_a_disk_that_fails_once_ends_the_acknowledgements(tmp_path: Path) -> None:
    """A flush fails in the system, as on a broken disk: SQLite meets EIO."""
    if not traces():
        pytest.skip("strace is not here, or may not be used")
    failing = "inject=fdatasync,fsync:error=EIO:when=4"
    health = b"GET /healthz HTTP/1.1\r\nHost: r\r\n\r\n"
    with (
        running(tmp_path) as receiver,
        traced(receiver.pid, tmp_path / "seen", "-e", CALLS, "-e", failing),
    ):
        deliveries = [post(b"delivery %d" % number) for number in range(20)]
        before, *found = one_after_the_other(receiver.port, [health, *deliveries, deliveries[0]])
        after = one_after_the_other(receiver.port, [health])
    acknowledged = found.index(503)
    assert 0 < acknowledged < 10
    assert set(found[acknowledged:]) == {503}  # also what was stored before
    assert (before, after) == (200, [503])
    assert len(stored(tmp_path)) >= acknowledged
