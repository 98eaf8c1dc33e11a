"""The one way out to a provider: GET, within the account's quota, again when it may help.

HTTP answer                                  what the caller sees
200 with a JSON object or array              Answer
401                                          Unauthorized; later calls fail without a request
403, 404                                     Unavailable
400, 422 with a cursor / without             BadCursor / BadRequest
429, 5xx, cut off, slow, not JSON            tried again, then Unreachable or BadPayload
a page with rows that are not JSON           tried again, then Answer; those rows are Unreadable
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pipelines.errors import (
    BadCursor,
    BadPayload,
    BadRequest,
    ProviderError,
    Stopped,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from pipelines.failpoint import failpoint
from pipelines.salvage import decode, salvage

log = logging.getLogger(__name__)
# Its INFO lines print whole URLs, and a query may hold a customer's number.
logging.getLogger("httpx").setLevel(logging.WARNING)

TRIES = 6
BODY_TRIES = 3
TOTAL_SECONDS = 60.0
MAX_WAIT_SECONDS = 120.0
MAX_BODY_BYTES = 64 * 1024 * 1024
WINDOW_SECONDS = 60.0
GRACE_SECONDS = 2.0
"""How long a request that is on its way may take when the run is asked to end."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """A decoded answer.

    Attributes:
        body: decoded JSON.
        fetched_at: when it arrived, UTC.
    """

    body: Any
    fetched_at: datetime


class _TryAgain(Exception):
    """An answer that another try may better; it never leaves this module."""

    def __init__(self, error: ProviderError, *, wait: float | None = None, tries: int = TRIES):
        super().__init__(str(error))
        self.error, self.wait, self.tries = error, wait, tries


@dataclass(frozen=True)
class _Ask:
    """One question: see `Transport.get`."""

    path: str
    params: Mapping[str, str]
    is_whole: Callable[[Any], bool]
    has_rows: bool


class Quota:
    """At most `per_minute` requests start in any 60 seconds.

    A sliding log, not a bucket: a bucket lets twice the quota through around its first refill.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float], sleep: Sleep) -> None:
        self._starts: deque[float] = deque(maxlen=per_minute)
        self._clock, self._sleep = clock, sleep
        self._lock = asyncio.Lock()
        self._not_before = 0.0

    async def wait(self) -> None:
        """Return when a request may start; whoever waited first starts first."""
        async with self._lock:
            while (pause := self._pause()) > 0:
                await self._sleep(pause)
            self._starts.append(self._clock())

    def hold(self, seconds: float) -> None:
        """Start nothing for this long: the provider asked for it."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    def _pause(self) -> float:
        now = self._clock()
        full = len(self._starts) == self._starts.maxlen
        window = self._starts[0] + WINDOW_SECONDS - now if full else 0.0
        return max(window, self._not_before - now)


class Transport:
    """GET requests of one account. Use it as an async context manager.

    Args:
        title: the provider's name, for errors.
        base_url: scheme and host, checked by the settings; nothing else is ever asked.
        headers: the account's authentication.
        requests_per_minute: the plan's quota.
        concurrency: requests in the air at once.
        retry_seconds: the wait before a second try; it doubles with every further one.
        client: for tests; by default a new one without redirects.
    """

    def __init__(
        self,
        *,
        title: str,
        base_url: str,
        headers: Mapping[str, str],
        requests_per_minute: int,
        concurrency: int,
        retry_seconds: float = 0.5,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._title, self._headers = title, dict(headers)
        self._base = base_url.rstrip("/")
        self._client = client or _client(concurrency)
        self._slots = asyncio.Semaphore(concurrency)
        self._quota = Quota(requests_per_minute, clock=clock, sleep=sleep)
        self._sleep, self._retry_seconds = sleep, retry_seconds
        self._ended: ProviderError | None = None
        self._stopping = asyncio.Event()
        self.concurrency = concurrency
        self.requests = 0

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def stop(self) -> None:
        """End in order: no request starts, waits end, and what is on its way has a short grace.
        Called in the client's loop."""
        self._stopping.set()

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int | None] | None = None,
        *,
        is_whole: Callable[[Any], bool] = lambda body: True,
        has_rows: bool = True,
    ) -> Answer:
        """The decoded answer of `GET base_url + path`.

        Args:
            path: starts with a slash; its parts are already URL-encoded.
            params: None values are left out.
            is_whole: whether the answer has the shape that was asked for; one that has not is
                asked for again, then refused: an error sent as 200 must not pass for an end.
            has_rows: whether a bad part may be set aside as a row of a list. Of an answer about
                one thing, the parts are no rows.

        Raises:
            Unauthorized, Unavailable, BadCursor, BadRequest, BadPayload, Unreachable.
            Stopped: the run is asked to end.
        """
        ask = _Ask(
            path,
            {key: str(value) for key, value in (params or {}).items() if value is not None},
            is_whole,
            has_rows,
        )
        return await self._unless_stopped(self._tries(ask))

    async def _tries(self, ask: _Ask) -> Answer:
        async with self._slots:
            for attempt in range(1, TRIES + 1):
                try:
                    return await self._once(ask, attempt)
                except _TryAgain as again:
                    if attempt >= again.tries:
                        raise self._final(again.error) from None
                    await self._pause(again.wait, attempt)
        raise AssertionError  # the last attempt returns or raises

    async def _unless_stopped(self, work: Coroutine[None, None, Answer]) -> Answer:
        asking = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                await asyncio.wait({asking}, timeout=GRACE_SECONDS)
            if not asking.done():
                raise Stopped
            return asking.result()
        finally:
            stopping.cancel()
            asking.cancel()

    def _final(self, error: ProviderError) -> ProviderError:
        if error.ends_account:
            self._ended = self._ended or error
        return self._ended or error

    async def _pause(self, wait: float | None, attempt: int) -> None:
        if wait is not None:
            self._quota.hold(min(wait, MAX_WAIT_SECONDS))
            return
        # The jitter keeps accounts that failed together from coming back together.
        pause = min(self._retry_seconds * 2 ** (attempt - 1), 30.0)
        await self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311

    async def _once(self, ask: _Ask, attempt: int) -> Answer:
        await self._quota.wait()
        if self._ended is not None:
            raise self._ended
        if self._stopping.is_set():
            raise Stopped
        self.requests += 1
        failpoint("transport.ask")
        response, body = await self._fetch(ask.path, ask.params)
        failpoint("transport.answered")
        self._check(response, body, ask.path, ask.params)
        return Answer(self._decode(body, ask, attempt), datetime.now(UTC))

    async def _fetch(self, path: str, params: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        try:
            # A read timeout counts per chunk: a body that drips needs a deadline of its own.
            async with asyncio.timeout(TOTAL_SECONDS):
                request = self._client.stream(
                    "GET", self._base + path, params=params, headers=self._headers
                )
                async with request as response:
                    return response, await self._read(response, path)
        except (httpx.HTTPError, TimeoutError) as error:
            # No chaining: an httpx error holds the request, its URL and its headers.
            raise _TryAgain(
                Unreachable(
                    f"{self._title} does not answer on GET {_public(path)} "
                    f"({type(error).__name__})",
                    hint="check base_url and the network; the next run goes on from here",
                    ends_account=isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
                )
            ) from None

    async def _read(self, response: httpx.Response, path: str) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise BadPayload(f"{self._title} sent over 64 MiB on GET {_public(path)}")
        return bytes(body)

    def _check(
        self, response: httpx.Response, body: bytes, path: str, params: Mapping[str, str]
    ) -> None:
        status, where = response.status_code, f"({response.status_code} on GET {_public(path)})"
        if response.is_success:
            return
        if status == 401:
            raise self._final(
                Unauthorized(
                    f"{self._title} does not accept the key {where}",
                    hint="make a new key there, set it as api_key, then: doblecheck doctor",
                    ends_account=True,
                )
            )
        if status in (403, 404):
            raise Unavailable(
                f"{self._title} does not give this resource to the key {where}",
                hint="check the key's scopes and the plan, or leave it out of `resources`",
                status=status,
            )
        if status == 429 or status >= 500:
            raise _TryAgain(
                Unreachable(
                    f"{self._title} still fails after {TRIES} tries {where}",
                    hint="the next run goes on from here",
                ),
                wait=_retry_after(response) if status in (429, 503) else None,
            )
        if {"after", "cursor"} & params.keys():
            raise BadCursor(f"{self._title} no longer accepts a saved cursor {where}")
        raise BadRequest(
            f"{self._title} refuses the request {where}",
            hint="a redirect or a changed API: check base_url, then report it",
        )

    def _decode(self, body: bytes, ask: _Ask, attempt: int) -> Any:
        # What is not JSON may be whole the next time; only then are its good rows taken alone.
        is_last = attempt >= BODY_TRIES and ask.has_rows
        try:
            decoded = salvage(body) if is_last else decode(body, has_rows=ask.has_rows)
        except ValueError:
            problem = "something that is not JSON"
        else:
            if ask.is_whole(decoded):
                return decoded
            problem = "JSON of another shape than its API promises"
        raise _TryAgain(
            BadPayload(
                f"{self._title} answered GET {_public(ask.path)} with {problem}",
                hint="often a proxy's error page; the next run goes on from here",
            ),
            tries=BODY_TRIES,
        )


def _client(concurrency: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=httpx.Timeout(30.0, connect=10.0),
        limits=httpx.Limits(
            max_connections=concurrency, max_keepalive_connections=concurrency, keepalive_expiry=30
        ),
        follow_redirects=False,  # the key must not travel to another host
        trust_env=False,
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, from `Retry-After` as a number or a date; 60 for a 429 that tells none."""
    told = response.headers.get("retry-after", "")
    if told.strip().isdigit():
        return float(told)
    try:
        until: datetime = parsedate_to_datetime(told).replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 60.0 if response.status_code == 429 else None


def _public(path: str) -> str:
    """The path without ids: a phone number may be one."""
    parts = [
        "…" if any(c.isdigit() for c in part) and len(part) > 5 else part
        for part in path.split("/")
    ]
    return "/".join(parts)
