"""Meta's own bodies, which Kapso forwards for a webhook of kind `meta`.

{object: "whatsapp_business_account",
 entry: [{id, time, changes: [{field: "messages", value: {metadata: {phone_number_id},
   contacts: [{wa_id, user_id}], messages: […], statuses: […]}}]}]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pipelines.events import Reading, at, instant, listed, name_of, part, text, who, word

OBJECT = "whatsapp_business_account"

UNUSED = frozenset(
    {
        "smb_app_state_sync",
        "user_preferences",
        "business_capability_update",
        "security",
        "payment_configuration_update",
        "partner_solutions",
        "message_template_components_update",
    }
)
"""Fields that no model needs. The delivery keeps them."""

ACCOUNT = frozenset(
    {
        "phone_number_quality_update",
        "phone_number_name_update",
        "account_update",
        "account_review_update",
        "account_alerts",
    }
)

DIRECTIONS = {"user_initiated": "inbound", "business_initiated": "outbound"}

TEMPLATE_KINDS = {
    "message_template_status_update": "status",
    "message_template_quality_update": "quality",
    "template_category_update": "category",
}


def is_meta(body: Mapping[str, Any]) -> bool:
    """Whether a body is Meta's."""
    return body.get("object") == OBJECT or isinstance(body.get("entry"), list)


def read(body: dict[str, Any], found: Reading) -> None:
    """Every change of every entry; one that is unknown stops none of the others."""
    names = set()
    for entry in listed(body.get("entry")):
        for change in listed(at(entry, "changes")):
            names.add(name_of(at(change, "field")) or "unknown")
            said = Reading()
            _change(entry, change, said)
            found.take(change, said)
    found.name = f"meta.{'+'.join(sorted(names))}" if names else None
    if not names:
        found.reject("the body holds no change", body)


def _change(entry: dict[str, Any], change: Any, found: Reading) -> None:
    kind, value = text(at(change, "field")) or "", part(change, "value")
    told_at = instant(entry.get("time"))
    found.on(_channel(value))
    if kind in READERS:
        READERS[kind](value, found)
    elif kind in TEMPLATE_KINDS:
        _template(TEMPLATE_KINDS[kind], value, told_at, found)
    elif kind in ACCOUNT:
        found.add("account_events", kind=kind, occurred_at=told_at, details=value)
    elif kind not in UNUSED:
        found.reject("an unknown field of Meta's", change)


def _messages(value: dict[str, Any], found: Reading) -> None:
    users = {
        text(at(contact, "wa_id")): text(at(contact, "user_id"))
        for contact in listed(value.get("contacts"))
    }
    for message in listed(value.get("messages")):
        phone = text(at(message, "from"))
        _message(
            message,
            found,
            channel_id=_channel(value),
            direction="inbound",
            customer=who(phone, at(message, "from_user_id") or users.get(phone)),
            status="received",
        )
    for status in listed(value.get("statuses")):
        if text(at(status, "id")) is None:
            found.reject("a status without a message", status)
            continue
        status_event(status, found, identifier=text(status["id"]))


def _echoes(value: dict[str, Any], found: Reading) -> None:
    """What somebody wrote in the WhatsApp Business app."""
    for message in listed(value.get("message_echoes")):
        _message(
            message,
            found,
            channel_id=_channel(value),
            direction="outbound",
            customer=who(at(message, "to"), at(message, "to_user_id")),
            status="sent",
            origin="business_app",
        )


def _history(value: dict[str, Any], found: Reading) -> None:
    """What was there before the number was connected, in threads named by the customer."""
    chunks = listed(value.get("history"))
    for thread in (thread for chunk in chunks for thread in listed(at(chunk, "threads"))):
        customer = text(at(thread, "id"))
        for message in listed(at(thread, "messages")):
            is_theirs = _digits(at(message, "from")) == _digits(customer)
            _message(
                message,
                found,
                channel_id=_channel(value),
                direction="inbound" if is_theirs else "outbound",
                customer=who(customer, at(thread, "context", "user_id")),
                status=word(at(message, "history_context", "status")),
                origin="history_sync",
            )


def _message(
    message: Any,
    found: Reading,
    *,
    channel_id: str | None,
    direction: str,
    customer: Mapping[str, str | None],
    status: str | None,
    origin: str | None = None,
) -> None:
    if text(at(message, "id")) is None:
        found.reject("a message without an id", message)
        return
    if text(message.get("group_id")):
        found.reject("a message of a group: groups have no response times", message)
        return
    found.add(
        "messages",
        message_id=text(message["id"]),
        wa_message_id=text(message["id"]),
        channel_id=channel_id,
        **customer,
        direction=direction,
        message_type=word(message.get("type")),
        text_length=text_length(message),
        **template_of(message),
        original_message_id=original_of(message),
        is_call_permission_reply=is_permission_reply(message),
        origin=origin,
        is_imported=origin == "history_sync",
        status=status,
        error_code=error_of(message),
        occurred_at=instant(message.get("timestamp")),
        is_new=True,
    )


def _calls(value: dict[str, Any], found: Reading) -> None:
    for call in listed(value.get("calls")):
        if text(at(call, "id")) is None:
            found.reject("a call without an id", call)
            continue
        direction = DIRECTIONS.get(word(call.get("direction")) or "")
        side = "to" if direction == "outbound" else "from"
        found.add(
            "calls",
            network_call_id=text(call["id"]),
            call_event=word(call.get("event")),
            channel_id=_channel(value),
            **who(call.get(side), call.get(f"{side}_user_id")),
            direction=direction,
            status=word(call.get("status")),
            occurred_at=instant(call.get("timestamp")),
            session_started_at=instant(call.get("start_time")),
            ended_at=instant(call.get("end_time")),
            duration_seconds=text(call.get("duration")),
        )
    for status in listed(value.get("statuses")):
        if text(at(status, "id")) is None:
            found.reject("a status without a call", status)
            continue
        found.add(
            "calls",
            network_call_id=text(status["id"]),
            call_event="status",
            channel_id=_channel(value),
            **who(status.get("recipient_id"), status.get("recipient_user_id")),
            direction="outbound",  # only the calls of the business have statuses
            status=word(status.get("status")),
            occurred_at=instant(status.get("timestamp")),
        )


def _template(kind: str, value: dict[str, Any], at_: datetime | None, found: Reading) -> None:
    identifier, name = text(value.get("message_template_id")), value.get("message_template_name")
    if identifier is None and text(name) is None:
        found.reject("a template without id and name", value)
        return
    category = value.get("new_category") if kind == "category" else None
    if kind == "category" and text(category) is None:
        return  # Meta says a day ahead which category it will become
    found.add(
        "template_events",
        template_id=identifier,
        name=text(name),
        language=text(value.get("message_template_language")),
        kind=kind,
        status=word(value.get("event")) if kind == "status" else None,
        category=word(category or value.get("message_template_category")),
        quality=word(value.get("new_quality_score")),
        reason=word(value.get("reason")),
        occurred_at=at_,
    )


READERS: Mapping[str, Callable[[dict[str, Any], Reading], None]] = {
    "messages": _messages,
    "smb_message_echoes": _echoes,
    "history": _history,
    "calls": _calls,
}


def _channel(value: dict[str, Any]) -> str | None:
    return text(at(value, "metadata", "phone_number_id"))


def _digits(phone: object) -> str:
    return "".join(c for c in text(phone) or "" if c.isdigit())


def status_event(entry: dict[str, Any], found: Reading, *, identifier: str | None) -> None:
    """Note a message's status as Meta writes it."""
    found.add(
        "message_statuses",
        message_id=identifier,
        wa_message_id=identifier,
        status=word(entry.get("status")),
        occurred_at=instant(entry.get("timestamp")),
        error_code=error_of(entry),
        pricing_category=word(at(entry, "pricing", "category")),
        pricing_type=word(at(entry, "pricing", "type")),
    )


def text_length(message: dict[str, Any]) -> int | None:
    """Characters of what was written, as the models count them in the list's rows."""
    kind = word(message.get("type")) or ""
    written = [
        at(message, "text", "body"),
        at(message, "kapso", "message_type_data", "caption"),
        at(message, kind, "caption"),
        at(message, "kapso", "content") if kind == "template" else None,
    ]
    return next((len(found) for found in written if isinstance(found, str) and found), None)


def template_of(message: dict[str, Any]) -> dict[str, str | None]:
    """The template's name and language: a code, or an object with one."""
    language = at(message, "template", "language")
    return {
        "template_name": text(at(message, "template", "name")),
        "template_language": text(at(language, "code") if isinstance(language, dict) else language),
    }


def original_of(message: dict[str, Any]) -> str | None:
    """The message that an edit or a revoke is about."""
    return (
        text(message.get("original_message_id"))
        or text(at(message, "revoke", "original_message_id"))
        or text(at(message, "edit", "original_message_id"))
    )


def is_permission_reply(message: dict[str, Any]) -> bool:
    """Whether it answers a request to be called, which is no question of the customer's."""
    interactive = part(message, "interactive")
    kinds = (word(interactive.get("type")), word(message.get("type")))
    return "call_permission_reply" in (*kinds, *interactive)


def error_of(entry: dict[str, Any]) -> str | None:
    """Meta's code of the first error."""
    return next((text(at(error, "code")) for error in listed(entry.get("errors"))), None)
