"""Conversations whose row can't be decoded: their messages are read all the same.

Such a row is set aside, so no table tells that its conversation has news. The position of the
messages does: id → digest of the row, and whether the messages were read since it was seen so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines.providers.waspy.tables import MESSAGES
from pipelines.reading.landing import digest
from pipelines.reading.pull import Pull
from pipelines.salvage import Unreadable

SEEN = "conversations that can't be decoded"
"""What a run calls those that it saw: id → digest of the row."""


def see(pull: Pull, rows: Iterable[Any]) -> set[str]:
    """Remember the unreadable ones among some conversations; return the ids that they tell."""
    found = {row.id: digest([row.text]) for row in rows if isinstance(row, Unreadable)}
    if found:
        pull.carried.setdefault(SEEN, {}).update(found)
    return {identity for identity in found if identity}


class UnreadableConversations:
    """Those of one account, as far as this run and those before it saw them.

    Attributes:
        due: ids of those whose messages are still to be read.
        is_nameless: one of them does not even tell its id.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        seen = pull.carried.get(SEEN, {})
        self.is_nameless = None in seen
        position = pull.positions.setdefault(MESSAGES.name, {})
        before = position.get("unreadable", {})
        marks = {identity: mark for identity, (mark, _) in before.items()} | seen
        self._known = {i: [mark, before.get(i) == [mark, True]] for i, mark in marks.items() if i}
        if self._known:
            position["unreadable"] = self._known
        self.due = {
            identity
            for identity, (_, is_read) in self._known.items()
            if identity not in pull.done and (pull.is_full or not is_read)
        }

    def note_read(self) -> None:
        """Note those whose messages this run has read."""
        for identity in self.due & self._pull.done:
            self._known[identity][1] = True
