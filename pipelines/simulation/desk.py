"""Where every request arrives: key, quota, handler, faults, ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipelines.simulation.asking import Answer, Asked, Handler, Manners, Refused
from pipelines.simulation.faults import Faults, Plan
from pipelines.simulation.writing import is_uuid

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PERSONAL = frozenset(
    {
        "business_scoped_user_id",
        "call_id",
        "phone_number",
        "profile_name_contains",
        "search",
        "wa_id",
        "wa_id_contains",
    }
)
"""Parameters that can name a customer."""


@dataclass(frozen=True)
class Seen:
    """A line of the ledger: query values that can name a customer read `…`."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int


class Quota:
    """So many requests in a minute of `timer` (seconds) from the first; None: no limit."""

    def __init__(self, per_minute: int | None, timer: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._timer = timer
        self._since = float("-inf")
        self._used = 0

    def take(self) -> tuple[bool, dict[str, str]]:
        """Whether one more request is allowed, and the headers that say what is left."""
        if self._per_minute is None:
            return True, {}
        if self._timer() - self._since >= 60:
            self._since, self._used = self._timer(), 0
        self._used += 1
        left = max(0, self._per_minute - self._used)
        headers = {"X-RateLimit-Limit": str(self._per_minute), "X-RateLimit-Remaining": str(left)}
        return self._used <= self._per_minute, headers


def make_app(
    handlers: Mapping[str, tuple[str, Handler]],
    *,
    manners: Manners,
    faults: Faults | None = None,
    quota: Quota | None = None,
    closed: Collection[str] = (),
    closed_status: int = 403,
) -> Starlette:
    """GET routes: path pattern → its resource and handler. `closed` resources are refused.

    Any other path is 404, any other method 405. `app.state.requests` is the ledger: one `Seen`
    for each request, in order.
    """
    desk = _Desk(manners=manners, plan=Plan(faults), quota=quota or Quota(None))
    routes = [
        Route(
            path, desk.endpoint(_guard(handler, resource, closed, closed_status)), methods=METHODS
        )
        for path, (resource, handler) in handlers.items()
    ]
    routes.append(Route("/{rest:path}", desk.endpoint(_not_found), methods=METHODS))
    app = Starlette(routes=routes)
    app.state.requests = desk.ledger
    return app


def _guard(handler: Handler, resource: str, closed: Collection[str], status: int) -> Handler:
    def answer(asked: Asked) -> Answer:
        if resource in closed:
            raise Refused(status, "Forbidden" if status == 403 else "Not found")
        return handler(asked)

    return answer


def _not_found(_: Asked) -> Answer:
    raise Refused(404, "Not found")


class _Desk:
    """Where every request arrives."""

    def __init__(self, *, manners: Manners, plan: Plan, quota: Quota) -> None:
        self._manners = manners
        self._plan = plan
        self._quota = quota
        self.ledger: list[Seen] = []

    def endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            asked = Asked(
                path=request.url.path,
                params=request.path_params,
                query=dict(request.query_params),
                manners=self._manners,
            )
            given = self._plan.apply(asked, self._answer(request, asked, handler))
            self.ledger.append(_line(request.method, asked, given.status))
            return _sent(given)

        return answer

    def _answer(self, request: Request, asked: Asked, handler: Handler) -> Answer:
        if request.method != "GET":
            return self._manners.refuse(405, "Method not allowed")
        if not self._manners.accepts(request.headers):
            return self._manners.refuse(401, "Unauthorized")
        allowed, headers = self._quota.take()
        if not allowed:
            refusal = self._manners.refuse(429, "Rate limit exceeded")
            return replace(refusal, headers=headers | {"Retry-After": "60"})
        try:
            answer = handler(asked)
        except Refused as refused:
            answer = self._manners.refuse(refused.status, str(refused))
        return replace(answer, headers=headers) if headers else answer


def _sent(given: Answer) -> Response:
    headers, media_type = given.headers, given.media_type
    if not given.seconds and not given.is_cut:
        return Response(given.body, given.status, headers=headers, media_type=media_type)
    length = {"Content-Length": str(len(given.body))}
    return StreamingResponse(_parts(given), given.status, {**headers, **length}, media_type)


async def _parts(given: Answer) -> AsyncIterator[bytes]:
    end = len(given.body) // 2 if given.is_cut else len(given.body)
    step = max(1, end // 50)
    for start in range(0, end, step):
        yield given.body[start : min(end, start + step)]
        await asyncio.sleep(given.seconds * step / max(1, end))


def _line(method: str, asked: Asked, status: int) -> Seen:
    path = asked.path
    if (contact := asked.params.get("contact", "")) and not is_uuid(contact):
        path = path.replace(contact, "…")
    query = {k: "…" if k in PERSONAL else v for k, v in asked.query.items()}
    return Seen(method=method, path=path, query=query, status=status)
