"""Writes a world's threads, messages, contacts, channels and templates as Waspy does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipelines.providers.waspy.simulator_story import (
    Talk,
    channel_id,
    contact_id,
    conversation_id,
    message_id,
)
from pipelines.simulation import stamp, uuid_for
from pipelines.world import WINDOW, Channel, Contact, Message, Template

OPENS_NOTHING = ("reaction", "system", "edit", "revoke", "request_welcome")
ERRORS = {
    131026: "Message undeliverable",
    131047: "More than 24 hours have passed since the recipient last replied",
    131049: "Meta chose not to deliver",
    131050: "Recipient stopped marketing messages",
    131053: "Media upload error",
}


def agent_id(world_agent_id: str) -> str:
    return uuid_for("waspy", "agent", world_agent_id)


def conversation_row(
    talk: Talk, *, contact: Contact, now: datetime, with_channel: bool
) -> dict[str, Any]:
    """A thread as at `now`; without any message its last… fields are null."""
    known = talk.known(now)
    last = known[-1] if known else None
    change = talk.thread.change_at(now)
    return {
        "id": conversation_id(talk.thread),
        "contactId": contact_id(contact.id),
        "phoneNumberId": channel_id(talk.thread.channel_id) if with_channel else None,
        "status": change.status if change else "open",
        "assignedTo": agent_id(change.agent_id) if change and change.agent_id else None,
        "lastMessageAt": stamp(last.occurred_at, digits=3) if last else None,
        "lastMessagePreview": (last.text or f"[{last.type}]")[:80] if last else None,
        "lastMessageDirection": last and last.direction,
        "lastMessageStatus": last and last.status_at(now),
        "serviceWindowExpiresAt": stamp(_window_end(known), digits=3),
        "createdAt": stamp(talk.thread.created_at, digits=3),
        "contact": {
            "id": contact_id(contact.id),
            "phoneNumber": contact.phone,
            "name": contact.name,
        },
    }


def _window_end(known: list[Message]) -> datetime | None:
    """24 hours after the customer's last message. Calls count for Meta, but are not seen here."""
    for message in reversed(known):
        if (
            message.direction == "inbound"
            and message.type not in OPENS_NOTHING
            and not message.is_imported
        ):
            return message.occurred_at + WINDOW
    return None


def message_row(
    message: Message,
    *,
    thread_id: str,
    contact: Contact,
    template: Template | None,
    now: datetime,
    content_key: str,
    with_authors: bool,
    with_channel: bool,
) -> dict[str, Any]:
    """A message as at `now`. Who wrote it stands in the last three fields, if anywhere."""
    status = message.status_at(now)
    failed = next((c for c in message.statuses_at(now) if c.error_code), None)
    row: dict[str, Any] = {
        "id": message_id(message),
        "conversationId": thread_id,
        "contactId": contact_id(message.contact_id),
        "phoneNumberId": channel_id(message.channel_id) if with_channel else None,
        "direction": message.direction,
        "type": "interactive" if message.type == "call_permission_reply" else message.type,
        "content": content(message, contact, template, key=content_key),
        "status": status,
        "waMessageId": None if status in ("pending", "failed") else message.id,
        "errorCode": str(failed.error_code) if failed else None,
        "errorMessage": ERRORS[failed.error_code or 0] if failed else None,
        "mediaId": message.media and message.media.id,
        "templateNameSnapshot": template and template.name,
        "createdAt": stamp(message.occurred_at, digits=3),
    }
    if with_authors:
        row["origin"] = origin(message)
        row["sentByAi"] = message.author == "bot"
        row["campaignId"] = message.campaign_id and uuid_for("waspy", message.campaign_id)
    return row


def origin(message: Message) -> str:
    if message.author == "customer":
        return "inbound"
    if message.author == "human":
        return "phone" if message.typed_on == "phone" else "agent"
    return message.author


def content(
    message: Message, contact: Contact, template: Template | None, *, key: str
) -> dict[str, Any]:
    """What was said. Lists and webhooks disagree on the key of a text, hence `key`."""
    if template:
        first_name = (contact.name or "cliente").split(maxsplit=1)[0]
        return {
            key: template.body.replace("{{1}}", first_name).replace("{{2}}", "#1024"),
            "template": {"name": template.name, "language": {"code": template.language}},
        }
    if message.media:
        found: dict[str, Any] = {
            "url": f"https://storage.waspy.example/media/{message.media.id}",
            "mimeType": message.media.mime_type,
            "filename": message.media.filename,
        }
        return found | ({"caption": message.text} if message.text else {})
    if message.type == "reaction":
        return {"emoji": message.text, "messageId": message.refers_to}
    if message.type == "call_permission_reply":
        return {"type": "call_permission_reply", "response": message.text}
    found = {key: message.text} if message.text else {}
    if message.type in ("edit", "revoke"):
        found["originalMessageId"] = message.refers_to
    return found


def contact_row(contact: Contact, *, last_message_at: datetime | None) -> dict[str, Any]:
    return {
        "id": contact_id(contact.id),
        "phoneNumber": contact.phone,
        "name": contact.name,
        "email": contact.email,
        "tags": list(contact.tags),
        "customFields": dict(contact.fields),
        "optedIn": contact.opted_in,
        "lastMessageAt": stamp(last_message_at, digits=3),
        "createdAt": stamp(contact.created_at, digits=3),
    }


def channel_row(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel_id(channel.id),
        "name": channel.name,
        "displayName": f"Tienda Doble Tilde {channel.name}",
        "phoneNumber": channel.phone,
        "status": "connected",
        "qualityRating": channel.quality,
        "wabaId": "102290000000001",
        "createdAt": stamp(channel.connected_at, digits=3),
    }


def template_row(template: Template) -> dict[str, Any]:
    return {
        "id": uuid_for("waspy", "template", template.id),
        "name": template.name,
        "language": template.language,
        "category": template.category,
        "status": template.status,
        "components": [{"type": "BODY", "text": template.body}],
        "createdAt": stamp(template.created_at, digits=3),
        "updatedAt": stamp(template.created_at, digits=3),
    }
