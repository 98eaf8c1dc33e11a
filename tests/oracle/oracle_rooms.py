"""Raw rows of both rooms, read as messages: which column means what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from oracle_broadcasts import Recipient, broadcast_of, recipients
from oracle_identity import (
    Contact,
    Identity,
    Thread,
    kapso_contact_key,
    kapso_contacts,
    kapso_conversation_identity,
    kapso_message_identity,
    key_of,
    thread_of,
)
from oracle_messages import Message, earliest, merged_status, sender_kind
from oracle_values import Raw, Row, field, first, instant, number, objects, text, unix, word

ON_PHONE = {("kapso", "business_app"), ("waspy", "phone"), ("waspy", "echo")}


def read_messages(raw: Raw) -> list[Message]:
    """Every message of both rooms."""
    return [*_kapso_messages(raw), *_waspy_messages(raw)]


def _kapso_messages(raw: Raw) -> list[Message]:
    conversations = {(row["account"], row["id"]): row for row in raw["raw_kapso.conversations"]}
    contacts, mailed = kapso_contacts(raw), recipients(raw)
    revoked = {
        (row["account"], row["original_message_id"])
        for row in raw["raw_kapso.messages"]
        if word(row["type"]) == "revoke"
    }
    return [
        _kapso_message(
            row,
            conversations.get((row["account"], row["kapso_whatsapp_conversation_id"])),
            contacts,
            mailed.get(row["account"], []),
            is_revoked=(row["account"], row["id"]) in revoked,
        )
        for row in raw["raw_kapso.messages"]
    ]


def _kapso_message(
    row: Row,
    conversation: Row | None,
    contacts: Sequence[Contact],
    mailed: Sequence[Recipient],
    *,
    is_revoked: bool,
) -> Message:
    direction, origin = word(row["kapso_direction"]), word(row["kapso_origin"])
    events = _status_events(row)
    account, at = row["account"], unix(row["timestamp"])
    who = kapso_message_identity(row, direction) or kapso_conversation_identity(conversation)
    template = text(field(row["template"], "name"))
    is_template = direction == "outbound" and word(row["type"]) == "template"
    broadcast = broadcast_of(template, who, at, mailed) if is_template else None
    return Message(
        key=f"kapso:{account}:{row['id']}",
        id=row["id"],
        wa_message_id=row["id"],
        thread=_kapso_thread(row, who, conversation, contacts),
        conversation_key=key_of("kapso", account, text(row["kapso_whatsapp_conversation_id"])),
        direction=direction,
        type=word(row["type"]),
        sender_kind=sender_kind("kapso", direction, origin, campaign=bool(broadcast), ai=False),
        status=merged_status([word(row["kapso_status"]), *(status for status, _ in events)]),
        at=at,
        template_name=template,
        template_language=_language(row["template"]),
        broadcast_id=broadcast,
        bsuid=who.bsuid,
        is_on_phone=("kapso", origin) in ON_PHONE,
        status_times=earliest(events),
        error_codes=_error_codes(row),
        is_imported=origin == "history_sync",
        is_permission_reply="call_permission_reply"
        in (field(row["interactive"], "type"), (row["type"] or "").lower()),
        is_revoked=is_revoked,
    )


def _kapso_thread(
    row: Row, who: Identity, conversation: Row | None, contacts: Sequence[Contact]
) -> Thread:
    """Channel and contact of the message; its session answers when the row itself is silent."""
    account = row["account"]
    session_channel = text(conversation["phone_number_id"]) if conversation else None
    channel = first(text(row["kapso_phone_number_id"]), session_channel)
    contact_key = kapso_contact_key(account, who, contacts)
    return thread_of(
        row, "kapso", channel, contact_key, text(row["kapso_whatsapp_conversation_id"])
    )


def _language(template: object) -> str | None:
    language = field(template, "language")
    return text(language.get("code")) if isinstance(language, dict) else text(language)


def _status_events(row: Row) -> list[tuple[str | None, datetime | None]]:
    events = objects(row["kapso_statuses"])
    return [(word(event.get("status")), unix(event.get("timestamp"))) for event in events]


def _error_codes(row: Row) -> frozenset[str]:
    """Meta's codes, from the row and from what became of it."""
    events = objects(row["kapso_statuses"])
    lists = [row["errors"], *(json.dumps(event.get("errors")) for event in events)]
    return frozenset(str(error.get("code")) for found in lists for error in objects(found))


def _waspy_messages(raw: Raw) -> list[Message]:
    conversations = {(row["account"], row["id"]): row for row in raw["raw_waspy.conversations"]}
    formerly: dict[tuple[str, str], list[str | None]] = {}
    for state in raw["raw_waspy.message_states"]:
        seen = formerly.setdefault((state["account"], state["message_id"]), [])
        seen.append(word(state["status"]))
    return [
        _waspy_message(
            row,
            conversations.get((row["account"], row["conversation_id"])),
            formerly.get((row["account"], row["id"]), []),
        )
        for row in raw["raw_waspy.messages"]
    ]


def _waspy_message(row: Row, conversation: Row | None, formerly: Sequence[str | None]) -> Message:
    direction = word(row["direction"])
    code = text(row["error_code"])
    return Message(
        key=f"waspy:{row['account']}:{row['id']}",
        id=row["id"],
        wa_message_id=text(row["wa_message_id"]),
        thread=waspy_thread(row, conversation),
        conversation_key=key_of("waspy", row["account"], text(row["conversation_id"])),
        direction=direction,
        type=word(row["type"]),
        sender_kind=sender_kind(
            "waspy",
            direction,
            word(row["origin"]),
            campaign=bool(text(row["campaign_id"])),
            ai=word(row["sent_by_ai"]) == "true",
        ),
        status=merged_status([word(row["status"]), *formerly]),
        at=instant(row["created_at"]),
        position=number(row["position"]),
        template_name=text(row["template_name_snapshot"]),
        broadcast_id=text(row["campaign_id"]),
        agent_id=text(field(row["metadata"], "agentId")),
        is_on_phone=("waspy", word(row["origin"])) in ON_PHONE,
        status_times={},
        error_codes=frozenset([code] if code else []),
    )


def waspy_thread(row: Row, conversation: Row | None) -> Thread:
    """Channel and contact of a message or a conversation; the conversation fills what is missing.

    Waspy gives every customer an id, so no phone is compared.
    """
    rows = [row, conversation] if conversation else [row]
    channel = first(*(text(found["phone_number_id"]) for found in rows))
    embedded = text(field(conversation["contact"], "id")) if conversation else None
    contact = first(*(text(found["contact_id"]) for found in rows), embedded)
    contact_key = key_of("waspy", row["account"], contact)
    conversation_id = text(row["id"] if row is conversation else row["conversation_id"])
    return thread_of(row, "waspy", channel, contact_key, conversation_id)
