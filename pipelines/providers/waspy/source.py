"""Waspy as a dlt source: one resource per table of `raw_waspy`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import dlt

from pipelines.cursors import Page
from pipelines.provider import Row, Table
from pipelines.providers.waspy.client import Waspy
from pipelines.providers.waspy.contacts import ContactReader
from pipelines.providers.waspy.messages import MessageReader
from pipelines.providers.waspy.tables import (
    CHANNELS,
    CONTACTS,
    CONVERSATIONS,
    MESSAGE_CURSORS,
    MESSAGES,
    TEMPLATES,
)
from pipelines.pull import Pull, resource
from pipelines.times import parse_time, sortable
from pipelines.walks import Refresh

if TYPE_CHECKING:
    from dlt.sources import DltResource

CONVERSATION_REFRESHES = (
    # A late message can put a conversation below the mark: Meta delivers for up to 7 days.
    Refresh("day", every=timedelta(hours=1), depth=timedelta(days=1)),
    # Status and assignment change without moving a row, and rows without a message may stand last.
    Refresh("all", every=timedelta(days=1), depth=None),
)


@dlt.source(name="waspy", section="waspy", max_table_nesting=0)
def waspy(pull: Pull) -> Iterator[DltResource]:
    """The resources of one Waspy tenant, as one pull reads them."""
    reader = _Reader(pull)
    yield resource(pull, CONVERSATIONS, reader.conversations)
    # A cursor is loaded with the rows it describes, or a crash between the two loses those.
    yield resource(pull, MESSAGES, MessageReader(pull).read, MESSAGE_CURSORS)
    yield resource(pull, CONTACTS, ContactReader(pull).read)
    yield resource(pull, TEMPLATES, reader.templates)
    yield resource(pull, CHANNELS, reader.channels)


class _Reader:
    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Waspy = pull.client

    async def conversations(self) -> None:
        await self._pull.newest_first(
            CONVERSATIONS,
            self._api.conversations,
            value_of=lambda row: sortable(row.get("lastMessageAt")),
            time_of=lambda row: parse_time(row.get("lastMessageAt")),
            refreshes=CONVERSATION_REFRESHES,
        )

    async def templates(self) -> None:
        await self._pull.all_pages(TEMPLATES, lambda cursor: self._named(TEMPLATES, cursor))

    async def channels(self) -> None:
        await self._pull.all_pages(CHANNELS, lambda cursor: self._named(CHANNELS, cursor))

    async def _named(self, table: Table, cursor: str | None) -> Page[Row]:
        """A page of a list whose shape is not documented, its rows with an id where one can be
        told: a channel's may be called `phoneNumberId`, a template is known by name and language.
        """
        page = await getattr(self._api, table.name)(cursor)
        for row in page.rows:
            if isinstance(row, dict) and not row.get("id"):
                row["id"] = _identity(row)
        return page  # type: ignore[no-any-return]


def _identity(row: Row) -> str | None:
    if row.get("phoneNumberId"):
        return str(row["phoneNumberId"])
    names = [row.get("name"), row.get("language")]
    return "|".join(str(name) for name in names if name) or None
