"""Which conversations are read again because a message's status may have changed.

A status changes without moving anything that a list shows. Meta goes on delivering for 30 days,
and a customer may read a message at any time, so what is not final is asked for again, the older
the less often.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta

from pipelines.providers.waspy.tables import MESSAGES
from pipelines.reading.pull import Pull
from pipelines.reading.walks import Position, Refresh
from pipelines.times import sortable

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

REFRESHES = (
    Refresh("day", every=HOUR, depth=DAY),
    Refresh("week", every=DAY, depth=7 * DAY),
    Refresh("month", every=7 * DAY, depth=30 * DAY),
)
NOT_FINAL = {"direction": ("outbound",), "status": ("pending", "sent", "delivered")}


class StatusRefresh:
    """The refresh of one pull. What is done of it stands in the position of the messages.

    Attributes:
        due: conversation → time of its oldest message whose status may have changed, sortable.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._position = pull.positions.setdefault(MESSAGES.name, {})
        self._refreshes = self._due_refreshes()
        self.due = self._find()

    def _due_refreshes(self) -> list[Refresh]:
        known = Position.from_json(self._position)
        return [r for r in REFRESHES if r.is_due(known, self._pull.now)]

    def _find(self) -> Mapping[str, str]:
        depths = [refresh.depth for refresh in self._refreshes if refresh.depth]
        if not depths or self._pull.is_full:  # a full sync reads them all anyway
            return {}
        since = sortable((self._pull.now - max(depths)).isoformat()) or ""
        found = self._pull.stored.earliest(
            MESSAGES, "created_at", per="conversation_id", among=NOT_FINAL, since=since
        )
        done = self._done_before()
        return {
            conversation: time
            for conversation, text in found.items()
            if conversation > done
            and conversation not in self._pull.done
            and (time := sortable(text))
        }

    def _done_before(self) -> str:
        """The conversation up to which an earlier run came with the very same refreshes."""
        names, conversation = self._position.get("refreshing", ([], ""))
        return str(conversation) if names == self._names else ""

    @property
    def _names(self) -> list[str]:
        return [refresh.name for refresh in self._refreshes]

    def interrupted(self, conversations: Iterable[str], done: Collection[str]) -> None:
        """Remember how far it came, `conversations` being what was due, in order."""
        for conversation in conversations:
            if conversation not in done:
                break
            self._position["refreshing"] = [self._names, conversation]

    def ended(self) -> None:
        """Note every refresh that was due, and those that were never noted, as done now."""
        known = dict(self._position.get("refreshed", {}))
        done = [r.name for r in REFRESHES if r in self._refreshes or r.name not in known]
        self._position["refreshed"] = known | dict.fromkeys(done, self._pull.now.isoformat())
        self._position.pop("refreshing", None)
