"""What is listed per phone number or per WhatsApp Business account: calls and templates.

Where the current API closes such a list for every parent, the older API may still have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from pipelines.cursors import Page
from pipelines.errors import BadRequest, Stopped, Unavailable
from pipelines.provider import Row, Table
from pipelines.providers.kapso.client import Kapso
from pipelines.providers.kapso.tables import CALLS, PHONE_NUMBERS, TEMPLATE_STATES, TEMPLATES
from pipelines.reading.pull import Pull
from pipelines.reading.states import note_states
from pipelines.times import parse_time

DAY = timedelta(days=1)

CALL_LOOKBACK = timedelta(hours=48)
"""Calls are listed by their start and change until they end."""

FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
"""Before Kapso. The older list of calls wants a start, or it chooses one."""

SHORTEST_PART = timedelta(minutes=1)
"""Of a list that lets one ask for so many pages only."""

CONFIG = "whatsapp_config_id"
LEGACY_CALLS = "legacy"
"""Stands among the numbers in the position of calls."""

FROM_LEGACY = "closed on Kapso's current API; read from the older one"


class _Number(NamedTuple):
    """A phone number's three names: Meta's, its WhatsApp Business account's and Kapso's."""

    id: str
    waba: str | None
    config: str | None


class NumberReader:
    """Reads the numbers of one pull, and what hangs on them."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Kapso = pull.client

    async def phone_numbers(self) -> None:
        await self._pull.all_pages(PHONE_NUMBERS, self._api.phone_numbers)

    async def ids(self) -> list[str]:
        """Meta's id of every number."""
        return [number.id for number in await self._numbers]

    async def calls(self) -> None:
        """Calls of every number, from the newest start known, less the lookback."""
        numbers = await self.ids()
        try:
            await self._pull.each(CALLS, numbers, self._calls_of)
        except Unavailable as closed:
            await self._instead(CALLS, self._legacy_calls, closed)

    async def _instead(
        self, table: Table, read: Callable[[], Awaitable[None]], closed: Unavailable
    ) -> None:
        """Read the older list of a resource that is closed for every parent.

        Raises:
            Unavailable: the first refusal, when the older list is closed too.
        """
        try:
            await read()
        except Unavailable:
            raise closed from None
        self._pull.outcomes[table.name].note = FROM_LEGACY

    async def _legacy_calls(self) -> None:
        """Calls of the project; the older rows name a number by Kapso's own id."""
        known = self._pull.positions.setdefault(CALLS.name, {})
        # Not from where the current API's lists were read to: one may have been closed for long.
        newest = parse_time(known.get(LEGACY_CALLS))
        since = newest - CALL_LOOKBACK if newest else FIRST_DAY
        starts: list[datetime] = [newest] if newest else []
        # Whether a number's id of Kapso's is the one that calls name, nobody promises.
        stored = self._pull.current(CALLS, (CONFIG, "phone_number_id"))
        numbers: dict[str | None, str]
        numbers = {config: number for config, number in stored if config and number}
        numbers |= {number.config: number.id for number in await self._numbers}

        async def fetch(start: datetime, end: datetime, cursor: str | None) -> Page[Row]:
            page = await self._api.legacy_calls(start.isoformat(), end.isoformat(), cursor)
            _fill(page.rows, lambda row: {"phone_number_id": numbers.get(_text(row, CONFIG))})
            starts.extend(self._starts(page.rows))
            return page

        await self._in_parts(CALLS, fetch, since, self._pull.now + DAY)
        if starts:
            known[LEGACY_CALLS] = max(starts).isoformat()

    async def _in_parts(
        self,
        table: Table,
        fetch: Callable[[datetime, datetime, str | None], Awaitable[Page[Row]]],
        start: datetime,
        end: datetime,
    ) -> None:
        """Read a list over a range; one that has more pages than may be asked for, half by half."""
        pages = 0

        async def counted(cursor: str | None) -> Page[Row]:
            nonlocal pages
            page = await fetch(start, end, cursor)
            pages += 1
            return page

        try:
            await self._pull.all_pages(table, counted)
        except BadRequest:
            if not pages or end - start < SHORTEST_PART:  # it is not the page that is refused
                raise
            middle = start + (end - start) / 2
            await self._in_parts(table, fetch, middle, end)
            await self._in_parts(table, fetch, start, middle)

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
        wabas = sorted({number.waba for number in await self._numbers if number.waba})
        try:
            await self._pull.each(TEMPLATES, wabas, self._templates_of)
        except Unavailable as closed:
            await self._instead(TEMPLATES, self._legacy_templates, closed)

    async def _templates_of(self, waba: str) -> None:
        async def fetch(cursor: str | None) -> Page[Row]:
            page = await self._api.templates(waba, cursor)
            self._note(page)
            return page

        await self._pull.all_pages(TEMPLATES, fetch, adds={"@business_account_id": waba})

    async def _legacy_templates(self) -> None:
        """Kapso's copies, which have ids of their own: they never join the originals.

        Raises:
            Unavailable: the originals are stored.
        """
        stored = self._pull.current(TEMPLATES, ("id",))
        if any(str(identity).isdecimal() for (identity,) in stored):
            raise Unavailable("the templates are stored under Meta's ids")

        async def fetch(cursor: str | None) -> Page[Row]:
            page = await self._api.legacy_templates(cursor)
            _fill(page.rows, _as_original)
            self._note(page)
            return page

        await self._pull.all_pages(TEMPLATES, fetch)

    def _note(self, page: Page[Row]) -> None:
        """Keep the version of each template that was last seen in another."""
        rows = [row for row in page.rows if isinstance(row, dict) and row.get("id")]
        seen = {str(row["id"]): row | {"quality": _quality(row)} for row in rows}
        note_states(self._pull, TEMPLATE_STATES, seen, page.fetched_at)

    @cached_property
    def _numbers(self) -> asyncio.Future[list[_Number]]:
        return asyncio.ensure_future(self._list_numbers())

    async def _list_numbers(self) -> list[_Number]:
        """Every number: the listed ones, and those an earlier pull stored when the list is not to
        be had.

        Raises:
            ProviderError: the list is not to be had, and none is stored.
            Stopped: the run is asked to end.
        """
        if PHONE_NUMBERS.name in self._pull.wanted:
            await self._pull.finished(PHONE_NUMBERS.name)
        else:
            await self._pull.read(PHONE_NUMBERS, self.phone_numbers)
        columns = ("id", "phone_number_id", "business_account_id", "internal_id")
        rows = self._pull.current(PHONE_NUMBERS, columns)
        outcome = self._pull.outcomes[PHONE_NUMBERS.name]
        if outcome.is_stopped:
            raise Stopped
        if outcome.error is not None and not rows:
            raise outcome.error
        return [_Number(number or str(key), waba, config) for key, number, waba, config in rows]


def _as_original(row: Row) -> Mapping[str, str | None]:
    """What Meta's row says under another name, or not at all."""
    waba = _text(row, "business_account_id")
    return {"language": _text(row, "language_code"), "@business_account_id": waba}


def _quality(row: Row) -> str | None:
    """Its score alone: the date beside it moves without any change."""
    score = row.get("quality_score")
    told = _text(score, "score") if isinstance(score, dict) else _text(row, "quality_score")
    return told or _text(row, "quality_score_category")


def _text(row: Row, key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) else None


def _fill(rows: Sequence[Row], facts: Callable[[Row], Mapping[str, str | None]]) -> None:
    """Add facts that rows lack."""
    for row in rows:
        if isinstance(row, dict):
            row |= {key: value for key, value in facts(row).items() if row.get(key) is None}
