"""Waspy as a dlt source: one resource per table of `raw_waspy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dlt

from pipelines.cursors import Page
from pipelines.landing import as_text
from pipelines.provider import Row, Table
from pipelines.providers.waspy.client import Waspy
from pipelines.providers.waspy.contacts import ContactReader
from pipelines.providers.waspy.messages import MessageReader
from pipelines.providers.waspy.tables import (
    CHANNELS,
    CONTACTS,
    CONVERSATION_STATES,
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
    yield resource(pull, CONVERSATIONS, reader.conversations, CONVERSATION_STATES)
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
            self._observed,
            value_of=lambda row: sortable(row.get("lastMessageAt")),
            time_of=lambda row: parse_time(row.get("lastMessageAt")),
            refreshes=CONVERSATION_REFRESHES,
        )

    async def _observed(self, cursor: str | None) -> Page[Row]:
        """A page of conversations; those seen in a new status or with a new assignee are noted."""
        page = await self._api.conversations(cursor)
        rows = [row for row in page.rows if isinstance(row, dict) and row.get("id")]
        known = self._known_states([str(row["id"]) for row in rows])
        seen = [_state(row, page.fetched_at) for row in rows]
        new = [s for s in seen if known.get(s["@conversation_id"]) != _told(s)]
        self._pull.take(CONVERSATION_STATES, Page(new, None, page.fetched_at))
        return page

    def _known_states(self, conversations: Sequence[str]) -> Mapping[str, tuple[str | None, ...]]:
        """Conversation → the newest status and assignee it was seen with."""
        columns = ("observed_from", "conversation_id", "status", "assigned_to")
        rows = self._pull.current(
            CONVERSATION_STATES, columns, of=("conversation_id", conversations)
        )
        return {str(row[1]): row[2:] for row in sorted(rows, key=lambda row: row[0] or "")}

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


def _state(row: Row, seen_at: datetime) -> Row:
    since = seen_at.isoformat(timespec="microseconds")
    return {
        "id": f"{row['id']}|{since}",
        "@conversation_id": str(row["id"]),
        "@status": row.get("status"),
        "@assigned_to": row.get("assignedTo"),
        "@observed_from": since,
    }


def _told(state: Row) -> tuple[str | None, ...]:
    return as_text(state["@status"]), as_text(state["@assigned_to"])


def _identity(row: Row) -> str | None:
    if row.get("phoneNumberId"):
        return str(row["phoneNumberId"])
    names = [row.get("name"), row.get("language")]
    return "|".join(str(name) for name in names if name) or None
