"""What the made-up world is made of: no provider, but facts of WhatsApp itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from pipelines.world.office import Customer, Note, Outage

Direction = Literal["inbound", "outbound"]
Author = Literal["customer", "human", "bot", "campaign"]
Device = Literal["phone", "inbox"]
Status = Literal["pending", "sent", "delivered", "read", "failed"]
ThreadStatus = Literal["open", "pending", "resolved", "closed"]
CallResult = Literal["answered", "missed", "failed"]
Category = Literal["MARKETING", "UTILITY", "AUTHENTICATION"]

WINDOW = timedelta(hours=24)
WINDOW_CLOSED = 131047
"""Meta's error for a free-form message more than 24 hours after the customer's last one."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One stretch of local opening time: weekday 0 is Monday, minutes count from midnight."""

    weekday: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Channel:
    """One business phone number.

    Attributes:
        connected_at: from here on messages arrive live; older ones were imported then.
        address_book: channels that share one know a person under one spelling of the phone.
        has_phone_app: staff also answer on the shop's own phone.
    """

    id: str
    name: str
    phone: str
    timezone: str
    connected_at: datetime
    hours: tuple[Opening, ...]
    address_book: str
    has_bot: bool
    has_phone_app: bool
    has_calls: bool
    quality: str
    share: float


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer as one address book knows them.

    Attributes:
        person_id: the human being; two contacts of one person may write the phone differently.
        phone: `+` and digits, None when the person hides it behind a username.
        bsuid: WhatsApp's business-scoped user id, None before the person has one.
    """

    id: str
    person_id: str
    name: str | None
    phone: str | None
    bsuid: str | None
    username: str | None
    country: str
    email: str | None
    tags: tuple[str, ...]
    fields: Mapping[str, str]
    opted_in: bool
    sends_receipts: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Agent:
    """A member of staff; `shift` is minutes of the local day, from and until."""

    id: str
    name: str
    email: str
    role: str
    channel_ids: tuple[str, ...]
    shift: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Template:
    """A message text that Meta approved beforehand; the only thing to send outside the window."""

    id: str
    name: str
    language: str
    category: Category
    status: str
    quality: str
    body: str
    footer: str | None
    buttons: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Campaign:
    """One mailing of a template to many contacts of a channel."""

    id: str
    name: str
    channel_id: str
    template_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A message reached `status` at `at`; `error_code` is Meta's, for failures only."""

    status: Status
    at: datetime
    error_code: int | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """A file in a message: a picture, a voice note, a document …"""

    id: str
    filename: str
    mime_type: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Message:
    """One WhatsApp message, with the truth about who wrote it.

    Attributes:
        id: WhatsApp's id (`wamid.…`).
        type: WhatsApp's, and `call_permission_reply`, which is an interactive message.
        author: who really wrote it; `agent_id` says which human.
        typed_on: where a human of the shop wrote it, None for everybody else.
        occurred_at: WhatsApp's time of the message, whole seconds, UTC.
        inserted_at: when it became known; far later than `occurred_at` for imports and late ones.
        statuses: in order of time; none yet means pending, and some stay so for ever.
        refers_to: the message this one answers, reacts to, edits or revokes.
    """

    id: str
    channel_id: str
    contact_id: str
    direction: Direction
    author: Author
    type: str
    text: str | None
    occurred_at: datetime
    inserted_at: datetime
    agent_id: str | None = None
    typed_on: Device | None = None
    statuses: tuple[StatusChange, ...] = ()
    template_id: str | None = None
    campaign_id: str | None = None
    refers_to: str | None = None
    media: Media | None = None
    is_imported: bool = False
    from_ad: bool = False

    def statuses_at(self, now: datetime) -> tuple[StatusChange, ...]:
        """The changes that had happened by `now`."""
        changes = self.statuses
        if not changes or changes[-1].at <= now:
            return changes
        return tuple(change for change in changes if change.at <= now)

    def status_at(self, now: datetime) -> Status:
        """The latest status by `now`; an inbound message is `delivered` from the start."""
        if self.direction == "inbound":
            return "delivered"
        changes = self.statuses_at(now)
        return changes[-1].status if changes else "pending"


@dataclass(frozen=True, slots=True)
class Call:
    """One voice call; `answered_at` is None unless the two spoke."""

    id: str
    channel_id: str
    contact_id: str
    direction: Direction
    result: CallResult
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class ThreadChange:
    """From `at` on the thread has this status and is assigned to this agent (None: nobody)."""

    at: datetime
    status: ThreadStatus
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class Thread:
    """Everything between one channel and one contact; it may have calls and no message."""

    id: str
    channel_id: str
    contact_id: str
    created_at: datetime
    changes: tuple[ThreadChange, ...]

    def change_at(self, now: datetime) -> ThreadChange | None:
        """The change in force at `now`, None before the first."""
        index = bisect_right(self.changes, now, key=lambda change: change.at)
        return self.changes[index - 1] if index else None


@dataclass(frozen=True)
class World:
    """A shop's whole history. Messages stand in the order in which they became known."""

    seed: int
    starts_at: datetime
    ends_at: datetime
    channels: tuple[Channel, ...]
    agents: tuple[Agent, ...]
    templates: tuple[Template, ...]
    campaigns: tuple[Campaign, ...]
    contacts: tuple[Contact, ...]
    threads: tuple[Thread, ...]
    messages: tuple[Message, ...]
    calls: tuple[Call, ...]
    customers: tuple[Customer, ...] = ()
    notes: tuple[Note, ...] = ()
    outages: tuple[Outage, ...] = ()

    @cached_property
    def contact_by_id(self) -> Mapping[str, Contact]:
        return {contact.id: contact for contact in self.contacts}

    @cached_property
    def message_by_id(self) -> Mapping[str, Message]:
        return {message.id: message for message in self.messages}

    @cached_property
    def template_by_id(self) -> Mapping[str, Template]:
        return {template.id: template for template in self.templates}

    def only(self, *, channels: Iterable[str]) -> World:
        """The part of this world that happened on these channels (their ids), and its people."""
        kept = set(channels)
        threads = tuple(t for t in self.threads if t.channel_id in kept)
        people = {thread.contact_id for thread in threads}
        return replace(
            self,
            channels=tuple(c for c in self.channels if c.id in kept),
            agents=tuple(a for a in self.agents if kept & set(a.channel_ids)),
            campaigns=tuple(c for c in self.campaigns if c.channel_id in kept),
            contacts=tuple(c for c in self.contacts if c.id in people),
            threads=threads,
            messages=tuple(m for m in self.messages if m.channel_id in kept),
            calls=tuple(c for c in self.calls if c.channel_id in kept),
            notes=tuple(n for n in self.notes if n.contact_id in people),
        )

    def without(self, *, contacts: Iterable[str]) -> World:
        """This world after these contacts (their ids) were erased with all that they said."""
        gone = set(contacts)
        return replace(
            self,
            contacts=tuple(c for c in self.contacts if c.id not in gone),
            threads=tuple(t for t in self.threads if t.contact_id not in gone),
            messages=tuple(m for m in self.messages if m.contact_id not in gone),
            calls=tuple(c for c in self.calls if c.contact_id not in gone),
            notes=tuple(n for n in self.notes if n.contact_id not in gone),
        )
