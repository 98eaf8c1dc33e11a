"""Kapso's two logs, newest first: its calls to webhooks, and requests to its API.

Both are asked for by a period that ends now, and leaving it out silently means a day. It is
chosen from the time of the last complete look, so that no stretch falls between two looks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from pipelines.cursors import Page
from pipelines.provider import Row, Table
from pipelines.providers.kapso.client import Kapso
from pipelines.providers.kapso.tables import API_LOGS, WEBHOOK_DELIVERIES
from pipelines.reading.pull import Pull
from pipelines.reading.walks import Position, Refresh
from pipelines.times import parse_time, past

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

PERIODS = (("24h", DAY), ("7d", 7 * DAY), ("30d", 30 * DAY))

RETRIES = timedelta(minutes=15)
"""Kapso tries a delivery again for under three minutes; until then its row is `pending`."""

LAST_LOOK = "retries"
"""The refresh that every walk does; its stamp is the time of the last complete look."""

LogPage = Callable[[str, str | None], Awaitable[Page[Row]]]


class LogReader:
    """Reads the logs of one pull."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Kapso = pull.client

    async def webhook_deliveries(self) -> None:
        """Deliveries since the last look, and again those that were not final then."""
        safety = Refresh("day", every=DAY, depth=DAY)
        await self._newest(WEBHOOK_DELIVERIES, self._api.webhook_deliveries, safety)

    async def api_logs(self) -> None:
        """Requests since the last look. Those of this pull wait for the next one: a log that
        grows with every page that is read has no end."""

        async def fetch(period: str, cursor: str | None) -> Page[Row]:
            page = await self._api.api_logs(period, cursor)
            return replace(page, rows=[row for row in page.rows if not self._is_later(row)])

        await self._newest(API_LOGS, fetch)

    def _is_later(self, row: Row) -> bool:
        time = _created(row) if isinstance(row, dict) else None
        return time is not None and time > self._pull.now

    async def _newest(self, table: Table, fetch: LogPage, *more: Refresh) -> None:
        position = Position.from_json(self._pull.positions.get(table.name, {}))
        age = self._age(past(position.refreshed.get(LAST_LOOK), self._pull.now))
        await self._pull.newest_first(
            table,
            partial(fetch, period_of(age)),
            time_of=_created,
            refreshes=(Refresh(LAST_LOOK, every=timedelta(0), depth=age), *more),
        )

    def _age(self, looked_at: datetime | None) -> timedelta:
        """How far back the look must go."""
        if looked_at is None:
            return PERIODS[-1][1]
        return self._pull.now - looked_at + RETRIES


def period_of(age: timedelta) -> str:
    """The shortest period that goes back so far, with an hour to spare for clocks that differ."""
    return next((name for name, length in PERIODS if age + HOUR <= length), PERIODS[-1][0])


def _created(row: Row) -> datetime | None:
    return parse_time(row.get("created_at"))
