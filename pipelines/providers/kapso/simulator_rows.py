"""Writes a world's numbers, conversations, contacts, calls and templates as Kapso does."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from pipelines.providers.kapso.simulator_messages import digits
from pipelines.providers.kapso.simulator_sessions import Session
from pipelines.simulation import stamp, uuid_for
from pipelines.world import Call, Channel, Contact, Message, Template, World

WABA = "102290000000001"
PROJECT = uuid_for("kapso", "project")


@cache
def phone_number_id(channel_id: str) -> str:
    """Meta's id of the channel, which Kapso uses as it is."""
    return str(600_000_000_000_000 + int(uuid_for("number", channel_id)[:8], 16))


def config_id(channel_id: str) -> str:
    return uuid_for("kapso", "config", channel_id)


def contact_id(world_contact_id: str) -> str:
    return uuid_for("kapso", "contact", world_contact_id)


def user_id(agent_id: str) -> str:
    return uuid_for("kapso", "user", agent_id)


def number_row(channel: Channel) -> dict[str, Any]:
    number, created_at = phone_number_id(channel.id), channel.connected_at
    return {
        "id": number,
        "internal_id": config_id(channel.id),
        "phone_number_id": number,
        "name": channel.name,
        "kind": "production",
        "business_account_id": WABA,
        "is_coexistence": channel.has_phone_app,
        "inbound_processing_enabled": True,
        "calls_enabled": channel.has_calls,
        "webhook_verified_at": stamp(created_at),
        "created_at": stamp(created_at),
        "updated_at": stamp(created_at),
        "customer_id": None,
        "display_name": channel.name,
        "display_phone_number": f"{channel.phone[:3]} {channel.phone[3:6]} {channel.phone[6:]}",
        "display_phone_number_normalized": digits(channel.phone),
        "verified_name": f"Tienda Doble Tilde {channel.name}",
        "quality_rating": channel.quality,
        "throughput_tier": "TIER_10K",
        # Kapso's schema says integer, its samples a string
        "whatsapp_business_manager_messaging_limit": 10000 if channel.has_bot else "10000",
        "code_verification_status": "VERIFIED",
        "name_status": "APPROVED",
        "status": "CONNECTED",
        "is_official_business_account": False,
        "is_pin_enabled": True,
    }


def conversation_row(
    session: Session, *, contact: Contact, now: datetime, proxy: bool
) -> dict[str, Any]:
    """A session as at `now`: the proxy gives `+` and microseconds, the platform neither."""
    known = session.messages[: session.known_at(now)]
    micros = 6 if proxy else 0
    ended = session.ended_at(now)
    active = session.inserted[len(known) - 1]
    row: dict[str, Any] = {
        "id": session.id,
        "phone_number": contact.phone if proxy else digits(contact.phone),
        "phone_number_id": phone_number_id(session.thread.channel_id),
        "status": "ended" if ended else "active",
        "last_active_at": stamp(active, digits=micros),
        "created_at": stamp(session.inserted[0], digits=micros),
        "updated_at": stamp(max(active, ended) if ended else active, digits=micros),
        "metadata": None if proxy else {},
        "kapso": _summary(known, contact=contact),
    }
    if contact.bsuid:
        row |= {
            "business_scoped_user_id": contact.bsuid,
            "parent_business_scoped_user_id": None,
            "username": contact.username,
        }
    return row | ({"whatsapp_config_id": config_id(session.thread.channel_id)} if proxy else {})


def _summary(known: tuple[Message, ...], *, contact: Contact) -> dict[str, Any]:
    last = max(known, key=lambda m: m.occurred_at)
    return {
        "contact_name": contact.name,
        "messages_count": len(known),
        "last_message_id": last.id,
        "last_message_type": last.type,
        "last_message_timestamp": stamp(last.occurred_at),
        "last_message_text": last.text,
        "last_inbound_at": _latest(known, "inbound"),
        "last_outbound_at": _latest(known, "outbound"),
    }


def _latest(known: tuple[Message, ...], direction: str) -> str | None:
    times = [m.occurred_at for m in known if m.direction == direction]
    return stamp(max(times, default=None))


def contact_row(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact_id(contact.id),
        "wa_id": digits(contact.phone),
        "business_scoped_user_id": contact.bsuid,
        "parent_business_scoped_user_id": None,
        "username": contact.username,
        "profile_name": contact.name,
        "display_name": contact.name,
        "customer_id": None,
        "metadata": dict(contact.fields),
        "created_at": stamp(contact.created_at, digits=6),
        "updated_at": stamp(contact.created_at, digits=6),
    }


def call_row(
    call: Call,
    *,
    channel: Channel,
    contact: Contact,
    session: Session | None,
    now: datetime,
    upper: bool,
) -> dict[str, Any]:
    """A call as at `now`; while it lasts it has no end."""
    status = call_status(call, now)
    return {
        "id": uuid_for("kapso", "call", call.id),
        "call_id": call.id,
        "direction": call.direction.upper() if upper else call.direction,
        "status": status.upper() if upper else status,
        **_call_times(call, now),
        "user_wa_id": digits(contact.phone),
        "business_scoped_user_id": contact.bsuid,
        "whatsapp_contact_id": contact_id(contact.id),
        "whatsapp_conversation_id": session.id if session else None,
        "project_id": PROJECT,
        "whatsapp_config_id": config_id(channel.id),
        "config_display_name": channel.name,
        "config_display_phone_number": channel.phone,
        "voice_agent_id": None,
        "voice_agent_name": None,
        "phone_number_id": phone_number_id(channel.id),
        "voice_agent": None,
        "whatsapp_contact": {
            "id": contact_id(contact.id),
            "wa_id": digits(contact.phone),
            "profile_name": contact.name,
            "display_name": contact.name,
        },
        "whatsapp_conversation": session and {"id": session.id},
    }


def _call_times(call: Call, now: datetime) -> dict[str, Any]:
    over = call.ended_at <= now
    answered = call.answered_at if call.answered_at and call.answered_at <= now else None
    seconds = int((call.ended_at - answered).total_seconds()) if over and answered else None
    return {
        "duration_seconds": seconds,
        "started_at": stamp(call.started_at, digits=6),
        "ended_at": stamp(call.ended_at, digits=6) if over else None,
        "session_started_at": stamp(answered, digits=6),
        "created_at": stamp(call.started_at, digits=6),
        "updated_at": stamp(min(call.ended_at, now), digits=6),
    }


def call_status(call: Call, now: datetime) -> str:
    """Lower case. Meta ends some missed calls as completed, with no duration."""
    if call.ended_at > now:
        return "answered" if call.answered_at and call.answered_at <= now else "ringing"
    if call.result == "answered" or (call.result == "missed" and call.id[-3] < "a"):
        return "completed"
    return "failed"


def template_row(template: Template) -> dict[str, Any]:
    """Meta's own shape, passed through."""
    return {
        "id": template.id,
        "name": template.name,
        "language": template.language,
        "status": template.status,
        "category": template.category,
        "components": components(template),
        "quality_score": {"score": template.quality, "date": int(template.created_at.timestamp())},
        "rejected_reason": "PROMOTIONAL" if template.status == "REJECTED" else "NONE",
        "parameter_format": "POSITIONAL",
    }


def legacy_template_row(template: Template, *, world: World) -> dict[str, Any]:
    """Kapso's own copy: other names, lower case."""
    return {
        "id": uuid_for("kapso", "template", template.id),
        "name": template.name,
        "language_code": template.language,
        "category": template.category,
        "status": template.status.lower(),
        "content": template.body,
        "parameter_count": template.body.count("{{"),
        "business_account_id": WABA,
        "whatsapp_config_ids": [config_id(c.id) for c in world.channels],
        "components": components(template),
        "metadata": {},
        "created_at": stamp(template.created_at, digits=6),
        "updated_at": stamp(template.created_at, digits=6),
    }


def components(template: Template) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"type": "BODY", "text": template.body, "example": {"body_text": [["Ana", "#1024"]]}}
    ]
    if template.footer:
        found.append({"type": "FOOTER", "text": template.footer})
    if template.buttons:
        buttons = [{"type": "QUICK_REPLY", "text": text} for text in template.buttons]
        found.append({"type": "BUTTONS", "buttons": buttons})
    return found
