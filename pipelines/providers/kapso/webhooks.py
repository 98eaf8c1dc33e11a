"""What Kapso's webhooks say: bodies of version 2, alone or in batches, of version 1, and Meta's.

Only the body is signed, so only the body decides what an event is. Facts and doubts: README.md.

    {message: {id, timestamp, type, …, kapso: {direction, status, …}},
     conversation: {id, status, updated_at, …}, is_new_conversation, phone_number_id}
    {type, batch: true, data: [the above, …], batch_info: {first_sequence, last_sequence, …}}
    {conversation: {…}, phone_number_id}                       created or ended, by its status
    {conversation: {…}, since_message: {…}, inactivity: {…}}   inactive
    {event: "workflow.execution.handoff", whatsapp_conversation_id, handoff: {…}, …}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.events import Reading, at, instant, listed, name_of, part, text, who, whole, word
from pipelines.providers.kapso import webhooks_meta
from pipelines.providers.kapso.webhooks_meta import (
    error_of,
    is_permission_reply,
    original_of,
    status_event,
    template_of,
    text_length,
)

VERSION = "3"
"""Goes up when a body is read differently: then every delivery is read again."""

SECRETS = frozenset({"media_url", "secret_key", "webhook_verify_token"})
"""Keys whose values never reach the warehouse, wherever they stand in a body."""

MEDIA = frozenset({"media_data", "image", "video", "audio", "document", "sticker"})
"""Objects whose `url` and `link` don't either: whoever holds one can fetch the file."""

LINKS = frozenset({"content", "last_message_text"})
"""Texts in which Kapso writes a media link as `URL: …`."""

CHANNELS = ("phone_numbers", "phone_number_id")
"""The raw table and column that list the account's channels."""

EVENT_HEADER = "x-webhook-event"
KEY_HEADER = "x-idempotency-key"

KINDS = {"handoff": "handoff", "failed": "workflow_failed"}
LIFECYCLE = ("whatsapp.phone_number", "whatsapp.webhook", "whatsapp.config", "project.")
NEW = ("pending", "accepted", "queued", "sent", None)
"""Statuses with which an outbound message is told for the first time."""


def read(body: Any) -> Reading:
    """What the body of one delivery says."""
    found = Reading()
    if not isinstance(body, dict):
        found.reject("not an object", body)
    elif webhooks_meta.is_meta(body):
        webhooks_meta.read(body, found)
    elif body.get("batch") is True or isinstance(body.get("data"), list):
        _batch(body, found)
    else:
        found.name = _single(body, found)
    return found


def _batch(body: dict[str, Any], found: Reading) -> None:
    """Every delivery of a webhook that buffers is a batch, even of one."""
    if not isinstance(body.get("data"), list):
        found.name = name_of(body.get("type"))
        found.reject("a batch without a list", body)
        return
    names: set[str | None] = set()
    for item in listed(body.get("data")):
        said = Reading()
        names.add(_item(item, said))
        found.take(item, said)
    names.discard(None)
    found.name = min(names) if len(names) == 1 else name_of(body.get("type"))  # type: ignore[type-var]
    info = part(body, "batch_info")
    first, last = whole(info.get("first_sequence")), whole(info.get("last_sequence"))
    if first is not None and last is not None:
        channel_id = _channel(next(listed(body.get("data")), None))
        said = Reading(channels=found.channels & {channel_id or ""})
        said.add(
            "batches",
            conversation_id=text(info.get("conversation_id")),
            channel_id=channel_id,
            first_sequence=first,
            last_sequence=last,
        )
        found.take(info, said)


def _item(item: Any, found: Reading) -> str | None:
    if isinstance(item, dict):
        return _single(item, found)
    found.reject("an item of a batch is no object", item)
    return None


def _single(body: dict[str, Any], found: Reading) -> str | None:
    """Read a body of one event; its name."""
    if isinstance(body.get("message"), dict):
        return _message_body(body, found)
    named = name_of(body.get("event")) or name_of(body.get("type"))
    if named and named.startswith("workflow.execution."):
        return _workflow(named, body, found)
    if isinstance(body.get("conversation"), dict):
        return _conversation_body(body, found)
    if named is None and text(body.get("phone_number_id")) and "project" in body:
        named = "whatsapp.phone_number"  # made or deleted: the body does not say
    if named and named.startswith(LIFECYCLE):
        found.add(
            "account_events",
            kind=named,
            channel_id=_channel(body),  # a new one may not be in the account's list yet
            occurred_at=_first_time(body, "occurred_at", "deleted_at", "created_at"),
        )
        return named
    found.reject("an unknown event" if named else "the body names no event", body)
    return named


def _message_body(body: dict[str, Any], found: Reading) -> str | None:
    message, conversation = body["message"], part(body, "conversation")
    is_old = "message_type" in message or "whatsapp_config" in body
    row = _version_1(body) if is_old else message
    kapso, identifier = part(row, "kapso"), text(row.get("id"))
    direction, status = word(kapso.get("direction")), word(kapso.get("status"))
    if identifier is None:
        found.reject("a message without the network's id", body)
        return None
    if direction not in ("inbound", "outbound"):
        found.reject("a message without a direction", body)
        return None
    channel_id = found.on(_channel(body))
    _message(row, conversation, channel_id, found)
    _statuses(row, found)
    _conversation(conversation, channel_id, found)
    if direction == "inbound":
        return "whatsapp.message.received"
    return name_of(f"whatsapp.message.{status}")


def _message(
    row: dict[str, Any], conversation: dict[str, Any], channel_id: str | None, found: Reading
) -> None:
    kapso = part(row, "kapso")
    direction, status = word(kapso.get("direction")), word(kapso.get("status"))
    is_new = direction == "inbound" or status in NEW
    # What tells how a message went carries the time of that: the list of statuses, if it is
    # there, knows when it was sent.
    sent = (s.get("timestamp") for s in _told(row) if word(s.get("status")) == "sent")
    side = "from" if direction == "inbound" else "to"
    kind = word(row.get("type"))
    found.add(
        "messages",
        message_id=text(row["id"]),
        wa_message_id=text(row["id"]),
        conversation_id=text(kapso.get("whatsapp_conversation_id")) or text(conversation.get("id")),
        channel_id=text(kapso.get("phone_number_id")) or channel_id,
        **_customer(row, side, conversation),
        direction=direction,
        message_type=kind,
        text_length=text_length(row),
        **template_of(row),
        original_message_id=original_of(row),
        is_call_permission_reply=is_permission_reply(row),
        origin=word(kapso.get("origin")),
        is_imported=word(kapso.get("origin")) == "history_sync",
        status=status,
        error_code=error_of(row),
        occurred_at=instant(row.get("timestamp") if is_new else next(sent, None)),
        is_new=is_new,
    )


def _customer(
    row: dict[str, Any], side: str, conversation: dict[str, Any]
) -> Mapping[str, str | None]:
    """Who the customer is: what the message says, else what its conversation says."""
    phone = text(at(row, "kapso", "phone_number")) or text(row.get(side))
    bsuid = text(row.get("business_scoped_user_id")) or text(row.get(f"{side}_user_id"))
    if phone or bsuid:
        return who(phone, bsuid)
    return who(conversation.get("phone_number"), conversation.get("business_scoped_user_id"))


def _told(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The statuses that the message lists: all there were until then, as Meta sent them."""
    for entry in listed(at(row, "kapso", "statuses")):
        if isinstance(entry, dict):
            yield entry


def _statuses(row: dict[str, Any], found: Reading) -> None:
    """Every status that the body tells; the event's own, unless the list has it with its time."""
    status, identifier = word(at(row, "kapso", "status")), text(row["id"])
    told = list(_told(row))
    for entry in told:
        status_event(entry, found, identifier=identifier)
    if status and status not in {word(entry.get("status")) for entry in told}:
        found.add(
            "message_statuses",
            message_id=identifier,
            wa_message_id=identifier,
            status=status,
            occurred_at=instant(row.get("timestamp")),
            error_code=error_of(row),
            pricing_category=word(at(row, "pricing", "category")),
            pricing_type=word(at(row, "pricing", "type")),
        )


def _conversation(row: dict[str, Any], channel_id: str | None, found: Reading) -> None:
    if text(row.get("id")) is None:
        return
    found.add(
        "conversations",
        conversation_id=text(row["id"]),
        channel_id=text(row.get("phone_number_id")) or channel_id,
        **who(row.get("phone_number"), row.get("business_scoped_user_id")),
        status=word(row.get("status")),
        created_at=instant(row.get("created_at")),
        last_active_at=instant(row.get("last_active_at")),
        updated_at=instant(row.get("updated_at")),
    )


def _conversation_body(body: dict[str, Any], found: Reading) -> str | None:
    conversation = part(body, "conversation")
    if text(conversation.get("id")) is None:
        found.reject("a conversation without an id", body)
        return None
    _conversation(conversation, found.on(_channel(body)), found)
    if "inactivity" in body:
        kind, occurred_at = "inactive", None  # the body does not say since when it was told
    elif word(conversation.get("status")) == "ended":
        kind, occurred_at = "ended", instant(conversation.get("updated_at"))
    else:
        kind, occurred_at = "created", instant(conversation.get("created_at"))
    found.add(
        "conversation_events",
        conversation_id=text(conversation["id"]),
        kind=kind,
        occurred_at=occurred_at,
        last_message_at=instant(at(conversation, "kapso", "last_message_timestamp"))
        or instant(at(body, "since_message", "created_at")),
    )
    return f"whatsapp.conversation.{kind}"


def _workflow(named: str, body: dict[str, Any], found: Reading) -> str:
    kind = KINDS.get(named.removeprefix("workflow.execution."))
    if kind is None:
        found.reject("an unknown event", body)
        return named
    found.add(
        "conversation_events",
        conversation_id=text(body.get("whatsapp_conversation_id")),
        kind=kind,
        occurred_at=_first_time(body, "occurred_at", "created_at"),
        source=word(at(body, "handoff", "source")),
    )
    return named


def _version_1(body: dict[str, Any]) -> dict[str, Any]:
    """A message of version 1 in the shape of version 2, as far as version 1 is known."""
    old = body["message"]
    wamid = text(old.get("whatsapp_message_id")) or text(old.get("id"))
    fields = ("direction", "status", "origin", "content", "contact_name", "has_media", "statuses")
    kapso = {name: old[name] for name in fields if name in old}
    conversation = part(body, "conversation")
    return {
        # Without the network's id it could not be told from the row that the list will bring.
        "id": wamid if wamid and wamid.startswith("wamid.") else None,
        "type": old.get("message_type"),
        "timestamp": at(old, "metadata", "timestamp") or old.get("created_at"),
        "text": {"body": old.get("content")} if word(old.get("message_type")) == "text" else None,
        "kapso": {
            **kapso,
            "phone_number": old.get("conversation_phone_number")
            or old.get("phone_number")
            or conversation.get("phone_number"),
            "phone_number_id": _channel(body),
            "whatsapp_conversation_id": conversation.get("id"),
        },
    }


def _channel(body: Any) -> str | None:
    return (
        text(at(body, "phone_number_id"))
        or text(at(body, "message", "kapso", "phone_number_id"))
        or text(at(body, "conversation", "phone_number_id"))
        or text(at(body, "whatsapp_config", "phone_number_id"))
    )


def _first_time(body: dict[str, Any], *names: str) -> Any:
    return next((time for name in names if (time := instant(body.get(name)))), None)
