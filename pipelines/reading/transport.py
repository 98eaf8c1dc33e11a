"""The one way out to a provider: GET, within the account's quota, again when it may help.

HTTP answer                                  what the caller sees
200 with a JSON object or array              Answer
401                                          Unauthorized; later calls to the host, or of the
                                             account, fail without a request
403, 404                                     Unavailable
400, 422 with a cursor / without             BadCursor / BadRequest
429                                          asked again when it says, then Unreachable
5xx, cut off, slow, not JSON                 tried again, then Unreachable or BadPayload
a page with rows that are not JSON           tried again, then Answer; those rows are Unreadable
one thing that is not quite JSON             tried again, then Answer; it is Unreadable

Where a provider hands through what another one says, its room tells which status is meant.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

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
from pipelines.reading.gate import Gate, Memory, Sleep
from pipelines.reading.retrying import TRIES, Tries, TryAgain, is_whole_number, retry_after
from pipelines.salvage import decode, salvage, salvage_one

log = logging.getLogger(__name__)
# Its INFO lines print whole URLs, and a query may hold a customer's number.
logging.getLogger("httpx").setLevel(logging.WARNING)

TOTAL_SECONDS = 60.0
MAX_WAIT_SECONDS = 120.0
MAX_BODY_BYTES = 64 * 1024 * 1024
TIMEOUTS = httpx.Timeout(30.0, connect=10.0).as_dict()
NEW_KEY = "make a new key there, set it as api_key, then: doblecheck doctor"
OTHER_HOST = "its main host may take it: what only this one has is left out"
GRACE_SECONDS = 2.0
"""How long a request that is on its way may take when the run is asked to end."""


@dataclass(frozen=True)
class Answer:
    """A decoded answer.

    Attributes:
        body: decoded JSON.
        fetched_at: when it arrived, UTC.
    """

    body: Any
    fetched_at: datetime


Means = Callable[[int, bytes], int]
"""The status that an error stands for, from its own status and its body."""


@dataclass(frozen=True)
class _Ask:
    """One question: see `Transport.get`."""

    path: str
    params: Mapping[str, str]
    is_whole: Callable[[Any], bool]
    has_rows: bool


@dataclass
class _Shared:
    """What the transports of one account have in common, whichever host they ask.

    Attributes:
        ended: what ended the account; later calls raise it without a request.
        requests: made so far.
        is_stopping: the run is asked to end.
        is_late: the run has no time left but to end what it began.
        is_drained: a request waited as long as one may, and nothing was answered since.
        asking: the calls that go on, each within a time limit that a stop sets.
    """

    carrier: httpx.AsyncBaseTransport
    gate: Gate
    ended: ProviderError | None = None
    requests: int = 0
    is_stopping: bool = False
    is_late: bool = False
    is_drained: bool = False
    asking: set[asyncio.Timeout] = field(default_factory=set)


class Transport:
    """GET requests of one account. Use it as an async context manager.

    Args:
        title: the provider's name, for errors.
        base_url: scheme and host, checked by the settings; nothing else is ever asked.
        headers: the account's authentication.
        requests_per_minute: the plan's quota.
        concurrency: requests in the air at once.
        retry_seconds: the wait before a second try; it doubles with every further one.
        means: the status that an error's answer stands for, from its own status and its body.
        carrier: brings a request to the host and its answer back; by default aiohttp's
            connections. It follows no redirect, so the key can't travel to another host.
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
        means: Means = lambda status, body: status,
        carrier: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._title, self._means = title, means
        self._headers = httpx.Headers({"Accept-Encoding": "gzip, deflate", **headers})
        self._base = base_url.rstrip("/")
        self._shared = _Shared(
            carrier or AiohttpTransport(client=lambda: _session(concurrency)),
            Gate(requests_per_minute, concurrency, clock=clock, sleep=sleep),
        )
        self._sleep, self._retry_seconds = sleep, retry_seconds
        self._is_side_host = False
        self._refused: ProviderError | None = None
        self.concurrency = concurrency

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._shared.carrier.aclose()

    @property
    def per_minute(self) -> int:
        """The quota that is kept: the smaller of the settings' and the provider's."""
        return self._shared.gate.per_minute

    def remember(self, memory: Memory) -> None:
        """Count the account's requests of earlier processes. Called before the first one."""
        self._shared.gate.remember(memory)

    @property
    def requests(self) -> int:
        """How many requests were made, to all of the account's hosts."""
        return self._shared.requests

    def beside(self, base_url: str) -> Transport:
        """The same account at another of its provider's hosts.

        Both spend one quota, and this one closes them. When it refuses the key, neither is asked
        any more; a side host that refuses it or is gone ends only what is asked of it.
        """
        other = copy(self)
        other._base, other._is_side_host = base_url.rstrip("/"), True
        return other

    def hurry(self) -> None:
        """From now on no request waits for long: the run's time is over."""
        self._shared.is_late = True

    def stop(self) -> None:
        """End in order: no request starts, waits end, and what is on its way has a short grace.
        Called in the client's loop."""
        self._shared.is_stopping = True
        until = asyncio.get_running_loop().time() + GRACE_SECONDS
        for limit in self._shared.asking:
            limit.reschedule(until)

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
                one thing, the parts are no rows: it is set aside whole.

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
        try:
            async with asyncio.timeout(None) as limit:
                self._shared.asking.add(limit)
                return await self._tries(ask)
        except TimeoutError:  # a request's own never leaves `_fetch`
            raise Stopped from None
        finally:
            self._shared.asking.discard(limit)

    async def _tries(self, ask: _Ask) -> Answer:
        tries = Tries()
        while True:
            if self._shared.is_stopping:
                raise Stopped
            try:
                async with self._shared.gate.turn():
                    return await self._once(ask, is_last_body=tries.is_last_body)
            except TryAgain as again:
                tries.count(again, is_late=self._shared.is_late)
                if tries.are_over or (again.is_throttle and self._shared.is_drained):
                    self._shared.is_drained |= again.is_throttle
                    raise self._final(again.error) from None
                await self._pause(again.wait, tries.of_its_kind(again))

    def _final(self, error: ProviderError) -> ProviderError:
        if error.ends_account:
            self._shared.ended = self._shared.ended or error
        elif isinstance(error, Unauthorized):
            self._refused = self._refused or error
        return self._ending() or error

    def _ending(self) -> ProviderError | None:
        """What ended the account, or this host. A copy: an error keeps every frame that it left."""
        return copy(self._shared.ended or self._refused)

    async def _pause(self, wait: float | None, attempt: int) -> None:
        # The jitter keeps accounts that failed together from coming back together.
        pause = min(self._retry_seconds * 2 ** (attempt - 1), 30.0)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311
        if wait is None:
            await self._sleep(pause)
        else:  # never less than that: a provider may ask for no wait at all, and mean it
            self._shared.gate.hold(min(max(wait, pause), MAX_WAIT_SECONDS))

    async def _once(self, ask: _Ask, *, is_last_body: bool) -> Answer:
        if ending := self._ending():
            raise ending
        if self._shared.is_stopping:
            raise Stopped
        self._shared.requests += 1
        failpoint("transport.ask")
        response, body = await self._fetch(ask.path, ask.params)
        failpoint("transport.answered")
        self._shared.gate.obey(
            limit=_number(response, "ratelimit-limit"),
            remaining=_number(response, "ratelimit-remaining"),
        )
        self._check(response, body, ask.path, ask.params)
        self._shared.is_drained = False
        return Answer(self._decode(body, ask, is_last=is_last_body), datetime.now(UTC))

    async def _fetch(self, path: str, params: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        try:
            # A read timeout counts per chunk: a body that drips needs a deadline of its own.
            async with asyncio.timeout(TOTAL_SECONDS):
                # Not by an httpx client: what it adds costs half as much again as the request.
                request = httpx.Request(
                    "GET",
                    self._base + path,
                    params=params,
                    headers=self._headers,
                    extensions={"timeout": TIMEOUTS},
                )
                response = await self._shared.carrier.handle_async_request(request)
                response.request = request  # it tells who asked when its body is not what it says
                try:
                    return response, await self._read(response, path)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, TimeoutError) as error:
            # No chaining: these errors hold the request, its URL and its headers.
            raise TryAgain(
                Unreachable(
                    f"{self._title} does not answer on GET {_public(path)} "
                    f"({type(error).__name__})",
                    hint="check base_url and the network; the next run goes on from here",
                    ends_account=not self._is_side_host and _is_without_connection(error),
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
        where = f"({response.status_code} on GET {_public(path)})"
        if response.is_success:
            return
        status = self._means(response.status_code, body)
        if status == 401:
            raise self._final(
                Unauthorized(
                    f"{self._title} does not accept the key {where}",
                    hint=OTHER_HOST if self._is_side_host else NEW_KEY,
                    ends_account=not self._is_side_host,
                )
            )
        if status in (403, 404):
            raise Unavailable(
                f"{self._title} does not give this resource to the key {where}",
                hint="check the key's scopes and the plan, or leave it out of `resources`",
                status=status,
            )
        if status == 429 or status >= 500:
            lasts = "asks to wait" if status == 429 else f"fails after {TRIES} tries"
            raise TryAgain(
                Unreachable(
                    f"{self._title} still {lasts} {where}", hint="the next run goes on from here"
                ),
                wait=retry_after(response) if status in (429, 503) else None,
                is_throttle=status == 429,
            )
        if {"after", "cursor"} & params.keys():
            raise BadCursor(f"{self._title} no longer accepts a saved cursor {where}")
        raise BadRequest(
            f"{self._title} refuses the request {where}",
            hint="a redirect or a changed API: check base_url, then report it",
        )

    def _decode(self, body: bytes, ask: _Ask, *, is_last: bool) -> Any:
        # What is not JSON may be whole the next time; only then are its good rows taken alone.
        try:
            if is_last:
                decoded = salvage(body) if ask.has_rows else salvage_one(body)
            else:
                decoded = decode(body, has_rows=ask.has_rows)
        except ValueError:
            problem = "something that is not JSON"
        else:
            if ask.is_whole(decoded):
                return decoded
            problem = "JSON of another shape than its API promises"
        raise TryAgain(
            BadPayload(
                f"{self._title} answered GET {_public(ask.path)} with {problem}",
                hint="often a proxy's error page; the next run goes on from here",
            ),
            is_body=True,
        )


def _session(concurrency: int) -> aiohttp.ClientSession:
    """aiohttp's connections cost a seventh of the CPU of httpx's own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency, keepalive_timeout=30, ssl=_authorities()),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


@cache
def _authorities() -> ssl.SSLContext:
    """Who may vouch for a host. Reading their certificates takes 50 ms: once for all accounts."""
    return httpx.create_ssl_context(trust_env=False)


def _is_without_connection(error: Exception) -> bool:
    """Whether nobody was reached: httpx's name for it also stands for a connection that broke."""
    if isinstance(error.__cause__, aiohttp.ClientConnectionError):
        timeout = aiohttp.ConnectionTimeoutError
        return isinstance(error.__cause__, aiohttp.ClientConnectorError | timeout)
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)


def _number(response: httpx.Response, header: str) -> int | None:
    """A header's number, whether its name begins with `X-` or, as in a draft standard, not."""
    text = (response.headers.get(f"x-{header}") or response.headers.get(header, "")).strip()
    return int(text) if is_whole_number(text) and len(text) < 10 else None


def _public(path: str) -> str:
    """The path without ids: a phone number may be one."""
    parts = [
        "…" if any(c.isdigit() for c in part) and len(part) > 5 else part
        for part in path.split("/")
    ]
    return "/".join(parts)
