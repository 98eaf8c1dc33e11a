"""The log of runs: what each one did, kept beside the warehouse so that `status` can tell it with a
server or without.

    <data_dir>/runs.jsonl       a line when a run begins, a line when it ends

A run that was killed has no second line, and that is how it is known.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.errors import DoblecheckError

if TYPE_CHECKING:
    from pipelines.building.build import BuildResult
    from pipelines.loading.sync import Report
    from pipelines.webhooks.ingest import Ingested

KEPT = 500
"""Runs that the log keeps, of two lines each; it is cut when it holds twice as many."""

Outcome = Literal["ok", "failed", "stopped", "skipped", "running", "killed"]


@dataclass
class Entry:
    """One run.

    Attributes:
        kind: the command or the flow: sync, run, full sync, backfill, build, ingest, maintain.
        born: when its process was, as the system counts; numbers of processes come again.
        outcome: running until it ends; killed when it never told its end.
        message: what went wrong, or why it was skipped; None when nothing did.
        rows: rows new or changed in the raw tables.
        requests: made to the providers.
        accounts: the part of each account, by `<provider>:<name>`.
        webhooks: deliveries that were read, new, and rejected; None when none were looked for.
        build: models, tests and seconds of the build; None when there was none.
    """

    kind: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    pid: int = field(default_factory=os.getpid)
    born: str | None = field(default_factory=lambda: _born(os.getpid()))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    outcome: Outcome = "running"
    message: str | None = None
    rows: int = 0
    requests: int = 0
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    webhooks: dict[str, int] | None = None
    build: dict[str, Any] | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it has not ended."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None

    @property
    def not_whole(self) -> str | None:
        """The accounts that were not read whole, as a message; None when all were."""
        failed = [name for name, told in self.accounts.items() if not told["ok"]]
        return f"not read whole: {', '.join(failed)}" if failed else None

    def read(self, reports: Sequence[Report]) -> None:
        """Add what was read of some accounts; of one that was read before, to what that was."""
        told_before = self.not_whole
        for report in reports:
            name = f"{report.provider}:{report.account}"
            before = self.accounts.get(name, {})
            self.rows += report.changed
            self.requests += report.requests
            self.accounts[name] = {
                "ok": report.is_ok and before.get("ok", True),
                "rows": report.changed + before.get("rows", 0),
                "requests": report.requests + before.get("requests", 0),
                "requests_per_minute": report.per_minute,
                "left_requests": report.left,
                "rejected": before.get("rejected", 0)
                + sum(outcome.rejected for outcome in report.outcomes.values()),
                "seconds": round(report.seconds + before.get("seconds", 0), 1),
                "error": before.get("error") or _first_error(report),
            }
        if self.message == told_before:
            self.message = self.not_whole

    def ingested(self, done: Ingested) -> None:
        """Add what was loaded of webhooks."""
        self.rows += done.stored
        self.webhooks = {
            "read": done.read,
            "new": done.stored,
            "rejected": done.understood.rejected + done.unplaced,
        }
        if not done.is_ok and self.message in (None, self.not_whole):
            self.message = done.error or f"{done.unplaced} deliveries belong to no account"

    def built(self, result: BuildResult) -> None:
        """Add what was built."""
        self.build = {
            "models": result.models,
            "tests": result.tests,
            "seconds": round(result.seconds, 1),
            "warnings": list(result.warnings),
            "slowest": [list(model) for model in result.slowest],
        }

    def ends(self, outcome: Outcome, message: str | None = None) -> None:
        """Say how it ends. Without a word it is ok, or failed when an account is."""
        self.outcome, self.message = outcome, message or self.message


class Journal:
    """The log of runs of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "runs.jsonl"

    @contextmanager
    def run(self, kind: str, *, only_news: bool = False) -> Iterator[Entry]:
        """Log a run: its beginning now, its end when the block is left.

        Args:
            only_news: one that brought nothing leaves no line: every minute there is another.
        """
        entry = Entry(kind)
        if not only_news:
            self._write(entry)
        try:
            yield entry
        except BaseException as error:
            if entry.outcome == "running":
                is_failure = isinstance(error, Exception)  # Ctrl-C is none
                entry.ends("failed" if is_failure else "stopped", _told(error))
            raise
        finally:
            if entry.outcome == "running":
                entry.outcome = "failed" if entry.message else "ok"
            entry.ended_at = datetime.now(UTC)
            if not only_news or entry.rows or entry.outcome != "ok":
                self._write(entry)

    def failed(self, kind: str, error: DoblecheckError) -> Entry:
        """Log a run that could not begin, and return it."""
        with suppress(DoblecheckError), self.run(kind) as entry:
            raise error
        return entry

    def last(self, count: int = 10) -> list[Entry]:
        """The newest runs, the newest first."""
        if not self.path.exists():
            return []
        by_id: dict[str, Entry] = {}
        for line in self.path.read_text("utf-8").splitlines():
            entry = _parsed(line)
            if entry is not None:
                by_id[entry.id] = entry
        entries = sorted(by_id.values(), key=lambda entry: entry.started_at)[-count:]
        return [_as_it_is(entry) for entry in reversed(entries)]

    def _write(self, entry: Entry) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.path, flags, 0o600), "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _cut(file.fileno(), self.path)
            file.write(json.dumps(asdict(entry), default=str, ensure_ascii=False) + "\n")


def _cut(descriptor: int, path: Path) -> None:
    """Drop the oldest lines. In place, under the lock: another run may have the file open."""
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) >= 4 * KEPT:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"".join(lines[-2 * KEPT :]))


def _parsed(line: str) -> Entry | None:
    """The entry of a line; None for one that a full disk or a newer version wrote."""
    try:
        told = json.loads(line)
        times = {
            name: datetime.fromisoformat(told[name]) if told[name] else None
            for name in ("started_at", "ended_at")
        }
        return Entry(**{**told, **times})
    except (ValueError, TypeError, KeyError):
        return None


def _as_it_is(entry: Entry) -> Entry:
    if entry.outcome == "running" and not _is_alive(entry.pid, entry.born):
        entry.outcome = "killed"
    return entry


def _is_alive(pid: int, born: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return born == _born(pid)


def _born(pid: int) -> str | None:
    """When a process was born, in ticks since the system was; None where nobody tells."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return told.rpartition(")")[2].split()[19]  # its name, in brackets, may hold anything


def _first_error(report: Report) -> str | None:
    errors = [report.error, *report.problems, *(o.error for o in report.outcomes.values())]
    return next((str(error) for error in errors if error), None)


def _told(error: BaseException) -> str:
    """An error of ours in its own words, the system's in those of the system; of any other its
    kind, for it may quote rows."""
    if isinstance(error, DoblecheckError):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return f"unexpected {type(error).__name__}"
