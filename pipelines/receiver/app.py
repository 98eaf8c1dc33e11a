"""The receiver as an ASGI app: `POST /webhooks/{provider}/{account}`, `GET /healthz`.

200 says that the delivery is on disk, and nothing else says so. What a body means is not asked
here: it is checked to be signed, and stored as it came. docs/receiver.md has every answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import LogError
from pipelines.failpoint import failpoint
from pipelines.receiver.doors import Door, Headers, closed
from pipelines.receiver.log import Arrival
from pipelines.receiver.metrics import Metrics
from pipelines.receiver.writer import Writer

BODY_SECONDS = 10.0
COMMIT_SECONDS = 5.0
"""How long a sender waits for a commit. The provider gives up after 10 s."""

LINGER_SECONDS = 2.0
"""How long what is refused unread is still taken in: a sender whose connection is cut while it
sends may never see the answer."""

MOST_HEADER_BYTES = 16 * 1024

HELD_BYTES = 64 * 1024 * 1024
"""Of all bodies in memory at once."""

PROBE_SECONDS = 1.0
"""How long a health check stands for the next ones."""

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What a sender is told, and the reason that is counted."""

    status: int
    body: bytes
    reason: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    is_last: bool = True  # of its connection


LATER = ((b"retry-after", b"10"),)

STORED = Answer(200, b"OK", is_last=False)
EMPTY = Answer(400, b"Bad Request", "empty", is_last=False)
FRAMING = Answer(400, b"Bad Request", "framing")
# One answer for a wrong signature and for an account that there is not.
UNSIGNED = Answer(401, b"Unauthorized", "signature", is_last=False)
NOWHERE = Answer(404, b"Not Found", "path")
NOT_THAT = Answer(405, b"Method Not Allowed", "method")
SLOW = Answer(408, b"Request Timeout", "slow")
LARGE = Answer(413, b"Content Too Large", "length")
ENCODED = Answer(415, b"Unsupported Media Type", "encoding")
NOT_STORED = Answer(503, b"Service Unavailable", "log", LATER, is_last=False)
LATE = Answer(503, b"Service Unavailable", "late", LATER, is_last=False)
CROWDED = Answer(503, b"Service Unavailable", "crowded", LATER)
FAILED = Answer(503, b"Service Unavailable", "error", LATER)

HEALTHY = Answer(200, b"OK", is_last=False)
UNHEALTHY = Answer(503, b"Service Unavailable", "", LATER, is_last=False)


class _Refused(Exception):
    """A body that is not read to its end."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class _Gone(Exception):
    """The sender left."""


@dataclass
class Receiver:
    """Takes deliveries in.

    Args:
        doors: (provider, account) → what a delivery must show.
        clock: the current time, UTC.
    """

    doors: Mapping[tuple[str, str], Door]
    writer: Writer
    metrics: Metrics
    max_body_bytes: int
    clock: Callable[[], datetime]
    _closed: Door = field(default_factory=closed)
    _held: int = 0
    _probe: asyncio.Task[bool] | None = None
    _probed_at: float = float("-inf")

    def app(self) -> Router:
        """The ASGI app. Other paths are 404, other methods 405."""
        return Router(
            [
                Route("/webhooks/{provider}/{account}", _Only("POST", self.take, self.refuse)),
                Route("/healthz", _Only("GET", self.tell_health, self.refuse)),
            ],
            redirect_slashes=False,
            default=partial(self.refuse, NOWHERE),
        )

    async def take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a delivery, and count what became of it."""
        body = _Body(self, receive)
        try:
            answer = await self._answer(scope, body)
        except _Gone:
            self.metrics.refused.labels("gone").inc()
            return
        except _Refused as refused:
            answer = refused.answer
        except asyncio.CancelledError:  # the server's grace is over
            answer = FAILED
        except Exception as error:  # noqa: BLE001 - a 500 would say the same and quote the body
            LOGGER.error(  # noqa: TRY400 - a trace may quote it too
                "unexpected %s while receiving", type(error).__name__
            )
            answer = FAILED
        finally:
            body.let_go()
        if answer.reason:
            self.metrics.refused.labels(answer.reason).inc()
        # Who asked first sends no body after a no.
        waits = body.has_more and not any(name == b"expect" for name, _ in scope["headers"])
        await _send(send, answer, linger=body.linger if waits else None)
        failpoint("receive.answered")

    async def _answer(self, scope: Scope, receiving: _Body) -> Answer:
        failpoint("receive.begin")
        headers: Headers = scope["headers"]
        _check_headers(headers, self.max_body_bytes)
        body = await receiving.read(self.max_body_bytes)
        if not body:
            return EMPTY
        names = (scope["path_params"]["provider"], scope["path_params"]["account"])
        door = self.doors.get(names, self._closed)
        if not door.lets_in(headers, body):
            return UNSIGNED
        failpoint("receive.verified")
        return await self._store(Arrival(*names, self.clock(), door.keep(headers), body))

    async def _store(self, arrival: Arrival) -> Answer:
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                is_new = await self.writer.submit(arrival)
        except TimeoutError:
            return LATE
        except LogError:
            return NOT_STORED
        failpoint("receive.stored")
        counter = self.metrics.accepted if is_new else self.metrics.duplicates
        counter.labels(arrival.provider, arrival.account).inc()
        return STORED

    async def refuse(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what asks for something else."""
        body = _Body(self, receive)
        self.metrics.refused.labels(answer.reason).inc()
        await _send(send, answer, linger=body.linger)

    async def tell_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whether a delivery could be stored: something was, now or at most a second ago."""
        now = asyncio.get_running_loop().time()
        if self._probe is None or now - self._probed_at > PROBE_SECONDS:
            self._probe, self._probed_at = asyncio.create_task(self._can_store()), now
        is_well = await asyncio.shield(self._probe) and self.writer.failure is None
        await _send(send, HEALTHY if is_well else UNHEALTHY)

    async def _can_store(self) -> bool:
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await self.writer.submit(None)
        except (TimeoutError, LogError):
            return False
        return True


class _Only:
    """An ASGI app for one HTTP method. (Starlette would wrap a function in a Request.)"""

    def __init__(self, method: str, app: ASGIApp, refuse: Callable[..., Awaitable[None]]) -> None:
        self._method, self._app, self._refuse = method, app, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == self._method:
            await self._app(scope, receive, send)
        else:
            answer = replace(NOT_THAT, headers=((b"allow", self._method.encode()),))
            await self._refuse(answer, scope, receive, send)


class _Body:
    """The body of one request while it comes in."""

    def __init__(self, receiver: Receiver, receive: Receive) -> None:
        self._receiver, self._receive = receiver, receive
        self._size = 0
        self.has_more = True

    async def read(self, most: int) -> bytes:
        """All of it.

        Raises:
            _Refused: it is too large or too slow, or there is no room for it.
            _Gone: the sender left before its end.
        """
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while self.has_more:
                    chunks.append(await self._next())
                    if self._size > most:
                        raise _Refused(LARGE)
                    if self._receiver._held > HELD_BYTES:
                        raise _Refused(CROWDED)
        except TimeoutError:
            raise _Refused(SLOW) from None
        return b"".join(chunks)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            self.has_more = False
            raise _Gone
        self.has_more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        self._size += len(chunk)
        self._receiver._held += len(chunk)
        return chunk

    def let_go(self) -> None:
        """Its bytes are not held any more."""
        self._receiver._held -= self._size
        self._size = 0

    async def linger(self) -> None:
        """Take in what is still sent, and keep none of it."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while self.has_more:
                    await self._next()
                    self.let_go()
        except (TimeoutError, _Gone):
            pass


def _check_headers(headers: Headers, most: int) -> None:
    """Refuse what needs no body to be refused.

    Raises:
        _Refused: with the answer.
    """
    if sum(len(name) + len(value) for name, value in headers) > MOST_HEADER_BYTES:
        raise _Refused(FRAMING)  # h11's own limit is not asked for what comes in one piece
    found = dict(headers)
    if found.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise _Refused(ENCODED)  # a few bytes could become gigabytes
    length = found.get(b"content-length", b"0")
    if b"transfer-encoding" in found and b"content-length" in found:
        raise _Refused(FRAMING)  # two servers may read two requests out of it
    if not length.isdigit():
        raise _Refused(FRAMING)
    if len(length) > 15 or int(length) > most:
        raise _Refused(LARGE)


async def _send(
    send: Send, answer: Answer, linger: Callable[[], Awaitable[None]] | None = None
) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    if answer.is_last:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if linger:
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await linger()
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": answer.body})
