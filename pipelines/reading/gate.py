"""The gate every request of an account goes through: its quota, its concurrency, its order.

Urgency is said where a list is read and kept in a context variable, so that no reader has to hand
it down to the transport:

    with urgent(Urgency.HISTORY):
        page = await client.messages(cursor)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

WINDOW_SECONDS = 61.0
"""A minute, and a second more: requests reach the provider later than they start, some more than
others."""

Sleep = Callable[[float], Awaitable[None]]


class Urgency(IntEnum):
    """What goes first when the quota is short."""

    FRESH = 0  # what is new since the last sync: a manager looks at it today
    REFRESH = 1  # what may have changed
    HISTORY = 2  # what lies before
    FANOUT = 3  # one request per parent


_URGENCY: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.FRESH)


@contextmanager
def urgent(level: Urgency) -> Iterator[None]:
    """Ask everything inside at this urgency, or at the less urgent one it stands in."""
    token = _URGENCY.set(max(level, _URGENCY.get()))
    try:
        yield
    finally:
        _URGENCY.reset(token)


class Memory(Protocol):
    """Remembers when requests began, longer than a process lives."""

    def recent(self, now: float) -> list[float]:
        """When the requests of the last minute began, the oldest first."""

    def add(self, at: float) -> None:
        """Note a request."""


class Gate:
    """Lets requests start: at most `per_minute` in any 60 seconds, at most `concurrency` at once,
    the most urgent first, and first come first served among equals.

    The quota is a sliding log, not a bucket: a bucket lets twice the quota through around its
    first refill.
    """

    def __init__(
        self, per_minute: int, concurrency: int, *, clock: Callable[[], float], sleep: Sleep
    ) -> None:
        self._per_minute, self._told = per_minute, per_minute
        self._clock, self._sleep = clock, sleep
        self._slots = asyncio.Semaphore(concurrency)
        self._starts: deque[float] = deque()
        self._line: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._count = count()
        self._keeper: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._memory: Memory | None = None

    def remember(self, memory: Memory) -> None:
        """Count the requests that were made before, and note those that will be."""
        self._memory = memory
        self._starts.extend(memory.recent(self._clock()))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold a place until the request is over."""
        await self._enter()
        try:
            yield
        finally:
            self._slots.release()

    async def _enter(self) -> None:
        if self._is_wide_open():
            await self._slots.acquire()
            self._start()
            return
        ticket = asyncio.get_running_loop().create_future()
        heappush(self._line, (_URGENCY.get(), next(self._count), ticket))
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        try:
            await ticket
        except asyncio.CancelledError:
            if not ticket.cancelled():  # let in and called off at once: the place is given back
                self._slots.release()
            raise

    def hold(self, seconds: float) -> None:
        """Start nothing for this long: the provider asked for it."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    def obey(self, *, limit: int | None, remaining: int | None) -> None:
        """Take the provider's word for the quota when it is smaller than the settings'.

        Args:
            limit: requests a minute that the provider says the key has.
            remaining: how many of them it says are left; at 0 the oldest must leave its minute.
        """
        if limit:
            self._told = min(limit, self._per_minute)
        if remaining == 0 and self._starts:
            self.hold(self._starts[0] + WINDOW_SECONDS - self._clock())

    @property
    def per_minute(self) -> int:
        """The quota that is kept: the smaller of the settings' and the provider's."""
        return self._told

    async def _keep(self) -> None:
        while self._line:
            await self._slots.acquire()
            while (pause := self._pause()) > 0:
                await self._sleep(pause)
            self._let_in()
        self._keeper = None

    def _start(self) -> None:
        now = self._clock()
        self._starts.append(now)
        if self._memory is not None:
            self._memory.add(now)

    def _is_wide_open(self) -> bool:
        """Whether nobody waits and enough is left for whoever comes next: order does not matter."""
        is_free = self._keeper is None and not self._slots.locked()
        return is_free and self._pause() <= 0 and len(self._starts) + 1 < self._told

    def _let_in(self) -> None:
        """Give the place that is held to whoever is most urgent now, or back when all have left."""
        while self._line:
            ticket = heappop(self._line)[2]
            if not ticket.done():
                self._start()
                ticket.set_result(None)
                return
        self._slots.release()

    def _pause(self) -> float:
        now = self._clock()
        while self._starts and self._starts[0] <= now - WINDOW_SECONDS:
            self._starts.popleft()
        over = len(self._starts) - self._told
        window = self._starts[over] + WINDOW_SECONDS - now if over >= 0 else 0.0
        return max(window, self._not_before - now)
