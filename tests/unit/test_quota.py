"""The quota is kept from one process to the next."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.reading import quota
from pipelines.reading.gate import WINDOW_SECONDS, Gate
from pipelines.reading.quota import MOST_LINES, Left, Spent, told

KEY = "CANARY-of-the-account"


class Time:
    """A clock that only sleeping moves."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


def run(folder: Path, time: Time, requests: int, *, per_minute: int = 10) -> list[float]:
    """A process of its own: when its requests began."""
    spent, starts = Spent(folder, KEY), []

    async def go() -> None:
        gate = Gate(per_minute, 4, clock=time, sleep=time.sleep)
        gate.remember(spent)
        for _ in range(requests):
            async with gate.turn():
                starts.append(time.now)

    asyncio.run(go())
    return starts  # not closed: it was killed


def test_requests_of_an_earlier_process_count(tmp_path: Path) -> None:
    clock = Time(1000.0)
    starts = [at for _ in range(5) for at in run(tmp_path, clock, 7)]
    assert len(starts) == 35
    for start in starts:
        assert sum(start <= other < start + 60 for other in starts) <= 10


def test_another_key_has_a_quota_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, Time(1000.0), 10)
    assert Spent(tmp_path, "another").recent(1000.0) == []


@pytest.mark.parametrize("damage", [b"\xff\x00nonsense", b"999.5\nnan\ninf\n\n1e999\n-3\n99", b""])
def test_damage_costs_a_minute_at_most(tmp_path: Path, damage: bytes) -> None:
    run(tmp_path, Time(1000.0), 3)
    (path,) = (tmp_path / "quota").iterdir()
    path.write_bytes(path.read_bytes()[:-4] + damage)
    before = Time(1010.0)
    starts = run(tmp_path, before, 10)
    assert starts[-1] <= 1010.0 + WINDOW_SECONDS
    assert len(Spent(tmp_path, KEY).recent(before.now)) >= 1


def test_what_another_start_of_the_machine_counted_is_not_taken_for_the_future(
    tmp_path: Path,
) -> None:
    run(tmp_path, Time(100_000.0), 10)
    assert run(tmp_path, Time(50.0), 5) == [50.0] * 5


def test_old_requests_are_dropped(tmp_path: Path) -> None:
    spent = Spent(tmp_path, KEY)
    for second in range(MOST_LINES + 5):
        spent.add(float(second))
    (path,) = (tmp_path / "quota").iterdir()
    assert len(path.read_bytes().splitlines()) <= 70


def test_a_minute_with_more_requests_than_a_file_has_lines_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing in it is old: each further request wrote all of them anew.
    monkeypatch.setattr(quota, "MOST_LINES", 50)
    spent, files = Spent(tmp_path, KEY), []
    for number in range(1000):
        spent.add(1000 + number / 50)
        (path,) = (tmp_path / "quota").iterdir()
        files.append(path.stat().st_ino)
    assert sum(one != other for one, other in pairwise(files)) <= 5
    assert len(spent.recent(1020)) == 1000


def test_the_files_are_for_their_owner_and_hold_no_key(tmp_path: Path) -> None:
    spent = Spent(tmp_path, KEY)
    spent.add(1.0)
    spent.leave(Left("kapso:shop", 100, 40))
    assert stat.S_IMODE((tmp_path / "quota").stat().st_mode) == 0o700
    for path in (tmp_path / "quota").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert KEY not in path.name + path.read_text()


def test_what_is_left_is_told_with_the_last_minute(tmp_path: Path) -> None:
    spent = Spent(tmp_path, KEY)
    spent.add(time.monotonic() - 5)
    spent.leave(Left("kapso:shop", 100, None))
    spent.leave(Left("kapso:other", 100, 7))  # by the same key
    Spent(tmp_path, "a key before this one").leave(Left("kapso:shop", 1, 1))
    spent.leave(Left("kapso:shop", 100, None))
    for i, torn in enumerate(({"account": "x"}, {"spent": "x"}, [])):
        (tmp_path / "quota" / f"torn{i}.json").write_text(json.dumps(torn))
    assert list(told(tmp_path)) == [
        (Left("kapso:other", 100, 7), 1),
        (Left("kapso:shop", 100, None), 1),
    ]
    assert list(told(tmp_path / "nowhere")) == []
