"""One thread that writes the log: what waits while it commits goes into the next commit, together.

A flush to disk costs the same for one delivery as for a hundred, so that the more arrive, the more
share one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pipelines.errors import LogBroken, LogError
from pipelines.receiver.log import Arrival, DeliveryLog

MOST_ROWS = 256
MOST_BYTES = 8 * 1024 * 1024
"""Of one commit; a larger body goes alone."""

STUCK_SECONDS = 5.0

LOGGER = logging.getLogger(__name__)


@dataclass
class _Waiting:
    """Someone who waits for a commit: of a delivery, or of nothing, to see whether it works."""

    arrival: Arrival | None
    done: asyncio.Future[bool]


@dataclass
class Writer:
    """Appends to a log in a thread of its own.

    Args:
        log: only this thread appends to it.
        on_commit: told the seconds that each commit took, in that thread.

    Attributes:
        failure: what went wrong with a commit; None once one of that size goes well.
    """

    log: DeliveryLog
    on_commit: Callable[[float], None] = lambda _: None
    failure: LogError | None = None
    _queue: deque[_Waiting] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _failed_bytes: int = 0  # the most that could not be stored since it went well
    _is_closing: bool = False
    _began_at: float | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="delivery-log", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> bool:
        """Write what waits, and end; whether that was done in time (seconds)."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def submit(self, arrival: Arrival | None) -> asyncio.Future[bool]:
        """What becomes of an arrival: whether it is new, once it is on disk, or a LogError.

        Cancelled, it may be stored all the same. None stores no delivery, and tells whether one
        could be.

        Raises:
            LogError: a commit hangs: what waited behind it would only fill the memory.
            LogBroken: nothing will be stored any more.
        """
        began_at = self._began_at
        if began_at is not None and time.perf_counter() - began_at > STUCK_SECONDS:
            raise LogError("a commit of the delivery log hangs", hint="check the disk")
        if isinstance(self.failure, LogBroken):
            raise LogBroken(str(self.failure), hint=self.failure.hint)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._queue.append(_Waiting(arrival, done))
            self._changed.notify()
        return done

    def _run(self) -> None:
        while batch := self._take():
            self._began_at = started = time.perf_counter()
            outcome = self._write([entry.arrival for entry in batch])
            self._began_at = None
            self.on_commit(time.perf_counter() - started)
            loop = batch[0].done.get_loop()
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(_settle, batch, outcome)

    def _take(self) -> list[_Waiting]:
        """What the next commit is to hold; empty when nothing more will come."""
        with self._changed:
            while True:
                batch: list[_Waiting] = []
                size = 0
                while self._queue and len(batch) < MOST_ROWS and size < MOST_BYTES:
                    entry = self._queue.popleft()
                    if entry.done.cancelled():  # whoever waited was told no
                        continue
                    batch.append(entry)
                    size += len(entry.arrival.body) if entry.arrival else 0
                if batch or self._is_closing:
                    return batch
                self._changed.wait()

    def _write(self, arrivals: list[Arrival | None]) -> list[bool] | LogError:
        """For each, whether it is new; or why none is stored."""
        if isinstance(self.failure, LogBroken):
            return self.failure
        real = [arrival for arrival in arrivals if arrival is not None]
        size = sum(len(arrival.body) for arrival in real)
        try:
            if real:
                is_new = self.log.append(real)
                written = sum(len(each.body) for each, new in zip(real, is_new, strict=True) if new)
            else:
                self.log.check(self._failed_bytes)
                is_new, written = [], self._failed_bytes
        except LogError as error:
            self._fail(error, size)
            return error
        except Exception as error:  # noqa: BLE001 - no failure may end this thread
            problem = LogError(f"the delivery log failed ({type(error).__name__})")
            self._fail(problem, size)
            return problem
        # A full disk still takes a small row: only as much as failed tells that it is well again.
        if self.failure is not None and written >= self._failed_bytes:
            LOGGER.warning("the delivery log can be written again")
            self.failure, self._failed_bytes = None, 0
        fresh = iter(is_new)
        return [arrival is not None and next(fresh) for arrival in arrivals]

    def _fail(self, error: LogError, size: int) -> None:
        if str(error) != str(self.failure):
            LOGGER.error("%s; hint: %s", error, error.hint or "see the receiver's page")
        self.failure, self._failed_bytes = error, max(size, self._failed_bytes)


def _settle(batch: list[_Waiting], outcome: list[bool] | LogError) -> None:
    """In the event loop: tell those who still wait."""
    for i, entry in enumerate(batch):
        if entry.done.done():
            continue
        if isinstance(outcome, LogError):
            entry.done.set_exception(type(outcome)(str(outcome), hint=outcome.hint))
        else:
            entry.done.set_result(outcome[i])
