"""The requests of the last minute, remembered from one process to the next.

A quota is counted by the provider, which does not know that a sync was killed and another one
began. So every request is noted in a file before it is made. What the file says is a hint: without
it, or with damage in it, a sync waits too little or a minute too long, and nothing else.

    <data_dir>/quota/<digest of the key>            when requests began, a line each
    <data_dir>/quota/<provider>.<account>.json      what the account's last sync left
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.reading.gate import WINDOW_SECONDS

MOST_LINES = 10_000
"""Lines that a file may have before the old ones are dropped, or as many again as are not old."""


@dataclass(frozen=True)
class Left:
    """What a sync left, and what it was allowed.

    Attributes:
        account: `<provider>:<name>`.
        per_minute: the quota that was kept.
        requests: still to make, estimated; None when that can't be told.
    """

    account: str
    per_minute: int
    requests: int | None


class Spent:
    """When the requests of one key began, by the clock that no one sets: it counts from the
    machine's start, so that it is the same in every process and never jumps.

    Args:
        data_dir: where the files are.
        key: the account's; only its digest is written.
    """

    def __init__(self, data_dir: Path, key: str) -> None:
        name = hashlib.blake2b(key.encode(), digest_size=12, person=b"doblecheck quota").hexdigest()
        self._path = data_dir / "quota" / name
        self._descriptor: int | None = None
        self._lines, self._most = 0, MOST_LINES

    def recent(self, now: float) -> list[float]:
        """When the requests of the last minute began, the oldest first."""
        return _recent(self._path, now)

    def add(self, at: float) -> None:
        """Note a request."""
        with suppress(OSError):  # a full disk must not keep anybody from reading
            if self._descriptor is None or self._lines >= self._most:
                self._begin(at)
            if self._descriptor is not None:
                os.write(self._descriptor, f"{at:.3f}\n".encode())
                self._lines += 1

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def leave(self, left: Left) -> None:
        """Note what a sync left."""
        with suppress(OSError):
            path = self._path.with_name(f"{left.account.replace(':', '.')}.json")
            _replace(path, json.dumps({**asdict(left), "spent": self._path.name}))

    def _begin(self, now: float) -> None:
        """Open the file with nothing in it but the last minute."""
        self.close()
        recent = self.recent(now)
        _replace(self._path, "".join(f"{at:.3f}\n" for at in recent))
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._lines = len(recent)
        # A fast provider fills a minute with more: the file must not be written anew each time.
        self._most = max(MOST_LINES, 2 * self._lines)


def told(data_dir: Path) -> Iterator[tuple[Left, int]]:
    """What the last sync of every account left, and its requests in the last minute."""
    for path in sorted((data_dir / "quota").glob("*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            found = json.loads(path.read_text("utf-8"))
            spent = path.with_name(str(found.pop("spent")))
            yield Left(**found), len(_recent(spent, time.monotonic()))


def _recent(path: Path, now: float) -> list[float]:
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError:
        return []
    return sorted(at for at in _numbers(lines) if now - WINDOW_SECONDS < at <= now)


def _numbers(lines: Sequence[str]) -> Iterator[float]:
    for line in lines:
        with suppress(ValueError):
            yield float(line)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)
