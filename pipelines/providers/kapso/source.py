"""Kapso as a dlt source: one resource per table of `raw_kapso`.

Nothing in this API tells what was updated. New rows are found at the head of each newest-first
list; what changes without moving there (a status, an ended session, a contact's name) is found
by reading deeper on a schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import dlt

from pipelines.cursors import Fetch, Page
from pipelines.provider import Row, Table
from pipelines.providers.kapso.broadcasts import BroadcastReader
from pipelines.providers.kapso.client import LIMIT, Kapso
from pipelines.providers.kapso.fanouts import FanOuts
from pipelines.providers.kapso.logs import LogReader
from pipelines.providers.kapso.per_number import NumberReader
from pipelines.providers.kapso.tables import (
    API_LOGS,
    ASSIGNMENTS,
    BROADCAST_RECIPIENTS,
    BROADCASTS,
    CALL_PERMISSIONS,
    CALLS,
    CONTACT_NOTES,
    CONTACTS,
    CONVERSATIONS,
    CUSTOMERS,
    MESSAGES,
    PHONE_NUMBERS,
    TEMPLATE_STATES,
    TEMPLATES,
    USERS,
    WEBHOOK_DELIVERIES,
    WEBHOOKS,
)
from pipelines.reading.deletions import Deletions, Reading
from pipelines.reading.pull import Pull, resource
from pipelines.reading.walks import Refresh
from pipelines.times import is_due, parse_time, sortable

if TYPE_CHECKING:
    from dlt.sources import DltResource

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

MESSAGE_REFRESHES = (
    Refresh("day", every=HOUR, depth=DAY),
    Refresh("week", every=DAY, depth=7 * DAY),
    Refresh("month", every=7 * DAY, depth=30 * DAY),  # Meta tries to deliver for 30 days
)
CONVERSATION_REFRESHES = (
    Refresh("day", every=HOUR, depth=DAY),
    Refresh("all", every=DAY, depth=None),
)
CONTACT_REFRESHES = (Refresh("all", every=DAY, depth=None),)

SHORT_PAGES = 2
"""A list in no known order is read whole: every time up to here, once a day beyond."""


@dlt.source(name="kapso", section="kapso", max_table_nesting=0)
def kapso(pull: Pull) -> Iterator[DltResource]:
    """The resources of one Kapso project, as one pull reads them."""
    reader, numbers = _Reader(pull), NumberReader(pull)
    broadcasts, logs, fanouts = BroadcastReader(pull), LogReader(pull), FanOuts(pull)
    yield resource(pull, PHONE_NUMBERS, numbers.phone_numbers)
    yield resource(pull, CONVERSATIONS, reader.conversations)
    yield resource(pull, MESSAGES, reader.messages)
    yield resource(pull, CONTACTS, reader.contacts)
    yield resource(pull, CALLS, numbers.calls)
    yield resource(pull, TEMPLATES, numbers.templates, TEMPLATE_STATES)
    yield resource(pull, BROADCASTS, broadcasts.broadcasts)
    yield resource(pull, BROADCAST_RECIPIENTS, broadcasts.recipients)
    yield resource(pull, USERS, reader.users)
    yield resource(pull, CUSTOMERS, reader.customers)
    yield resource(pull, WEBHOOKS, reader.webhooks)
    yield resource(pull, WEBHOOK_DELIVERIES, logs.webhook_deliveries)
    yield resource(pull, ASSIGNMENTS, fanouts.assignments)
    yield resource(pull, CONTACT_NOTES, fanouts.contact_notes)
    yield resource(pull, CALL_PERMISSIONS, fanouts.call_permissions)
    yield resource(pull, API_LOGS, logs.api_logs)


class _Reader:
    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Kapso = pull.client

    async def conversations(self) -> None:
        await self._pull.newest_first(
            CONVERSATIONS,
            self._api.conversations,
            value_of=lambda row: sortable(row.get("last_active_at")),
            time_of=lambda row: parse_time(row.get("last_active_at")),
            refreshes=CONVERSATION_REFRESHES,
        )

    async def messages(self) -> None:
        # The list is sorted by when Kapso stored a row, which the row does not tell: imported
        # history is new at the head with old timestamps. So the order is told by ids alone.
        await self._pull.newest_first(
            MESSAGES,
            self._api.messages,
            time_of=_stored_about,
            refreshes=MESSAGE_REFRESHES,
            left=self._pages_of_messages_left,
        )

    def _pages_of_messages_left(self) -> int:
        """Pages still to read: conversations tell how many messages they have."""
        listed = self._pull.total(CONVERSATIONS, "kapso_messages_count")
        missing = listed - self._pull.count(MESSAGES)
        return max(1, -(-missing // LIMIT))

    async def contacts(self) -> None:
        """Walk the list; a walk of all of it also tells who is gone."""
        deletions = Deletions(self._pull, CONTACTS, partial(self._api.exists, CONTACTS.name))
        reading = Reading(self._api.contacts)
        await self._pull.newest_first(CONTACTS, reading, refreshes=CONTACT_REFRESHES)
        await deletions.compare(reading.ids, is_complete=reading.is_complete)

    async def users(self) -> None:
        await self._short(USERS, self._api.users)

    async def customers(self) -> None:
        await self._short(CUSTOMERS, self._api.customers)

    async def webhooks(self) -> None:
        async def fetch(cursor: str | None) -> Page[Row]:
            page = await self._api.webhooks(cursor)
            for row in page.rows:
                if isinstance(row, dict) and isinstance(row.get("url"), str):
                    row["url"] = public_url(row["url"])
            return page

        async def is_there(identity: str) -> bool:
            return False  # no request asks for one: that two lists lacked it has to do

        deletions, reading = Deletions(self._pull, WEBHOOKS, is_there), Reading(fetch)
        await self._short(WEBHOOKS, reading)
        await deletions.compare(reading.ids, is_complete=reading.is_complete)

    async def _short(self, table: Table, fetch: Fetch[Row]) -> None:
        """Read a list whole, unless it is long and was read today."""
        place = self._pull.positions.setdefault(table.name, {})
        is_long = place.get("pages", 0) > SHORT_PAGES
        if is_long and not is_due(place.get("read_at"), DAY, self._pull.now):
            self._pull.outcomes[table.name].is_complete = True
            return
        pages = 0

        async def counted(cursor: str | None) -> Page[Row]:
            nonlocal pages
            pages += 1
            return await fetch(cursor)

        await self._pull.all_pages(table, counted)
        place |= {"read_at": self._pull.now.isoformat(), "pages": pages}


def _stored_about(message: Row) -> datetime | None:
    """When a message was stored, about; None of imported history, whose own time is older."""
    block = message.get("kapso")
    is_imported = isinstance(block, dict) and block.get("origin") == "history_sync"
    return None if is_imported else parse_time(message.get("timestamp"))


def public_url(url: str) -> str:
    """A URL without the parts that may hold a token: user info, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
