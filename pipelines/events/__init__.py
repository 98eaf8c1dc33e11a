"""What webhooks tell, in words that know no provider.

A room reads the body of a delivery into events; each is a row of a table of `raw_webhooks`.
Reading is pure: the same body always gives the same events, whatever came before it. So the tables
can be made again from the deliveries at any time, and no order of arrival changes them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from pipelines.times import parse_time

TABLES: Mapping[str, tuple[str, ...]] = {
    "messages": (
        "message_id",
        "wa_message_id",
        "conversation_id",
        "channel_id",
        "contact_id",
        "phone",
        "bsuid",
        "direction",
        "message_type",
        "text_length",
        "template_name",
        "template_language",
        "original_message_id",
        "is_call_permission_reply",
        "origin",
        "agent_id",
        "is_ai",
        "campaign_id",
        "is_imported",
        "status",
        "error_code",
        "occurred_at",
        "is_new",  # the event tells of the message itself, not of what became of it
    ),
    "message_statuses": (
        "message_id",
        "wa_message_id",
        "status",
        "occurred_at",
        "error_code",
        "pricing_category",
        "pricing_type",
    ),
    "calls": (
        "network_call_id",
        "call_event",
        "channel_id",
        "phone",
        "bsuid",
        "direction",
        "status",
        "occurred_at",
        "session_started_at",
        "ended_at",
        "duration_seconds",
    ),
    "conversations": (
        "conversation_id",
        "channel_id",
        "phone",
        "bsuid",
        "status",
        "created_at",
        "last_active_at",
        "updated_at",
    ),
    "conversation_events": (
        "conversation_id",
        "kind",  # created, ended, inactive, handoff, workflow_failed
        "occurred_at",
        "last_message_at",
        "source",
    ),
    "template_events": (
        "template_id",
        "name",
        "language",
        "kind",  # status, category, quality, components
        "status",
        "category",
        "quality",
        "reason",
        "occurred_at",
    ),
    "account_events": ("kind", "channel_id", "occurred_at", "details"),
    "batches": ("conversation_id", "channel_id", "first_sequence", "last_sequence"),
}
"""Table of `raw_webhooks` → columns of its events, each of them text. Times are ISO 8601, UTC."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "messages": ("message_id", "wa_message_id", "is_new", "status"),
    "message_statuses": ("message_id", "wa_message_id", "status", "occurred_at"),
    "calls": ("network_call_id", "call_event", "status", "occurred_at"),
    "conversations": ("conversation_id", "updated_at"),
    "conversation_events": ("conversation_id", "kind", "occurred_at"),
    "template_events": ("template_id", "name", "language", "kind", "occurred_at"),
    "account_events": ("kind", "channel_id", "occurred_at"),
    "batches": ("conversation_id", "first_sequence"),
}
"""Table → what makes two events one. Never a header: only the body is signed."""

PEOPLE = ("phone", "bsuid")
"""Columns that are ids, too."""

LONGEST_NAME = 80

LONGEST_ID = 500
LONGEST_KEY = 2000
"""In bytes. An index of PostgreSQL takes no more than 2,704 for all its columns."""


@dataclass(frozen=True)
class Event:
    """One row of a table of `raw_webhooks`.

    Attributes:
        values: its columns in the table's order.
        key: the same for every telling of the same event.
        row_hash: digest of the values, to choose between two tellings that differ.
    """

    table: str
    values: tuple[str | None, ...]
    key: str
    row_hash: str


@dataclass(frozen=True)
class Problem:
    """A part of a body that could not be understood.

    Attributes:
        reason: what is wrong, in words that quote nothing of it.
        part: the part itself, as JSON types; None: all of the body.
    """

    reason: str
    part: Any


FOREIGN = "a phone number that is not the account's"
TOO_LONG = Problem(f"an id of more than {LONGEST_ID} bytes", None)


@dataclass
class Reading:
    """What a body says.

    Attributes:
        name: the event's name, as the provider writes it; None when the body tells none.
        channels: the provider's ids of the channels that it is about.
        parts: of a body that tells of several things, each with what it says. It is told here, too.
    """

    name: str | None = None
    channels: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    parts: list[tuple[Any, Reading]] = field(default_factory=list)

    def add(self, table: str, **values: object) -> None:
        """Note an event; what no index could hold is told as a problem, once."""
        made = event(table, **values)
        if _is_indexable(made):
            self.events.append(made)
        elif TOO_LONG not in self.problems:
            self.problems.append(TOO_LONG)

    def on(self, channel_id: str | None) -> str | None:
        """Note a channel that the body is about; return it."""
        if channel_id:
            self.channels.add(channel_id)
        return channel_id

    def reject(self, reason: str, part: Any) -> None:
        """Note a part that could not be understood."""
        self.problems.append(Problem(reason, part))

    def take(self, part: Any, said: Reading) -> None:
        """Note a part of the body, and what it says."""
        self.parts.append((part, said))
        self.channels |= said.channels
        self.events += said.events
        self.problems += [p for p in said.problems if p != TOO_LONG or p not in self.problems]

    def about(self, channels: frozenset[str]) -> Reading:
        """The same without what is about other channels; each such part is told as a problem."""
        own = Reading(self.name)
        for part, said in self.parts:
            if said.channels - channels:
                own.reject(FOREIGN, part)
            else:
                own.take(part, said)
        if not self.parts:
            own.reject(FOREIGN, None)
        own.channels = self.channels
        return own


class Reader(Protocol):
    """The module `webhooks` of a room.

    Attributes:
        VERSION: goes up when a body is read differently: then every delivery is read again.
        SECRETS: keys whose values never reach the warehouse, wherever they stand in a body.
        MEDIA: keys of objects whose `url` and `link` don't either.
        LINKS: keys of texts in which the provider writes a media link as `URL: …`.
        CHANNELS: the raw table and column that list an account's channels.
        EVENT_HEADER, KEY_HEADER: headers that name the event and the delivery. Nobody signs them.
    """

    VERSION: str
    SECRETS: frozenset[str]
    MEDIA: frozenset[str]
    LINKS: frozenset[str]
    CHANNELS: tuple[str, str]
    EVENT_HEADER: str
    KEY_HEADER: str

    def read(self, body: Any) -> Reading:
        """What the body of one delivery says. Pure."""


def event(table: str, **values: object) -> Event:
    """An event of a table, from its columns by name."""
    texts = {name: as_text(value) for name, value in values.items()}
    row = tuple(texts.pop(name, None) for name in TABLES[table])
    assert not texts, f"{table} has no {sorted(texts)}"
    by_name = dict(zip(TABLES[table], row, strict=True))
    key = "|".join(by_name[name] or "" for name in KEYS[table])
    return Event(table, row, key, hashlib.blake2b(orjson.dumps(row), digest_size=12).hexdigest())


def _is_indexable(made: Event) -> bool:
    named = zip(TABLES[made.table], made.values, strict=True)
    ids = [value or "" for name, value in named if name.endswith("_id") or name in PEOPLE]
    is_short = all(len(value.encode()) <= LONGEST_ID for value in ids)
    return is_short and len(made.key.encode()) <= LONGEST_KEY


def as_text(value: object) -> str | None:
    """A value as a column's text; empty is missing."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value.strip() or None
    return None if value is None else orjson.dumps(value).decode()


def text(value: object) -> str | None:
    """A field that should be text, as text; None when it is missing, empty or something else."""
    return as_text(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def word(value: object) -> str | None:
    """A field that names a kind, in lower case."""
    found = text(value)
    return found.lower() if found else None


def name_of(value: object) -> str | None:
    """The name of an event, if it is one: names are told on screens, so nothing else may be."""
    found = text(value)
    return found if found and re.fullmatch(rf"[a-z0-9_.]{{1,{LONGEST_NAME}}}", found) else None


def instant(value: object) -> datetime | None:
    """The instant that a field names: ISO 8601, or Unix seconds or milliseconds, as text or not."""
    found = text(value)
    if found and found.isdigit() and len(found) == 13:
        return parse_time(found[:10])
    return parse_time(found)


def whole(value: object) -> int | None:
    """A field that should be a number; None when it is not."""
    found = text(value)
    return int(found) if found and re.fullmatch(r"-?\d{1,18}", found) else None


def part(value: object, *path: str) -> dict[str, Any]:
    """The object at a path of keys; an empty one when there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def at(value: object, *path: str) -> Any:
    """The value at a path of keys; None when there is none."""
    return part(value, *path[:-1]).get(path[-1])


def listed(value: object) -> Iterator[Any]:
    """The items of a list; none when it is not one."""
    return iter(value if isinstance(value, list) else ())


def is_bsuid(value: str | None) -> bool:
    """Whether an identifier is WhatsApp's business-scoped user id, and no phone."""
    return bool(value and re.match(r"[A-Z]{2}\.", value))


def who(phone: object, bsuid: object) -> dict[str, str | None]:
    """The customer's columns: some bodies put the user id where a phone should be."""
    number, user = text(phone), text(bsuid)
    return {
        "phone": None if is_bsuid(number) else number,
        "bsuid": user or (number if is_bsuid(number) else None),
    }
