"""Waspy's lists, page by page.

GET /api/v2/…    Authorization: Bearer wspy_…

{"data": [{…}], "meta": {"requestId": "…", "cursor": "2026-04-13T14:32:00.000Z|…", "hasMore": true}}
{"data": [{…}], "meta": {"requestId": "…", "page": 1, "pageSize": 20, "total": 51}}
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipelines.cursors import Page
from pipelines.errors import BadPayload
from pipelines.provider import Row
from pipelines.reading.stored import WHOLE_NUMBER, whole_number
from pipelines.reading.transport import Answer, Transport
from pipelines.settings import Account

API = "/api/v2"
LIMIT = 100
"""What more than 100 does is not documented, so more is never asked."""

_PAGE = "page:"


@dataclass(frozen=True)
class Numbered:
    """A page of a numbered list, and how many rows the list says it has (None: it does not)."""

    page: Page[Row]
    total: int | None


class Waspy:
    """One tenant. A cursor of None asks for the first page."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def conversations(self, cursor: str | None, *, status: str | None = None) -> Page[Row]:
        """Conversations, newest message first: rows move up while a walk goes on. Those without
        a message may stand first or last. With a status, only those that have it."""
        return await self._listed(f"{API}/conversations", cursor, {"status": status})

    async def conversation(self, identity: str) -> Page[Row]:
        """One conversation, as a page of one row."""
        return await self._single(f"{API}/conversations/{quote(identity, safe='')}")

    async def messages(self, conversation: str, cursor: str | None) -> Page[Row]:
        """Messages of one conversation, oldest first."""
        path = f"{API}/conversations/{quote(conversation, safe='')}/messages"
        return await self._listed(path, cursor)

    async def contacts(self, number: int, size: int = LIMIT) -> Numbered:
        """Page `number` of the contacts, counted from 1, in an order that is not documented."""
        answer = await self._get(f"{API}/contacts", {"page": number, "pageSize": size})
        page = Page[Row](answer.body["data"], None, answer.fetched_at)
        return Numbered(page, _number(_meta(answer.body).get("total")))

    async def contact(self, identity: str) -> Page[Row]:
        """One contact, as a page of one row."""
        return await self._single(f"{API}/contacts/{quote(identity, safe='')}")

    async def templates(self, cursor: str | None) -> Page[Row]:
        """Message templates. That the list exists is all that is documented."""
        return await self._tolerant(f"{API}/templates", cursor)

    async def channels(self, cursor: str | None) -> Page[Row]:
        """Channels (business numbers). That the list exists is all that is documented."""
        return await self._tolerant(f"{API}/channels", cursor)

    async def _listed(
        self, path: str, cursor: str | None, params: Mapping[str, str | None] | None = None
    ) -> Page[Row]:
        answer = await self._get(path, {"limit": LIMIT, "cursor": cursor, **(params or {})})
        meta = _meta(answer.body)
        return Page(answer.body["data"], _checked(meta, _cursor(meta)), answer.fetched_at)

    async def _single(self, path: str) -> Page[Row]:
        answer = await self.transport.get(path, is_whole=_is_single, has_rows=False)
        return Page([answer.body["data"]], None, answer.fetched_at)

    async def _get(self, path: str, params: Mapping[str, str | int | None]) -> Answer:
        return await self.transport.get(path, params, is_whole=_is_list)

    async def _tolerant(self, path: str, cursor: str | None) -> Page[Row]:
        answer = await self.transport.get(
            path, _position(cursor), is_whole=lambda body: rows_in(body) is not None
        )
        rows, meta = rows_in(answer.body) or [], _meta(answer.body)
        following = _cursor(meta) or _next_page(meta, len(rows))
        return Page(rows, _checked(meta, following), answer.fetched_at)


def rows_in(body: Any) -> list[Row] | None:
    """The rows of a list of unknown shape: an array, `{"data": […]}`, or `{"data": {"…": […]}}`
    with one array; None when it is none of them."""
    data = body.get("data") if isinstance(body, dict) else body
    if isinstance(data, dict):
        arrays = [value for value in data.values() if isinstance(value, list)]
        data = arrays[0] if len(arrays) == 1 else None
    return data if isinstance(data, list) else None


def _is_list(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("data"), list)


def _is_single(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("data"), dict)


def _meta(body: Any) -> Mapping[str, Any]:
    meta = body.get("meta") if isinstance(body, dict) else None
    return meta if isinstance(meta, dict) else {}


def _number(value: Any) -> int | None:
    """A number, also one that is written as text; None when it is something else."""
    return whole_number(str(value)) if WHOLE_NUMBER.fullmatch(str(value)) else None


def _cursor(meta: Mapping[str, Any]) -> str | None:
    """The next cursor: the last page may carry one too, beside `hasMore: false`."""
    cursor = meta.get("cursor")
    return cursor if isinstance(cursor, str) and cursor and meta.get("hasMore", True) else None


def _checked(meta: Mapping[str, Any], following: str | None) -> str | None:
    """What leads to the next page; None at the end.

    Raises:
        BadPayload: there is more, and nothing leads there.
    """
    if following is None and meta.get("hasMore") is True:
        raise BadPayload(
            "Waspy says that a list goes on, and names no cursor for it",
            hint="run again later; if it stays, tell the provider its paging breaks off",
        )
    return following


def _next_page(meta: Mapping[str, Any], rows: int) -> str | None:
    page, total = _number(meta.get("page")), _number(meta.get("total"))
    size = _number(meta.get("pageSize")) or rows
    if page is None or total is None or not rows:
        return None
    return f"{_PAGE}{page + 1}:{size}" if page * size < total else None


def _position(cursor: str | None) -> Mapping[str, str]:
    if cursor is None:
        return {}
    if cursor.startswith(_PAGE):
        _, page, size = cursor.split(":")
        return {"page": page, "pageSize": size}
    return {"cursor": cursor}


@asynccontextmanager
async def connect(account: Account) -> AsyncIterator[Waspy]:
    """A client of an account's tenant.

    Raises:
        ConfigError: the account has no key.
    """
    transport = Transport(
        title="Waspy",
        base_url=account.base_url,
        headers={"Authorization": f"Bearer {account.key}", "Accept": "application/json"},
        requests_per_minute=account.requests_per_minute,
        concurrency=account.concurrency,
        retry_seconds=account.retry_seconds,
    )
    async with transport:
        yield Waspy(transport)


async def probe(client: Waspy) -> None:
    """The cheapest request that needs a good key."""
    await client.transport.get(f"{API}/conversations", {"limit": 1}, is_whole=_is_list)


def scopes(client: Waspy) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """Resource → one request that needs the key's right to read it."""
    return {
        "contacts": lambda: client.contacts(1, 1),
        "templates": lambda: client.templates(None),
        "channels": lambda: client.channels(None),
    }
