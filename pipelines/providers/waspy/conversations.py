"""Reading Waspy's conversations: one newest-first list, and what changes without moving there.

A status or an assignee moves nothing and has no time. So the conversations that somebody may still
have to answer are listed every hour by their status; one that was among them and is not any more
is asked for by its id.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from pipelines.cursors import Fetch, Page, follow
from pipelines.errors import Unavailable
from pipelines.provider import Row
from pipelines.providers.waspy.client import Waspy
from pipelines.providers.waspy.tables import CONVERSATION_STATES, CONVERSATIONS
from pipelines.providers.waspy.unreadable import see
from pipelines.reading.pull import Pull
from pipelines.reading.states import newest_states, note_states
from pipelines.reading.together import failures, together
from pipelines.reading.walks import Position, Refresh
from pipelines.times import parse_time, sortable

REFRESHES = (
    # A late message can put a conversation below the mark: Meta delivers for up to 7 days.
    Refresh("day", every=timedelta(hours=1), depth=timedelta(days=1)),
    # Any status or assignee may change, and rows without a message may stand last.
    Refresh("all", every=timedelta(days=1), depth=None),
)
LIVE = ("open", "pending")
SWEEP = Refresh("live", every=timedelta(hours=1), depth=None)
"""The complete lists of the live statuses; its time stands beside those of the walk's refreshes."""

DELETED = "deleted"
"""The state of a conversation that Waspy has no longer. None of its own is called so."""


class ConversationReader:
    """Reads the conversations of one pull."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._api: Waspy = pull.client

    async def read(self) -> None:
        """Walk the list; then, when an hour has passed, look at the live ones."""
        await self._pull.newest_first(
            CONVERSATIONS,
            self.observed(self._api.conversations),
            value_of=lambda row: sortable(row.get("lastMessageAt")),
            time_of=lambda row: parse_time(row.get("lastMessageAt")),
            refreshes=REFRESHES,
        )
        if self._pull.outcomes[CONVERSATIONS.name].is_complete:
            await self._sweep_when_due()

    async def _sweep_when_due(self) -> None:
        position = Position.from_json(self._pull.positions[CONVERSATIONS.name])
        is_due = SWEEP.is_due(position, self._pull.now)
        if SWEEP.name in position.refreshed and not is_due:
            return
        # Before the first sweep the walk has just seen them all.
        if is_due and not await self._sweep():
            self._pull.has_more = True
            return
        stamps = {**position.refreshed, SWEEP.name: self._pull.now.isoformat()}
        self._pull.positions[CONVERSATIONS.name]["refreshed"] = stamps

    async def _sweep(self) -> bool:
        """Read the live conversations, and one by one those that were live; False when the pull
        was full before the end."""
        were_live = self._live()
        seen: set[str] = set()
        for status in LIVE:
            fetch = self.observed(partial(self._api.conversations, status=status))
            async for page in follow(fetch):
                self._pull.take(CONVERSATIONS, page)
                seen |= set(_identified(page.rows)) | see(self._pull, page.rows)
                if self._pull.is_paused():
                    return False
        answers = await together(map(self._look_up, sorted(were_live - seen)))
        if failed := failures(answers):  # they stay live, and are asked for by the next sweep
            outcome = self._pull.outcomes[CONVERSATIONS.name]
            outcome.note = f"{len(failed)} that were live could not be asked for: {failed[0]}"
        return all(answers)

    def _live(self) -> set[str]:
        """Conversations that are live as far as the warehouse knows."""
        rows = self._pull.current(CONVERSATIONS, ("id",), of=("status", LIVE))
        live = {str(identity) for (identity,) in rows}
        states = newest_states(self._pull, CONVERSATION_STATES, sorted(live))
        return {i for i in live if i not in states or states[i][0] != DELETED}

    async def _look_up(self, identity: str) -> bool:
        """Take one conversation as it is now, or note that it is gone; False when the pull is
        full."""
        if self._pull.is_paused():
            return False
        try:
            page = await self._api.conversation(identity)
        except Unavailable as error:
            if error.status != 404:
                raise
            self._note([{"id": identity, "status": DELETED}], datetime.now(UTC))
            return True
        # The shape of this answer is not documented: what is not this conversation is not taken.
        if _identified(page.rows).keys() == {identity}:
            self._note(page.rows, page.fetched_at)
            self._pull.take(CONVERSATIONS, page)
        return True

    def observed(self, fetch: Fetch[Row]) -> Fetch[Row]:
        """The same list; what its conversations are seen in is noted."""

        async def fetch_and_note(cursor: str | None) -> Page[Row]:
            page = await fetch(cursor)
            see(self._pull, page.rows)
            self._note(page.rows, page.fetched_at)
            return page

        return fetch_and_note

    def _note(self, rows: Iterable[Row], seen_at: datetime) -> None:
        """Keep the status and assignee of each conversation that was last seen with others."""
        seen = {
            identity: {"status": row.get("status"), "assigned_to": row.get("assignedTo")}
            for identity, row in _identified(rows).items()
        }
        note_states(self._pull, CONVERSATION_STATES, seen, seen_at)


def _identified(rows: Iterable[Row]) -> dict[str, Row]:
    """id → row, of the rows that have one."""
    return {str(row["id"]): row for row in rows if isinstance(row, dict) and row.get("id")}
