"""A range of Waspy's conversations, read again with all their messages.

No list here can be asked for a range. Conversations come with their newest message first, so the
list is read down to the range's start; and a conversation's messages are read from the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import dlt

from pipelines.cursors import Fetch, follow
from pipelines.provider import Row
from pipelines.providers.waspy.client import Waspy
from pipelines.providers.waspy.conversations import ConversationReader
from pipelines.providers.waspy.messages import MessageReader
from pipelines.providers.waspy.tables import (
    CONVERSATION_STATES,
    CONVERSATIONS,
    MESSAGE_CURSORS,
    MESSAGES,
)
from pipelines.reading.gate import Urgency, urgent
from pipelines.reading.pull import Pull, resource
from pipelines.times import parse_time

if TYPE_CHECKING:
    from dlt.sources import DltResource


@dlt.source(name="waspy", section="waspy", max_table_nesting=0)
def backfill(pull: Pull) -> Iterator[DltResource]:
    """The resources that have a range, over the pull's span."""
    api: Waspy = pull.client

    async def conversations() -> None:
        if CONVERSATIONS.name not in pull.done:
            with urgent(Urgency.HISTORY):
                await _conversations(pull, ConversationReader(pull).observed(api.conversations))
            pull.done.add(CONVERSATIONS.name)
        pull.outcomes[CONVERSATIONS.name].is_complete = True

    yield resource(pull, CONVERSATIONS, conversations, CONVERSATION_STATES)
    yield resource(pull, MESSAGES, MessageReader(pull).read_range, MESSAGE_CURSORS)


async def _conversations(pull: Pull, fetch: Fetch[Row]) -> None:
    """Read the list down to the first page that lies wholly before the span."""
    start = pull.span[0] if pull.span else pull.now
    async for page in follow(fetch):
        pull.take(CONVERSATIONS, page)
        times = [time for row in page.rows if (time := _time(row)) is not None]
        if times and max(times) < start:
            return


def _time(row: Row) -> datetime | None:
    return parse_time(row.get("lastMessageAt")) if isinstance(row, dict) else None
