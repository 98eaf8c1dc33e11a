"""A range of Kapso's lists, read again a day at a time.

Messages: the per-number list can be asked for a range, but its rows may tell no `origin`, and spell
some fields otherwise than the project's list. So it serves as an index: what it names and the
warehouse lacks, or has in another status, is fetched one by one in the project's words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import dlt

from pipelines.cursors import Page, follow
from pipelines.errors import ProviderError, Unavailable
from pipelines.provider import Row, Table
from pipelines.providers.kapso.client import Kapso
from pipelines.providers.kapso.per_number import NumberReader
from pipelines.providers.kapso.tables import CALLS, CONVERSATIONS, MESSAGES
from pipelines.reading.gate import Urgency, urgent
from pipelines.reading.pull import Pull, resource
from pipelines.reading.together import failures, together

if TYPE_CHECKING:
    from dlt.sources import DltResource


FAILED = "messages that could not be asked for"
"""What a pull calls those that the run's next one shall not forget."""

SECOND = timedelta(seconds=1)

CLOSED_AFTER = 10
"""Messages of a page, when all of them fail: it is not they that are at fault."""


@dlt.source(name="kapso", section="kapso", max_table_nesting=0)
def backfill(pull: Pull) -> Iterator[DltResource]:
    """The resources that have a range, over the pull's span."""
    reader = _RangeReader(pull)
    yield resource(pull, CONVERSATIONS, reader.conversations)
    yield resource(pull, MESSAGES, reader.messages)
    yield resource(pull, CALLS, reader.calls)


class _RangeReader:
    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Kapso = pull.client
        self._numbers = NumberReader(pull)
        self._failed: list[ProviderError] = pull.carried.setdefault(FAILED, [])

    async def conversations(self) -> None:
        await self._each_day(CONVERSATIONS, self._conversations)

    async def messages(self) -> None:
        """Messages of the range.

        Raises:
            ProviderError: the list failed; or single messages did, and the run has read the others.
        """
        await self._each_day(MESSAGES, self._messages)
        if self._failed:
            outcome = self._pull.outcomes[MESSAGES.name]
            outcome.is_complete, outcome.note = False, str(self._failed[0])
            if not (self._pull.has_enough() and self._pull.has_more):
                raise self._failed[0]

    async def calls(self) -> None:
        await self._each_day(CALLS, self._calls)

    async def _each_day(
        self, table: Table, read: Callable[[datetime, datetime], Awaitable[None]]
    ) -> None:
        """Read the days that this run has not read, newest first, until the pull is full."""
        outcome = self._pull.outcomes[table.name]
        for start, end in self._pull.days:
            day = f"{table.name} {start.isoformat()}"
            if day in self._pull.done:
                continue
            with urgent(Urgency.HISTORY):
                await read(start, end)
            self._pull.done.add(day)
            if self._pull.is_paused():
                break
        left = sum(
            f"{table.name} {a.isoformat()}" not in self._pull.done for a, _ in self._pull.days
        )
        self._pull.has_more |= left > 0
        outcome.is_complete = left == 0 and outcome.note is None

    async def _conversations(self, start: datetime, end: datetime) -> None:
        # Whether its bounds are in the range, the project's list does not say.
        bounds = _text(start - SECOND), _text(end + SECOND)
        fetch = partial(self._api.conversations_between, *bounds)
        await self._pull.all_pages(CONVERSATIONS, fetch)

    async def _calls(self, start: datetime, end: datetime) -> None:
        async def read(number: str) -> None:
            fetch = partial(self._api.calls_between, number, _text(start), _text(end))
            await self._pull.all_pages(CALLS, fetch, adds={"phone_number_id": number})

        await self._pull.each(CALLS, await self._numbers.ids(), read)

    async def _messages(self, start: datetime, end: datetime) -> None:
        async def read(number: str) -> None:
            fetch = partial(self._api.messages_between, number, _text(start), _text(end))
            async for page in follow(fetch):
                _add_number(page.rows, number)
                # What can't be asked for by its id goes where a sync would put it.
                self._pull.keep(
                    MESSAGES, replace(page, rows=[r for r in page.rows if not _has_id(r)])
                )
                asked = await together(self._message(*news) for news in self._news(page.rows))
                failed = failures(asked)
                self._failed += failed
                if len(failed) == len(asked) >= CLOSED_AFTER:
                    raise failed[0]  # it is not the messages that fail

        await self._pull.each(MESSAGES, await self._numbers.ids(), read)

    def _news(self, rows: Sequence[Row]) -> list[tuple[Row, bool]]:
        """The rows that the warehouse lacks, or has in another status; whether it lacks them."""
        told = [row for row in rows if _has_id(row)]
        ids = [str(row["id"]) for row in told]
        stored = self._pull.current(MESSAGES, ("id", "kapso_status"), of=("id", ids))
        known = {row[0]: row[1] for row in stored}
        return [
            (row, str(row["id"]) not in known)
            for row in told
            if known.get(str(row["id"]), "unknown") != _status(row)
        ]

    async def _message(self, row: Row, is_new: bool) -> None:
        """Take one message in the project's words. When it is gone from there, a new one is taken
        as the number's list tells it, and what is stored stays: it tells more."""
        try:
            self._pull.take(MESSAGES, await self._api.message(str(row["id"])))
        except Unavailable as error:
            if error.status != 404:
                raise
            if is_new:
                self._pull.take(MESSAGES, Page([row]))


def _add_number(rows: Sequence[object], number: str) -> None:
    """Say of rows whose list they are in: they need not tell."""
    for row in rows:
        if isinstance(row, dict) and isinstance(block := row.setdefault("kapso", {}), dict):
            block["phone_number_id"] = block.get("phone_number_id") or number


def _has_id(row: object) -> bool:
    return isinstance(row, dict) and bool(row.get("id"))


def _status(row: Row) -> str | None:
    block = row.get("kapso")
    return block.get("status") if isinstance(block, dict) else None


def _text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
