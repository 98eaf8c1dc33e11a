"""Writes a world's messages as Kapso does: Meta's object, and a `kapso` block beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipelines.simulation import uuid_for
from pipelines.world import Contact, Message, StatusChange, Template

PAID_SERVICE = datetime(2026, 10, 1, tzinfo=UTC)
"""From here on Meta bills service messages too."""

MEDIA = ("image", "audio", "video", "document", "sticker")
REPLIES = ("button", "interactive", "call_permission_reply")
ERRORS = {
    131026: "Message undeliverable",
    131047: "Re-engagement message",
    131049: "This message was not delivered to maintain healthy ecosystem engagement.",
    131050: "Unable to deliver the message. This recipient has chosen to stop receiving.",
    131053: "Media upload error",
}


def digits(phone: str | None) -> str | None:
    return phone.removeprefix("+") if phone else None


def unix(at: datetime) -> str:
    return str(int(at.timestamp()))


def message_row(
    message: Message,
    *,
    contact: Contact,
    template: Template | None,
    session_id: str,
    phone_number_id: str,
    now: datetime,
    proxy: bool,
    with_origin: bool,
) -> dict[str, Any]:
    """One row of a message list, as at `now`; the proxy writes a few fields in its own way."""
    row: dict[str, Any] = {
        "id": message.id,
        "timestamp": unix(message.occurred_at),
        "type": "interactive" if message.type == "call_permission_reply" else message.type,
        **_identity(message, contact),
        **_content(message, contact, template),
    }
    if message.refers_to and message.type in REPLIES:
        row["context"] = {"id": message.refers_to, "from": phone_number_id}
    if message.from_ad:
        row["referral"] = {
            "source_type": "ad",
            "source_id": "120210000000000001",
            "source_url": "https://fb.me/example",
            "headline": "Tienda Doble Tilde",
            "ctwa_clid": uuid_for("ad", message.id),
        }
    row["kapso"] = _block(message, contact, template, now)
    row["kapso"]["whatsapp_conversation_id"] = session_id
    row["kapso"]["phone_number"] = contact.phone if proxy else digits(contact.phone)
    row["kapso"]["processing_status"] = "completed" if proxy else "processed"
    if with_origin:
        row["kapso"]["origin"] = origin(message)
        row["kapso"]["phone_number_id"] = phone_number_id
    return row


def origin(message: Message) -> str:
    """How Kapso came by it: its API never says whether a person or a program wrote."""
    if message.is_imported:
        return "history_sync"
    return "business_app" if message.typed_on == "phone" else "cloud_api"


def _identity(message: Message, contact: Contact) -> dict[str, Any]:
    inbound = message.direction == "inbound"
    row: dict[str, Any] = {}
    if contact.phone:
        row["from" if inbound else "to"] = digits(contact.phone)
    elif inbound and message.id[-3] < "a":
        row["from"] = ""  # without a phone the key is empty, or not there
    if contact.bsuid:
        row["business_scoped_user_id"] = contact.bsuid
        row["parent_business_scoped_user_id"] = None
        row["username"] = contact.username
        row["from_user_id" if inbound else "to_user_id"] = contact.bsuid
    return row


def _block(
    message: Message, contact: Contact, template: Template | None, now: datetime
) -> dict[str, Any]:
    block: dict[str, Any] = {
        "direction": message.direction,
        "status": message.status_at(now),
        "has_media": message.media is not None,
        "contact_name": contact.name,
        "content": _rendition(message, contact, template),
        "message_type_data": {"caption": message.text} if message.media and message.text else {},
    }
    if message.media:
        block["media_url"] = media_url(message)
        block["media_data"] = {
            "url": block["media_url"],
            "filename": message.media.filename,
            "content_type": message.media.mime_type,
            "byte_size": message.media.bytes,
        }
        if message.type == "audio" and message.direction == "inbound":
            block["transcript"] = {"text": "Hola, quería saber si ya salió mi pedido."}
    changes = message.statuses_at(now)
    if changes and not message.is_imported:
        block["statuses"] = [
            _event(message, change, contact, template, priced=position < 2)
            for position, change in enumerate(changes)
        ]
    return block


def media_url(message: Message) -> str:
    """A link that needs no key: whoever has it has the file."""
    assert message.media is not None
    signed = uuid_for("signed", message.id).replace("-", "")
    return (
        f"https://app.kapso.ai/rails/active_storage/blobs/redirect/{signed}/"
        f"{message.media.filename}"
    )


def _rendition(message: Message, contact: Contact, template: Template | None) -> str | None:
    if template:
        return _rendered(template, contact)
    if message.type == "reaction":
        return f"Reacted with {message.text} to a message"
    if not message.media:
        return message.text
    media = message.media
    return (
        f"{message.text + ' ' if message.text else ''}{message.type.title()} attached "
        f"({media.filename}) [Size: {media.bytes // 1024} KB | Type: {media.mime_type}] "
        f"URL: {media_url(message)}"
    )


def _rendered(template: Template, contact: Contact) -> str:
    first_name = (contact.name or "cliente").split(maxsplit=1)[0]
    return template.body.replace("{{1}}", first_name).replace("{{2}}", "#1024")


def _event(
    message: Message,
    change: StatusChange,
    contact: Contact,
    template: Template | None,
    *,
    priced: bool,
) -> dict[str, Any]:
    """Meta's own status event."""
    event: dict[str, Any] = {
        "id": message.id,
        "status": change.status,
        "timestamp": unix(change.at),
        "recipient_id": digits(contact.phone) or "",
    }
    if contact.bsuid:
        event["recipient_user_id"] = contact.bsuid
    if change.error_code is not None:
        event["errors"] = [_error(change.error_code)]
    elif priced and message.type != "reaction":
        event["pricing"] = _pricing(change.at, template)
    return event


def _error(code: int) -> dict[str, Any]:
    return {
        "code": code,
        "title": ERRORS[code],
        "message": ERRORS[code],
        "error_data": {"details": ERRORS[code]},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    }


def _pricing(at: datetime, template: Template | None) -> dict[str, Any]:
    billable = template is not None or at >= PAID_SERVICE
    return {
        "billable": billable,
        "pricing_model": "PMP",
        "type": "regular" if billable else "free_customer_service",
        "category": template.category.lower() if template else "service",
    }


def _content(message: Message, contact: Contact, template: Template | None) -> dict[str, Any]:
    """The key that is named like the message's type, as Meta fills it."""
    if message.media:
        return {message.type: _media(message)}
    write = CONTENTS.get(message.type)
    if template:
        return {"template": _template(template, contact)}
    return write(message) if write else {}


def _media(message: Message) -> dict[str, Any]:
    assert message.media is not None
    found: dict[str, Any] = {
        "id": message.media.id,
        "mime_type": message.media.mime_type,
        "sha256": uuid_for("sha", message.media.id).replace("-", "") * 2,
        "url": f"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid={message.media.id}",
    }
    if message.text:
        found["caption"] = message.text
    if message.type == "document":
        found["filename"] = message.media.filename
    if message.type == "audio":
        found["voice"] = True
    return found


def _template(template: Template, contact: Contact) -> dict[str, Any]:
    name = (contact.name or "cliente").split(maxsplit=1)[0]
    return {
        "name": template.name,
        "language": {"code": template.language},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": name}]}],
    }


def _interactive(message: Message) -> dict[str, Any]:
    if message.direction == "outbound":
        found: dict[str, Any] = {"type": "button", "body": {"text": message.text}}
    else:
        reply = {"id": f"opt-{len(message.text or '')}", "title": message.text}
        found = {"type": "button_reply", "button_reply": reply}
    return {"interactive": found}


def _permission(message: Message) -> dict[str, Any]:
    reply = {"response": message.text, "is_permanent": False, "response_source": "user_action"}
    return {"interactive": {"type": "call_permission_reply", "call_permission_reply": reply}}


def _revision(message: Message) -> dict[str, Any]:
    """An edit or a revoke. Meta nests the id; a flat copy stands beside it."""
    inner: dict[str, Any] = {"original_message_id": message.refers_to}
    if message.type == "edit":
        inner["message"] = {"type": "text", "text": {"body": message.text}}
    return {message.type: inner, "original_message_id": message.refers_to}


CONTENTS: dict[str, Callable[[Message], dict[str, Any]]] = {
    "text": lambda m: {"text": {"body": m.text}},
    "button": lambda m: {"button": {"text": m.text, "payload": m.text}},
    "reaction": lambda m: {"reaction": {"message_id": m.refers_to, "emoji": m.text}},
    "interactive": _interactive,
    "call_permission_reply": _permission,
    "edit": _revision,
    "revoke": _revision,
    "location": lambda _: {"location": {"latitude": -31.4, "longitude": -64.2, "name": "Casa"}},
    "contacts": lambda _: {"contacts": [{"name": {"formatted_name": "Proveedor"}, "phones": []}]},
    "order": lambda _: {"order": {"catalog_id": "1", "product_items": [{"quantity": 2}]}},
    "system": lambda _: {"system": {"type": "user_changed_number", "body": "User changed number"}},
    "unsupported": lambda _: {"errors": [{"code": 131051, "title": "Message type unknown"}]},
}
