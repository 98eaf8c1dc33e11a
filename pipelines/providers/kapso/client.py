"""Kapso's lists, page by page.

    Platform     GET /platform/v1/whatsapp/…             X-API-Key: <project key>
    Meta proxy   GET /meta/whatsapp/<graph version>/…    X-API-Key: <project key>
    Legacy       GET /api/v1/…  (a host of its own)      X-API-Key: <project key>

    {"data": [{…}], "paging": {"cursors": {"before": null, "after": "eyJ2…"}, "next": null}}
    {"data": [{…}], "meta": {"page": 1, "per_page": 20, "total_pages": 3, "total_count": 51}}

Some lists moved from the second envelope to the first in 2026, so every list accepts both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from pipelines.cursors import Page
from pipelines.errors import Unavailable
from pipelines.provider import Row
from pipelines.reading.transport import Transport
from pipelines.settings import Account

PLATFORM = "/platform/v1"
LEGACY = "/api/v1"
LIMIT = 100
"""More than 100 is answered with 400, not clamped."""

META_TRIES_AGAIN = frozenset({1, 2, 4, 80007, 130429, 131048, 131056})
"""Meta's codes of what passes: a fault of its own, a limit of a number or a business account."""

META_REFUSES = frozenset({0, 3, 10, 190, *range(200, 300)})
"""Meta's codes of a token that is no longer good, or may not do this."""

_PAGE = "page:"
Params = Mapping[str, str | int | None]


class Kapso:
    """One project. Every method asks for one page; None is the first.

    Args:
        transport: the current API.
        legacy: the older API's host, which spends the same quota.
        graph_version: of Meta's Graph API, in the proxy's paths.
    """

    def __init__(self, transport: Transport, legacy: Transport, *, graph_version: str) -> None:
        self.transport, self._legacy = transport, legacy
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

    async def message(self, identity: str) -> Page[Row]:
        """One message as the project's list tells it, as a page of one row."""
        path = f"{PLATFORM}/whatsapp/messages/{_part(identity)}"
        answer = await self.transport.get(path, is_whole=_is_single, has_rows=False)
        return Page([answer.body["data"]], None, answer.fetched_at)

    async def messages_between(
        self, number: str, since: str, until: str, cursor: str | None
    ) -> Page[Row]:
        """Messages of one number that were stored from `since` to `until`. May tell no `origin`."""
        params = {"since": since, "until": until, "fields": "kapso(default)"}
        return await self._listed(f"{self._proxy}/{_part(number)}/messages", cursor, params)

    async def conversations_between(self, since: str, until: str, cursor: str | None) -> Page[Row]:
        """Conversations of the project that were last active from `since` to `until`."""
        params = {"last_active_after": since, "last_active_before": until}
        return await self._listed(f"{PLATFORM}/whatsapp/conversations", cursor, params)

    async def calls_between(
        self, number: str, since: str, until: str, cursor: str | None
    ) -> Page[Row]:
        """Calls of one number that started from `since` to `until`."""
        params = {"since": since, "until": until, "fields": "kapso(default)"}
        return await self._listed(f"{self._proxy}/{_part(number)}/calls", cursor, params)

    async def contacts(self, cursor: str | None) -> Page[Row]:
        """Contacts of the project, newest created first."""
        return await self._listed(f"{PLATFORM}/whatsapp/contacts", cursor)

    async def assignments(self, conversation: str, cursor: str | None) -> Page[Row]:
        """Who one conversation was given to, most recent first."""
        path = f"{PLATFORM}/whatsapp/conversations/{_part(conversation)}/assignments"
        return await self._paged(path, cursor)

    async def broadcasts(self, cursor: str | None) -> Page[Row]:
        """Broadcasts of the project, newest first."""
        return await self._paged(f"{PLATFORM}/whatsapp/broadcasts", cursor)

    async def recipients(self, broadcast: str, cursor: str | None) -> Page[Row]:
        """Recipients of one broadcast, as far as they have come. A page may hold fewer rows than
        it says; `meta.total_pages` counts."""
        path = f"{PLATFORM}/whatsapp/broadcasts/{_part(broadcast)}/recipients"
        return await self._paged(path, cursor)

    async def webhooks(self, cursor: str | None) -> Page[Row]:
        """Webhooks of the project and of its numbers, newest first."""
        return await self._paged(f"{PLATFORM}/whatsapp/webhooks", cursor)

    async def webhook_deliveries(self, period: str, cursor: str | None) -> Page[Row]:
        """What became of Kapso's calls to webhooks in `period` (24h, 7d, 30d), newest first."""
        return await self._listed(f"{PLATFORM}/webhook_deliveries", cursor, {"period": period})

    async def api_logs(self, period: str, cursor: str | None) -> Page[Row]:
        """Requests to Kapso's API in `period` (24h, 7d, 30d), newest first; ours are among them."""
        return await self._listed(f"{PLATFORM}/api_logs", cursor, {"period": period})

    async def users(self, cursor: str | None) -> Page[Row]:
        """People who work in the project."""
        return await self._paged(f"{PLATFORM}/users", cursor)

    async def customers(self, cursor: str | None) -> Page[Row]:
        """The project's own customers: businesses that use its numbers."""
        return await self._paged(f"{PLATFORM}/customers", cursor)

    async def calls(self, number: str, since: str | None, cursor: str | None) -> Page[Row]:
        """Calls of one number that started at or after `since` (ISO 8601)."""
        params = {"since": since, "fields": "kapso(default)"}
        return await self._listed(f"{self._proxy}/{_part(number)}/calls", cursor, params)

    async def templates(self, waba: str, cursor: str | None) -> Page[Row]:
        """Templates of one WhatsApp Business account, as Meta's Graph API lists them."""
        return await self._listed(f"{self._proxy}/{_part(waba)}/message_templates", cursor)

    async def legacy_calls(self, since: str, until: str, cursor: str | None) -> Page[Row]:
        """Calls of the project that started from `since` to `until`; rows name no
        `phone_number_id`. There may be no page behind the fiftieth."""
        params = {"period": "custom", "start_date": since, "end_date": until}
        return await self._paged(f"{LEGACY}/whatsapp_calls", cursor, params, at=self._legacy)

    async def legacy_templates(self, cursor: str | None) -> Page[Row]:
        """Kapso's own copies of the templates: ids of Kapso's, not Meta's."""
        return await self._paged(f"{LEGACY}/whatsapp_templates", cursor, at=self._legacy)

    async def contact_notes(self, contact: str, cursor: str | None) -> Page[Row]:
        """Notes on one contact."""
        path = f"{LEGACY}/whatsapp_contacts/{_part(contact)}/notes"
        return await self._paged(path, cursor, at=self._legacy)

    async def call_permissions(self, contact: str, cursor: str | None) -> Page[Row]:
        """What one contact said about being called, per number; one page without `meta`."""
        path = f"{LEGACY}/whatsapp_contacts/{_part(contact)}/call_permissions"
        return await self._paged(path, cursor, at=self._legacy)

    async def exists(self, kind: str, identity: str) -> bool:
        """Whether Kapso still has one of its `conversations`, `contacts` or `broadcasts`."""
        try:
            path = f"{PLATFORM}/whatsapp/{kind}/{_part(identity)}"
            await self.transport.get(path, has_rows=False)
        except Unavailable as error:
            return error.status != 404
        return True

    async def _listed(
        self, path: str, cursor: str | None, params: Params | None = None
    ) -> Page[Row]:
        asked = {**_position(cursor, {"limit": LIMIT}), **(params or {})}
        return await _page(self.transport, path, asked)

    async def _paged(
        self,
        path: str,
        cursor: str | None,
        params: Params | None = None,
        *,
        at: Transport | None = None,
    ) -> Page[Row]:
        asked = {**_position(cursor, {"page": 1, "per_page": LIMIT}), **(params or {})}
        return await _page(at or self.transport, path, asked)


async def _page(transport: Transport, path: str, params: Params) -> Page[Row]:
    answer = await transport.get(path, params, is_whole=is_list)
    return page_of(answer.body, answer.fetched_at, asked=params.get("page", 1))


def _part(identity: str) -> str:
    """An id as a part of a path."""
    return quote(identity, safe="")


def is_list(body: Any) -> bool:
    """Whether an answer is a list: an error or an empty object with a 200 is not an empty page."""
    return isinstance(body, dict) and isinstance(body.get("data"), list)


def _is_single(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("data"), dict)


def page_of(body: Mapping[str, Any], fetched_at: datetime, *, asked: object = 1) -> Page[Row]:
    """A page of either envelope.

    Args:
        asked: the number of the page, where the answer does not repeat it.
    """
    rows = body["data"]
    if isinstance(body.get("paging"), dict):
        return Page(rows, _after(body["paging"]), fetched_at)
    return Page(rows, _next_page(body.get("meta"), asked, len(rows)), fetched_at)


def _after(paging: Mapping[str, Any]) -> str | None:
    """The next cursor. `next` is the cursor again, null although there is more, or Meta's URL,
    which carries an access token and is never followed."""
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    following = after or paging.get("next")
    return following if isinstance(following, str) and "://" not in following else None


def _next_page(meta: Any, asked: object, rows: int) -> str | None:
    if not isinstance(meta, dict):
        return None
    told = (meta.get("page"), meta.get("current_page"), asked)
    page = next(filter(None, map(_number, told)), 1)
    # The size the server used, not the one asked for: it may know only `per_page`, or clamp it.
    size = _number(meta.get("per_page")) or rows or LIMIT
    last = _number(meta.get("total_pages"))
    if last is None:
        last = -(-(_number(meta.get("total_count")) or 0) // size)
    return f"{_PAGE}{page + 1}:{size}" if page < last else None


def _number(value: Any) -> int | None:
    """A whole number, which may come as text; None when it is none."""
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _position(cursor: str | None, first: Params) -> Params:
    if cursor is None:
        return first
    if cursor.startswith(_PAGE):
        _, page, size = cursor.split(":")
        return {"page": page, "per_page": size}
    return {"limit": LIMIT, "after": cursor}


def meant(status: int, body: bytes) -> int:
    """The status that an error's answer stands for.

    Kapso's proxy hands Meta's errors through: `{"error": {"code": 190, "message": …}}` with a 401
    speaks of the number's own token, which Kapso keeps, and never of the project's key. What Meta
    limits is a number or a business account: the other lists need not wait for it.
    """
    try:
        error = orjson.loads(body).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        return status
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        return status
    if code in META_TRIES_AGAIN:
        return 502
    return 403 if code in META_REFUSES else status


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
        means=meant,
    )
    async with transport:
        legacy = transport.beside(account.legacy_base_url or account.base_url)
        yield Kapso(transport, legacy, graph_version=account.graph_version)


async def probe(client: Kapso) -> None:
    """The cheapest request that needs a good key."""
    await client.transport.get(
        f"{PLATFORM}/whatsapp/phone_numbers", {"page": 1, "per_page": 1}, is_whole=is_list
    )


def scopes(client: Kapso) -> Mapping[str, Callable[[], Awaitable[object]]]:
    """Resource → one request that needs the key's right to read it."""
    return {
        "conversations": lambda: client.conversations(None),
        "messages": lambda: client.messages(None),
        "contacts": lambda: client.contacts(None),
    }
