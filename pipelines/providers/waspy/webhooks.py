"""What Waspy's webhooks say. One body is documented, of `message.received`; README.md has doubts.

    {event: "message.received", webhookId, deliveredAt, attempt,
     data: {id, conversationId, contactId, phoneNumberId, direction, type, content: {body}, status,
            waMessageId, errorCode, origin, sentByAi, campaignId, createdAt, contact: {…}}}

`webhookId` names the subscription, and every attempt is a body of its own: what makes two events
one is the message and its status.
"""

from __future__ import annotations

from typing import Any

from pipelines.events import Reading, at, instant, name_of, part, text, who, word

VERSION = "2"
"""Goes up when a body is read differently: then every delivery is read again."""

SECRETS = frozenset({"mediaKey"})
"""Keys whose values never reach the warehouse, wherever they stand in a body."""

MEDIA = frozenset({"content", "link"})
"""Objects whose `url` and `link` don't either: whoever holds one can fetch the file."""

LINKS = frozenset[str]()
"""Texts in which Waspy writes a media link: none is known."""

CHANNELS = ("channels", "id")
"""The raw table and column that list the account's channels."""

EVENT_HEADER = "x-webhook-event"
KEY_HEADER = "x-idempotency-key"


def read(body: Any) -> Reading:
    """What the body of one delivery says."""
    found = Reading()
    found.name = name_of(at(body, "event"))
    data = part(body, "data")
    if not isinstance(body, dict):
        found.reject("not an object", body)
    elif found.name is None:
        found.reject("the body names no event", body)
    elif not found.name.startswith("message."):
        found.reject("an unknown event", body)
    elif not (text(data.get("id")) or text(data.get("waMessageId"))):
        found.reject("a message without an id", body)
    elif word(data.get("direction")) not in ("inbound", "outbound"):
        found.reject("a message without a direction", body)
    else:
        _message(data, found)
    return found


def _message(data: dict[str, Any], found: Reading) -> None:
    ids = {"message_id": text(data.get("id")), "wa_message_id": text(data.get("waMessageId"))}
    contact_id = text(data.get("contactId")) or text(at(data, "contact", "id"))
    content = part(data, "content")
    written = (content.get(key) for key in ("text", "body", "caption"))
    found.add(
        "messages",
        **ids,
        conversation_id=text(data.get("conversationId")),
        channel_id=found.on(text(data.get("phoneNumberId"))),
        contact_id=contact_id,
        **(who(at(data, "contact", "phoneNumber"), None) if contact_id is None else {}),
        direction=word(data.get("direction")),
        message_type=word(data.get("type")),
        text_length=next((len(t) for t in written if isinstance(t, str) and t), None),
        template_name=text(data.get("templateNameSnapshot")),
        original_message_id=_original(content) or _original(part(data, "metadata")),
        is_call_permission_reply="call_permission_reply"
        in (word(data.get("type")), word(content.get("type")), *content),
        origin=word(data.get("origin")),
        agent_id=text(at(data, "metadata", "agentId")) or text(at(data, "metadata", "userId")),
        is_ai=data["sentByAi"] if isinstance(data.get("sentByAi"), bool) else None,
        campaign_id=text(data.get("campaignId")),
        is_imported=False,
        status=word(data.get("status")),
        error_code=text(data.get("errorCode")),
        occurred_at=instant(data.get("createdAt")),
        is_new=True,  # its time is the message's own, whatever the event tells
    )
    if word(data.get("status")):
        found.add(
            "message_statuses",
            **ids,
            status=word(data.get("status")),
            error_code=text(data.get("errorCode")),
        )


def _original(place: dict[str, Any]) -> str | None:
    return text(place.get("original_message_id")) or text(place.get("originalMessageId"))
