"""Kapso as a dlt source: one resource per table of `raw_kapso`.

Nothing in this API tells what was updated. New rows are found at the head of each newest-first
list; what changes without moving there (a status, an ended session, a contact's name) is found
by reading deeper on a schedule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

import dlt

from pipelines.cursors import Page
from pipelines.deletions import Deletions, Reading
from pipelines.errors import Unavailable
from pipelines.provider import GONE, Row
from pipelines.providers.kapso.client import Kapso
from pipelines.providers.kapso.tables import (
    CALLS,
    CONTACTS,
    CONVERSATIONS,
    MESSAGES,
    PHONE_NUMBERS,
    TEMPLATES,
)
from pipelines.pull import Pull, resource
from pipelines.times import parse_time, sortable
from pipelines.walks import Refresh

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

CALL_LOOKBACK = timedelta(hours=48)
"""Calls are listed by their start and change until they end."""


@dlt.source(name="kapso", section="kapso", max_table_nesting=0)
def kapso(pull: Pull) -> Iterator[DltResource]:
    """The resources of one Kapso project, as one pull reads them."""
    reader = _Reader(pull)
    yield resource(pull, PHONE_NUMBERS, reader.phone_numbers)
    yield resource(pull, CONVERSATIONS, reader.conversations)
    yield resource(pull, MESSAGES, reader.messages)
    yield resource(pull, CONTACTS, reader.contacts, GONE)
    yield resource(pull, CALLS, reader.calls)
    yield resource(pull, TEMPLATES, reader.templates)


class _Reader:
    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Kapso = pull.client

    async def phone_numbers(self) -> None:
        await self._pull.all_pages(PHONE_NUMBERS, self._api.phone_numbers)

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
            time_of=lambda row: parse_time(row.get("timestamp")),
            refreshes=MESSAGE_REFRESHES,
        )

    async def contacts(self) -> None:
        """Walk the list; a walk of all of it also tells who is gone."""
        deletions = Deletions(self._pull, CONTACTS, self._has_contact)
        reading = Reading(self._api.contacts)
        await self._pull.newest_first(CONTACTS, reading, refreshes=CONTACT_REFRESHES)
        await deletions.compare(reading.ids, is_complete=reading.is_complete)

    async def _has_contact(self, identity: str) -> bool:
        try:
            await self._api.contact(identity)
        except Unavailable as error:
            if error.status != 404:
                raise
            return False
        return True

    async def calls(self) -> None:
        """Calls of every number, from the newest start known, less the lookback."""
        numbers = [number for number, _ in await self._numbers]
        await self._pull.each(CALLS, numbers, self._calls_of)

    async def _calls_of(self, number: str) -> None:
        known = self._pull.positions.setdefault(CALLS.name, {})
        newest = parse_time(known.get(number))
        since = (newest - CALL_LOOKBACK).isoformat() if newest else None
        starts: list[datetime] = [newest] if newest else []

        async def fetch(cursor: str | None) -> Page[Row]:
            page = await self._api.calls(number, since, cursor)
            starts.extend(self._starts(page.rows))
            return page

        await self._pull.all_pages(CALLS, fetch, adds={"phone_number_id": number})
        if starts:
            known[number] = max(starts).isoformat()

    def _starts(self, rows: Sequence[Row]) -> Iterator[datetime]:
        # One wrong date in the future must not hide every later call.
        limit = self._pull.now + DAY
        for row in rows:
            start = parse_time(row.get("started_at")) if isinstance(row, dict) else None
            if start is not None and start < limit:
                yield start

    async def templates(self) -> None:
        """Templates of every WhatsApp Business account that a number belongs to."""
        wabas = sorted({waba for _, waba in await self._numbers if waba})
        await self._pull.each(TEMPLATES, wabas, self._templates_of)

    async def _templates_of(self, waba: str) -> None:
        await self._pull.all_pages(
            TEMPLATES, partial(self._api.templates, waba), adds={"@business_account_id": waba}
        )

    @cached_property
    def _numbers(self) -> asyncio.Future[list[tuple[str, str | None]]]:
        return asyncio.ensure_future(self._list_numbers())

    async def _list_numbers(self) -> list[tuple[str, str | None]]:
        """(phone_number_id, WhatsApp Business account) of every number: the listed ones, and those
        an earlier pull stored when the list is not to be had.

        Raises:
            ProviderError: the list is not to be had, and none is stored.
        """
        if PHONE_NUMBERS.name in self._pull.wanted:
            await self._pull.finished(PHONE_NUMBERS.name)
        else:
            await self._pull.read(PHONE_NUMBERS, self.phone_numbers)
        columns = ("id", "phone_number_id", "business_account_id")
        rows = self._pull.current(PHONE_NUMBERS, columns)
        failure = self._pull.outcomes[PHONE_NUMBERS.name].error
        if failure is not None and not rows:
            raise failure
        return [(number or str(identity), waba) for identity, number, waba in rows]
