"""Which broadcast a template message of Kapso's belongs to: nothing but time and customer tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from oracle_identity import Identity, identity, phone_key
from oracle_values import Raw, field, instant, text

SENT_WITHIN = timedelta(seconds=120)


@dataclass(frozen=True)
class Recipient:
    """Somebody whom a broadcast was sent to."""

    id: str
    broadcast: str
    who: Identity
    template: str | None
    sent_at: datetime


def recipients(raw: Raw) -> dict[str, list[Recipient]]:
    """Account → everybody a Kapso broadcast was sent to."""
    templates = {
        (row["account"], row["id"]): field(row["whatsapp_template"], "name")
        for row in raw["raw_kapso.broadcasts"]
    }
    found: dict[str, list[Recipient]] = {}
    for row in raw["raw_kapso.broadcast_recipients"]:
        sent_at, broadcast = instant(row["sent_at"]), text(row["broadcast_id"])
        if sent_at and (row["account"], broadcast) in templates and broadcast:
            name = templates[row["account"], broadcast]
            who = Recipient(
                row["id"], broadcast, identity((), [row["phone_number"]]), name, sent_at
            )
            found.setdefault(row["account"], []).append(who)
    return found


def broadcast_of(
    template: str | None, who: Identity, at: datetime | None, among: Iterable[Recipient]
) -> str | None:
    """The broadcast of a template message: same customer and name, the nearest in time."""
    if at is None or template is None:
        return None
    near = [
        (abs(sent.sent_at - at), sent.id, sent.broadcast)
        for sent in among
        if _is_same(sent.who, who) and sent.template == template
        if abs(sent.sent_at - at) <= SENT_WITHIN
    ]
    return min(near)[2] if near else None


def _is_same(one: Identity, other: Identity) -> bool:
    phone = phone_key(one.phone)
    return bool(
        (phone and phone == phone_key(other.phone)) or (one.bsuid and one.bsuid == other.bsuid)
    )
