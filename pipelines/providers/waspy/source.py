"""Waspy as a dlt source: one resource per table of `raw_waspy`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dlt

from pipelines.cursors import Page
from pipelines.provider import Row, Table
from pipelines.providers.waspy.client import Waspy
from pipelines.providers.waspy.contacts import ContactReader
from pipelines.providers.waspy.conversations import ConversationReader
from pipelines.providers.waspy.messages import MessageReader
from pipelines.providers.waspy.tables import (
    CHANNELS,
    CONTACTS,
    CONVERSATION_STATES,
    CONVERSATIONS,
    MESSAGE_CURSORS,
    MESSAGES,
    TEMPLATE_STATES,
    TEMPLATES,
)
from pipelines.reading.pull import Pull, resource
from pipelines.reading.states import note_states

if TYPE_CHECKING:
    from dlt.sources import DltResource


@dlt.source(name="waspy", section="waspy", max_table_nesting=0)
def waspy(pull: Pull) -> Iterator[DltResource]:
    """The resources of one Waspy tenant, as one pull reads them."""
    reader = _Reader(pull)
    yield resource(pull, CONVERSATIONS, ConversationReader(pull).read, CONVERSATION_STATES)
    # A cursor is loaded with the rows it describes, or a crash between the two loses those.
    yield resource(pull, MESSAGES, MessageReader(pull).read, MESSAGE_CURSORS)
    yield resource(pull, CONTACTS, ContactReader(pull).read)
    yield resource(pull, TEMPLATES, reader.templates, TEMPLATE_STATES)
    yield resource(pull, CHANNELS, reader.channels)


class _Reader:
    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Waspy = pull.client

    async def templates(self) -> None:
        async def fetch(cursor: str | None) -> Page[Row]:
            page = await self._named(TEMPLATES, cursor)
            rows = [row for row in page.rows if isinstance(row, dict) and row.get("id")]
            note_states(
                self._pull, TEMPLATE_STATES, {str(r["id"]): r for r in rows}, page.fetched_at
            )
            return page

        await self._pull.all_pages(TEMPLATES, fetch)

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
    language = row.get("language")
    names = [row.get("name"), language.get("code") if isinstance(language, dict) else language]
    return "|".join(str(name) for name in names if name) or None
