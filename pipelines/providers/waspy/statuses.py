"""Which conversations are read again because their messages may have changed unseen.

A status changes without moving anything that a list shows. Meta goes on delivering for 30 days,
and a customer may read a message at any time, so what is not final is asked for again, the older
the less often. A message that Waspy stored late stands among older ones, and moves nothing either:
every conversation that went on in the last three days, or the day since the last such look, is read
again once a day; and so is one that promised a message which never came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from pipelines.providers.waspy.readings import MAX_ATTEMPTS
from pipelines.providers.waspy.tables import MESSAGE_CURSORS, MESSAGES
from pipelines.reading.pull import Pull
from pipelines.reading.walks import Position, Refresh
from pipelines.times import sortable

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

REFRESHES = (
    Refresh("day", every=HOUR, depth=DAY),
    Refresh("week", every=DAY, depth=7 * DAY),
    Refresh("month", every=7 * DAY, depth=30 * DAY),
)
LATEST = 3 * DAY
"""Meta hands over again what a provider did not take at once."""

LATE = Refresh("late", every=DAY, depth=LATEST + DAY)
"""Looks as far back as what came late since the last such look may stand."""

NOT_FINAL = {"direction": ("outbound",), "status": ("pending", "sent", "delivered")}


class StatusRefresh:
    """The refresh of one pull. What is done of it stands in the position of the messages.

    Attributes:
        recent: since when messages may have come late, sortable.
        full_after: the conversation up to which a full sync came that is not at its end.
        due: conversation → time of its oldest message that may have changed or come, sortable.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._position = pull.positions.setdefault(MESSAGES.name, {})
        self._refreshes = self._due_refreshes()
        self.recent = self._ago(LATEST)
        self.full_after = str(self._position.get("full", "")) if pull.is_full else ""
        self.due = self._find()

    @property
    def is_due(self) -> bool:
        """Whether some refresh is: then a run must know what it has read already."""
        return bool(self._refreshes)

    def _due_refreshes(self) -> list[Refresh]:
        known = Position.from_json(self._position)
        return [r for r in (*REFRESHES, LATE) if r.is_due(known, self._pull.now)]

    def _since(self, *refreshes: Refresh) -> str:
        """When the deepest of them begins."""
        return self._ago(max(refresh.depth or DAY for refresh in refreshes))

    def _ago(self, time: timedelta) -> str:
        return sortable((self._pull.now - time).isoformat()) or ""

    def _find(self) -> Mapping[str, str]:
        if self._pull.is_full:  # a full sync reads them all anyway
            return {}
        of_statuses = [refresh for refresh in self._refreshes if refresh is not LATE]
        found = {}
        if of_statuses:
            oldest = self._oldest(NOT_FINAL, self._since(*of_statuses))
            found = {name: time for name, text in oldest.items() if (time := sortable(text))}
        if LATE in self._refreshes:
            since = self._since(LATE)
            going_on = self._oldest({}, since).keys() | self._given_up()
            found |= {name: min(since, found.get(name, since)) for name in going_on}
        done = self._done_before()
        return {
            conversation: time
            for conversation, time in found.items()
            if conversation > done and conversation not in self._pull.done
        }

    def _given_up(self) -> set[str]:
        """Conversations that promise a newer message than was found."""
        tried = ("attempts", (str(MAX_ATTEMPTS),))
        return {str(i) for (i,) in self._pull.current(MESSAGE_CURSORS, ("id",), of=tried)}

    def _oldest(self, among: Mapping[str, Sequence[str]], since: str) -> Mapping[str, str]:
        """Conversation → time of its oldest message since then, of some messages."""
        return self._pull.stored.earliest(
            MESSAGES, "created_at", per="conversation_id", among=among, since=since
        )

    def _done_before(self) -> str:
        """The conversation up to which an earlier run came with the very same refreshes."""
        names, conversation = self._position.get("refreshing", ([], ""))
        return str(conversation) if names == self._names else ""

    @property
    def _names(self) -> list[str]:
        return [refresh.name for refresh in self._refreshes]

    def interrupted(self, conversations: Iterable[str], done: Collection[str]) -> None:
        """Remember how far it, or a full sync, came, `conversations` being what was due, in
        order."""
        for conversation in conversations:
            if conversation not in done:
                break
            if self._pull.is_full:
                self._position["full"] = max(self.full_after, conversation)
            else:
                self._position["refreshing"] = [self._names, conversation]

    def ended(self) -> None:
        """Note every refresh that was due, and those that were never noted, as done now; after a
        full sync all of them."""
        known = dict(self._position.get("refreshed", {}))
        every = (*REFRESHES, LATE)
        is_full = self._pull.is_full
        done = [r.name for r in every if is_full or r in self._refreshes or r.name not in known]
        self._position["refreshed"] = known | dict.fromkeys(done, self._pull.now.isoformat())
        self._position.pop("refreshing", None)
        if is_full:
            self._position.pop("full", None)
