"""Kapso's lists, page by page.

    Platform     GET /platform/v1/whatsapp/…             X-API-Key: <project key>
    Meta proxy   GET /meta/whatsapp/<graph version>/…    X-API-Key: <project key>

    {"data": [{…}], "paging": {"cursors": {"before": null, "after": "eyJ2…"}, "next": null}}
    {"data": [{…}], "meta": {"page": 1, "per_page": 20, "total_pages": 3, "total_count": 51}}

Some lists moved from the second envelope to the first in 2026, so every list accepts both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

from pipelines.cursors import Page
from pipelines.provider import Row
from pipelines.settings import Account
from pipelines.transport import Transport

PLATFORM = "/platform/v1"
LIMIT = 100
"""More than 100 is answered with 400, not clamped."""

_PAGE = "page:"
Params = Mapping[str, str | int | None]


class Kapso:
    """One project. Every method asks for one page; None is the first."""

    def __init__(self, transport: Transport, *, graph_version: str) -> None:
        self.transport = transport
        self._proxy = f"/meta/whatsapp/{graph_version}"

    async def phone_numbers(self, cursor: str | None) -> Page[Row]:
        """Business numbers, most recent first."""
        return await self._paged(f"{PLATFORM}/whatsapp/phone_numbers", cursor)

    async def conversations(self, cursor: str | None) -> Page[Row]:
        """Conversations of the project, last active first: rows move up while a walk goes on."""
        return await self._listed(f"{PLATFORM}/whatsapp/conversations", cursor)

    async def messages(self, cursor: str | None) -> Page[Row]:
        """Messages of the project, newest row first. Has no time filter; tells `origin`."""
        return await self._listed(f"{PLATFORM}/whatsapp/messages", cursor)

    async def contacts(self, cursor: str | None) -> Page[Row]:
        """Contacts of the project, newest created first."""
        return await self._listed(f"{PLATFORM}/whatsapp/contacts", cursor)

    async def contact(self, identity: str) -> Row:
        """One contact, by its id."""
        path = f"{PLATFORM}/whatsapp/contacts/{quote(identity, safe='')}"
        answer = await self.transport.get(path, is_whole=_is_single)
        return cast("Row", answer.body["data"])

    async def calls(self, number: str, since: str | None, cursor: str | None) -> Page[Row]:
        """Calls of one number that started at or after `since` (ISO 8601)."""
        params = {"since": since, "fields": "kapso(default)"}
        return await self._listed(f"{self._proxy}/{quote(number, safe='')}/calls", cursor, params)

    async def templates(self, waba: str, cursor: str | None) -> Page[Row]:
        """Templates of one WhatsApp Business account, as Meta's Graph API lists them."""
        path = f"{self._proxy}/{quote(waba, safe='')}/message_templates"
        return await self._listed(path, cursor)

    async def _listed(
        self, path: str, cursor: str | None, params: Params | None = None
    ) -> Page[Row]:
        return await self._get(path, _position(cursor, {"limit": LIMIT}), params)

    async def _paged(self, path: str, cursor: str | None) -> Page[Row]:
        return await self._get(path, _position(cursor, {"page": 1, "per_page": LIMIT}), None)

    async def _get(self, path: str, position: Params, params: Params | None) -> Page[Row]:
        answer = await self.transport.get(path, {**position, **(params or {})}, is_whole=is_list)
        return page_of(answer.body, answer.fetched_at)


def is_list(body: Any) -> bool:
    """Whether an answer is a list: an error or an empty object with a 200 is not an empty page."""
    return isinstance(body, dict) and isinstance(body.get("data"), list)


def _is_single(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("data"), dict)


def page_of(body: Mapping[str, Any], fetched_at: datetime) -> Page[Row]:
    """A page of either envelope."""
    rows = body["data"]
    if isinstance(body.get("paging"), dict):
        return Page(rows, _after(body["paging"]), fetched_at)
    return Page(rows, _next_page(body.get("meta"), len(rows)), fetched_at)


def _after(paging: Mapping[str, Any]) -> str | None:
    """The next cursor. `next` is the cursor again, null although there is more, or Meta's URL,
    which carries an access token and is never followed."""
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    following = after or paging.get("next")
    return following if isinstance(following, str) and "://" not in following else None


def _next_page(meta: Any, rows: int) -> str | None:
    if not isinstance(meta, dict) or not isinstance(meta.get("page"), int):
        return None
    # The size the server used, not the one asked for: it may know only `per_page`, or clamp it.
    size = meta.get("per_page") or rows
    page, last = meta["page"], meta.get("total_pages")
    if last is None:
        last = -(-int(meta.get("total_count") or 0) // max(1, size))
    return f"{_PAGE}{page + 1}:{size}" if page < int(last) else None


def _position(cursor: str | None, first: Params) -> Params:
    if cursor is None:
        return first
    if cursor.startswith(_PAGE):
        _, page, size = cursor.split(":")
        return {"page": page, "per_page": size}
    return {"limit": LIMIT, "after": cursor}


@asynccontextmanager
async def connect(account: Account) -> AsyncIterator[Kapso]:
    """A client of an account's project.

    Raises:
        ConfigError: the account has no key.
    """
    transport = Transport(
        title="Kapso",
        base_url=account.base_url,
        headers={"X-API-Key": account.key, "Accept": "application/json"},
        requests_per_minute=account.requests_per_minute,
        concurrency=account.concurrency,
        retry_seconds=account.retry_seconds,
    )
    async with transport:
        yield Kapso(transport, graph_version=account.graph_version)


async def probe(client: Kapso) -> None:
    """The cheapest request that needs a good key."""
    await client.transport.get(
        f"{PLATFORM}/whatsapp/phone_numbers", {"page": 1, "per_page": 1}, is_whole=is_list
    )
