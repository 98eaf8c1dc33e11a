"""Which broadcast a template message of Kapso's belongs to: nothing but time and phone tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from oracle_identity import phone_key
from oracle_values import Raw, field, instant, text

SENT_WITHIN = timedelta(seconds=120)


@dataclass(frozen=True)
class Recipient:
    """Somebody whom a broadcast was sent to."""

    id: str
    broadcast: str
    phone_key: str | None
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
            who = Recipient(row["id"], broadcast, phone_key(row["phone_number"]), name, sent_at)
            found.setdefault(row["account"], []).append(who)
    return found


def broadcast_of(
    template: str | None, phone: str | None, at: datetime | None, among: Iterable[Recipient]
) -> str | None:
    """The broadcast of a template message: same phone and name, the nearest in time."""
    if at is None or phone is None or template is None:
        return None
    near = [
        (abs(who.sent_at - at), who.id, who.broadcast)
        for who in among
        if who.phone_key == phone and who.template == template
        if abs(who.sent_at - at) <= SENT_WITHIN
    ]
    return min(near)[2] if near else None
