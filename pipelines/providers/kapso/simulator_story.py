"""A world arranged as Kapso's lists need it: each list ascending, newest last, as at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pipelines.providers.kapso.simulator_rows import contact_id
from pipelines.providers.kapso.simulator_sessions import Session, sessions_of
from pipelines.simulation import uuid_for
from pipelines.world import WINDOW, Call, Contact, Message, Thread, World

Item = TypeVar("Item")
Key = tuple[datetime, int] | tuple[datetime, str]


@dataclass(frozen=True)
class Shelf(Generic[Item]):
    """Items and their sort keys (time and id), ascending."""

    keys: Sequence[Key]
    items: Sequence[Item]

    def until(self, now: datetime) -> int:
        """How many lie at or before `now`."""
        return bisect_right(self.keys, now, key=lambda key: key[0])


def shelved(items: Iterable[Item], key: Callable[[Item], Key]) -> Shelf[Item]:
    pairs = sorted(((key(item), item) for item in items), key=lambda pair: pair[0])
    return Shelf([pair[0] for pair in pairs], [pair[1] for pair in pairs])


@dataclass(frozen=True)
class Shelves(Generic[Item]):
    """One shelf with everything, and one for each channel."""

    all: Shelf[Item]
    of_channel: Mapping[str, Shelf[Item]]


def by_channel(
    items: Iterable[tuple[str, Item]], channel_ids: Iterable[str], key: Callable[[Item], Key]
) -> Shelves[Item]:
    """Shelves from pairs of channel id and item. An item of two channels stands once in `all`."""
    parts: dict[str, list[Item]] = {channel_id: [] for channel_id in channel_ids}
    whole: dict[Key, Item] = {}
    for channel_id, item in items:
        parts[channel_id].append(item)
        whole[key(item)] = item
    return Shelves(
        all=shelved(whole.values(), key),
        of_channel={channel_id: shelved(part, key) for channel_id, part in parts.items()},
    )


class Story:
    """The lists that time only lengthens, and `sessions`, which time reorders."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.channels = {channel.id: channel for channel in world.channels}
        channel_ids = list(self.channels)
        number = {message.id: n for n, message in enumerate(world.messages, start=1)}
        self.messages = by_channel(
            ((m.channel_id, m) for m in world.messages),
            channel_ids,
            lambda m: (m.inserted_at, number[m.id]),
        )
        self.contacts = by_channel(
            ((t.channel_id, world.contact_by_id[t.contact_id]) for t in world.threads),
            channel_ids,
            lambda c: (c.created_at, contact_id(c.id)),
        )
        self.calls = by_channel(
            ((c.channel_id, c) for c in world.calls),
            channel_ids,
            lambda c: (c.started_at, uuid_for("kapso", "call", c.id)),
        )
        self._sessions = sessions_of(world)
        self.session_of = {m.id: s for s in self._sessions for m in s.messages}
        self.session_by_id = {s.id: s for s in self._sessions}
        self._by_pair: dict[tuple[str, str], list[Session]] = defaultdict(list)
        for session in self._sessions:
            self._by_pair[session.thread.channel_id, session.thread.contact_id].append(session)
        self._seen: tuple[datetime, Shelves[Session]] | None = None

    def contact(self, item: Message | Call | Session) -> Contact:
        owner = item.thread if isinstance(item, Session) else item
        return self.world.contact_by_id[owner.contact_id]

    def sessions(self, now: datetime) -> Shelves[Session]:
        """The sessions known at `now`, by their last activity."""
        if self._seen is None or self._seen[0] != now:
            known = [s for s in self._sessions if s.inserted[0] <= now]
            active = {s.id: s.inserted[s.known_at(now) - 1] for s in known}
            shelves = by_channel(
                ((s.thread.channel_id, s) for s in known),
                self.channels,
                lambda s: (active[s.id], s.id),
            )
            self._seen = now, shelves
        return self._seen[1]

    def sessions_of(self, thread: Thread) -> Sequence[Session]:
        """Every session of a thread."""
        return self._by_pair[thread.channel_id, thread.contact_id]

    def session_of_call(self, call: Call) -> Session | None:
        """The session during which the call came, None when there was none."""
        for session in self._by_pair[call.channel_id, call.contact_id]:
            times = [m.occurred_at for m in session.messages]
            if min(times) <= call.started_at < max(times) + WINDOW:
                return session
        return None
