"""A world arranged as Waspy's lists need it: threads, and what stood in them at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Literal

from pipelines.simulation import uuid_for
from pipelines.world import Contact, Message, Thread, World

BEGINNING = datetime.min.replace(tzinfo=UTC)
ContactsOrder = Literal["created_desc", "created_asc", "last_message_desc"]
Nulls = Literal["first", "last"]
Key = tuple[int, datetime, str]
"""Null rank, last message, id: ascending, so the list's newest-first order read backwards."""


def conversation_id(thread: Thread) -> str:
    return uuid_for("waspy", "conversation", thread.id)


def contact_id(world_contact_id: str) -> str:
    return uuid_for("waspy", "contact", world_contact_id)


def message_id(message: Message) -> str:
    return uuid_for("waspy", "message", message.id)


def channel_id(world_channel_id: str) -> str:
    """Waspy's own id of a channel, not Meta's."""
    return uuid_for("waspy", "channel", world_channel_id)


@dataclass(frozen=True)
class Talk:
    """A thread's messages, oldest first, and how its newest moved as they became known."""

    thread: Thread
    messages: Sequence[Message]
    keys: Sequence[tuple[datetime, str]]
    inserted: Sequence[datetime]
    newest: Sequence[datetime]

    def last_at(self, now: datetime) -> datetime | None:
        """The newest message known at `now`, None when there was none yet."""
        known = bisect_right(self.inserted, now)
        return self.newest[known - 1] if known else None

    def known(self, now: datetime) -> list[Message]:
        if self.inserted and self.inserted[-1] > now:
            return [message for message in self.messages if message.inserted_at <= now]
        return list(self.messages)


def talk_of(thread: Thread, messages: Sequence[Message]) -> Talk:
    """`messages` come in the order in which they became known."""
    ordered = sorted(messages, key=lambda m: (m.occurred_at, message_id(m)))
    return Talk(
        thread=thread,
        messages=ordered,
        keys=[(m.occurred_at, message_id(m)) for m in ordered],
        inserted=[m.inserted_at for m in messages],
        newest=list(accumulate((m.occurred_at for m in messages), max)),
    )


@dataclass(frozen=True)
class Moment:
    """The conversation list at one time: keys ascending, a talk for each."""

    keys: Sequence[Key]
    talks: Sequence[Talk]
    last_of_contact: Mapping[str, datetime]


class Story:
    """A world in Waspy's terms."""

    def __init__(self, world: World, *, nulls: Nulls) -> None:
        self.world = world
        self._null_rank = 2 if nulls == "first" else 0
        spoken: dict[tuple[str, str], list[Message]] = defaultdict(list)
        for message in world.messages:
            spoken[message.channel_id, message.contact_id].append(message)
        self._talks = [talk_of(t, spoken[t.channel_id, t.contact_id]) for t in world.threads]
        self.talk_by_id = {conversation_id(talk.thread): talk for talk in self._talks}
        self.contact_by_id = {contact_id(c.id): c for c in world.contacts}
        self._seen: tuple[datetime, Moment] | None = None

    def at(self, now: datetime) -> Moment:
        if self._seen is None or self._seen[0] != now:
            self._seen = now, self._moment(now)
        return self._seen[1]

    def contacts(self, now: datetime, order: ContactsOrder) -> list[Contact]:
        """The contacts on record at `now`, in the order of the day."""
        known = sorted(
            (c for c in self.world.contacts if c.created_at <= now),
            key=lambda c: (c.created_at, c.id),
        )
        if order == "created_desc":
            known.reverse()
        if order == "last_message_desc":
            last = self.at(now).last_of_contact
            known.sort(key=lambda c: last.get(c.id, BEGINNING), reverse=True)
        return known

    def _moment(self, now: datetime) -> Moment:
        rows: list[tuple[Key, Talk]] = []
        last_of_contact: dict[str, datetime] = {}
        for talk in self._talks:
            if talk.thread.created_at <= now:
                rows.append((self._key(talk, now), talk))
                if last := talk.last_at(now):
                    who = talk.thread.contact_id
                    last_of_contact[who] = max(last, last_of_contact.get(who, last))
        rows.sort(key=lambda row: row[0])
        return Moment([key for key, _ in rows], [talk for _, talk in rows], last_of_contact)

    def _key(self, talk: Talk, now: datetime) -> Key:
        last = talk.last_at(now)
        return 1 if last else self._null_rank, last or BEGINNING, conversation_id(talk.thread)
