"""Calls (definitions §7). Only Kapso has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oracle_identity import (
    Contact,
    Thread,
    kapso_call_identity,
    kapso_contact_key,
    kapso_contacts,
    kapso_conversation_identity,
    key_of,
    thread_of,
)
from oracle_messages import Message
from oracle_values import Raw, Row, first, instant, number, seconds, text, word

META_DIRECTIONS = {"user_initiated": "inbound", "business_initiated": "outbound"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call."""

    key: str
    id: str
    thread: Thread
    direction: str | None
    status: str | None
    started_at: datetime | None
    ended_at: datetime | None
    session_started_at: datetime | None
    duration_seconds: float | None

    @property
    def is_answered(self) -> bool:
        """Whether two people spoke."""
        picked_up = self.status in ("completed", "answered") and self.session_started_at is not None
        return (self.duration_seconds or 0) > 0 or picked_up

    @property
    def was_taken(self) -> bool:
        """Whether somebody answered, or the customer accepted."""
        return self.is_answered or self.status in ("accepted", "answered")

    @property
    def is_missed(self) -> bool:
        """Whether a customer called in vain."""
        return self.direction == "inbound" and not self.is_answered

    @property
    def opens_window_at(self) -> datetime | None:
        """When Meta's 24 hours start with it: any call of the customer, or one they accepted."""
        if self.direction == "inbound":
            return self.started_at
        if self.direction == "outbound" and self.was_taken:
            return self.session_started_at or self.started_at
        return None


def read_calls(raw: Raw) -> list[Call]:
    """Every call."""
    conversations = {(row["account"], row["id"]): row for row in raw["raw_kapso.conversations"]}
    contacts = kapso_contacts(raw)
    calls = []
    for row in raw["raw_kapso.calls"]:
        session = conversations.get((row["account"], row["whatsapp_conversation_id"]))
        channel = first(
            text(row["phone_number_id"]), text(session["phone_number_id"]) if session else None
        )
        contact = _contact_key(row, session, contacts)
        conversation = text(row["whatsapp_conversation_id"])
        calls.append(_call(row, thread_of(row, "kapso", channel, contact, conversation)))
    return calls


def _contact_key(row: Row, session: Row | None, contacts: Sequence[Contact]) -> str | None:
    """By BSUID and phone, as a message's, so that both are in one thread; else as the row says."""
    who, account = kapso_call_identity(row), row["account"]
    named = key_of("kapso", account, text(row["whatsapp_contact_id"]))
    if named and not who:
        return named
    return kapso_contact_key(account, who or kapso_conversation_identity(session), contacts)


def _call(row: Row, thread: Thread) -> Call:
    duration = number(row["duration_seconds"])
    return Call(
        key=f"kapso:{row['account']}:{row['id']}",
        id=row["id"],
        thread=thread,
        direction=META_DIRECTIONS.get(word(row["direction"]) or "", word(row["direction"])),
        status=word(row["status"]),
        started_at=instant(row["started_at"]) or instant(row["created_at"]),
        ended_at=instant(row["ended_at"]),
        session_started_at=instant(row["session_started_at"]),
        duration_seconds=None if duration is None else max(duration, 0.0),
    )


def callback_seconds(
    call: Call, calls: Sequence[Call], messages: Sequence[Message]
) -> float | None:
    """From the end of ringing to the first later outbound call or reply of the same thread.

    `calls` and `messages` are those of the thread. A reply of the very instant
    comes after the customer's event, as everywhere, so it is later.
    """
    rang_until = call.ended_at or call.started_at
    if not call.is_missed or rang_until is None:
        return None
    called = [other.started_at for other in calls if other.direction == "outbound"]
    wrote = [message.at for message in messages if message.is_reply]
    later = [at for at in (*called, *wrote) if at and at >= rang_until]
    return seconds(rang_until, min(later)) if later else None
