"""What a shop keeps besides its chats: notes, handovers, permissions, and its own bad minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Customer:
    """A business on whose behalf the shop uses its numbers; `reference` is the shop's own id."""

    id: str
    name: str
    reference: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Note:
    """What an agent wrote down about a contact; `edited_text` stands from `edited_at` on."""

    id: str
    contact_id: str
    agent_id: str
    title: str | None
    text: str
    written_at: datetime
    edited_at: datetime | None
    edited_text: str | None

    def text_at(self, now: datetime) -> str:
        is_edited = self.edited_at is not None and self.edited_at <= now
        return (self.edited_text if is_edited else None) or self.text


@dataclass(frozen=True, slots=True)
class Assignment:
    """A thread was in an agent's hands from `assigned_at` until `ended_at` (None: still is)."""

    thread_id: str
    agent_id: str
    assigned_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class CallPermission:
    """A contact answered a request to be called, with a message; it holds until `expires_at`."""

    channel_id: str
    contact_id: str
    message_id: str
    is_accepted: bool
    answered_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the shop's own computer answered nobody."""

    starts_at: datetime
    ends_at: datetime

    def covers(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at
