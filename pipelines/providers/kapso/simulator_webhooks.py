"""The webhooks that Kapso would have sent of a world: what the API tells, and when it happened.

Channels take turns: the first one's received messages come in batches, the next one's alone. Calls
come as Meta's own bodies: no other webhook tells of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pipelines.providers.kapso.simulator_messages import digits, message_row, unix
from pipelines.providers.kapso.simulator_rows import (
    WABA,
    conversation_row,
    phone_number_id,
)
from pipelines.providers.kapso.simulator_sessions import Session
from pipelines.providers.kapso.simulator_story import Story
from pipelines.simulation import Posted, encode, uuid_for
from pipelines.world import Call, Message, World

RECEIVED = "whatsapp.message.received"
BATCH_SECONDS = 5
MOST_OF_BATCH = 50


def webhooks(world: World, *, since: datetime, until: datetime) -> list[Posted]:
    """Every webhook sent in [since, until), in order."""
    poster = _Poster(Story(world), lambda at: since <= at < until)
    found = [*poster.messages(), *poster.sessions(), *poster.calls()]
    return sorted(found, key=lambda each: (each.at, each.body))


class _Poster:
    """What was sent at the times asked for: of all others no body is written."""

    def __init__(self, story: Story, is_asked_for: Callable[[datetime], bool]) -> None:
        self._story, self._is_asked_for = story, is_asked_for
        self._buffered = {channel.id for channel in story.world.channels[::2]}
        self._sequences: dict[str, int] = {}

    def messages(self) -> Iterator[Posted]:
        """What was received, sent, and became of it."""
        waiting: dict[str, list[tuple[datetime, dict[str, Any]]]] = {}
        for message in self._story.world.messages:
            if message.is_imported:
                continue
            if message.direction == "outbound":
                yield from self._outcomes(message)
            elif self._is_asked_for(message.inserted_at):
                body = self._body(message, message.inserted_at, status="received")
                if message.channel_id not in self._buffered:
                    yield _posted(message.inserted_at, RECEIVED, body)
                    continue
                session = self._story.session_of[message.id].id
                batch = waiting.setdefault(session, [])
                if batch and _is_over(batch, message.inserted_at):
                    yield from self._batch(session, batch)
                    batch.clear()
                batch.append((message.inserted_at, body))
        for session, batch in waiting.items():
            yield from self._batch(session, batch)

    def sessions(self) -> Iterator[Posted]:
        """Conversations that began, and that ended."""
        for session in self._story.session_by_id.values():
            if session.messages[0].is_imported:
                continue
            began, ended = session.inserted[0], session.ended_at(self._story.world.ends_at)
            for at, kind in ((began, "created"), (ended, "ended")):
                if at and self._is_asked_for(at):
                    yield self._about(session, at, kind)

    def calls(self) -> Iterator[Posted]:
        """A call's beginning and its end, as Meta tells them."""
        for call in self._story.world.calls:
            for at, event in ((call.started_at, "connect"), (call.ended_at, "terminate")):
                if self._is_asked_for(at):
                    yield self._call(call, at, event)

    def _outcomes(self, message: Message) -> Iterator[Posted]:
        for change in message.statuses:
            if not self._is_asked_for(change.at):
                continue
            body = self._body(message, change.at, status=change.status)
            if change.status != "sent":
                body["message"]["timestamp"] = unix(change.at)  # of the status, not of the message
                body["conversation"].pop("kapso")
            yield _posted(change.at, f"whatsapp.message.{change.status}", body)

    def _body(self, message: Message, at: datetime, *, status: str) -> dict[str, Any]:
        world, session = self._story.world, self._story.session_of[message.id]
        contact = self._story.contact(message)
        number = phone_number_id(message.channel_id)
        row = message_row(
            message,
            contact=contact,
            template=world.template_by_id.get(message.template_id or ""),
            session_id=session.id,
            phone_number_id=number,
            now=at,
            proxy=True,
            with_origin=True,
        )
        row["kapso"]["status"] = status
        now = max(at, session.inserted[0])
        return {
            "message": row,
            "conversation": conversation_row(session, contact=contact, now=now, proxy=True),
            "is_new_conversation": message.id == session.messages[0].id,
            "phone_number_id": number,
        }

    def _batch(
        self, session: str, batch: list[tuple[datetime, dict[str, Any]]]
    ) -> Iterator[Posted]:
        first = self._sequences.get(session, 0) + 1
        self._sequences[session] = last = first + len(batch) - 1
        body = {
            "type": RECEIVED,
            "batch": True,
            "data": [item for _, item in batch],
            "batch_info": {
                "size": len(batch),
                "window_ms": BATCH_SECONDS * 1000,
                "first_sequence": first,
                "last_sequence": last,
                "conversation_id": session,
            },
        }
        sent_at = batch[0][0] + timedelta(seconds=BATCH_SECONDS)
        extra = {"x-webhook-batch": "true", "x-batch-size": str(len(batch))}
        if self._is_asked_for(sent_at):
            yield _posted(sent_at, RECEIVED, body, **extra)

    def _about(self, session: Session, at: datetime, kind: str) -> Posted:
        contact = self._story.contact(session)
        row = conversation_row(session, contact=contact, now=at, proxy=True)
        if kind == "created":
            row["status"] = "active"
            row["kapso"] = dict.fromkeys(row["kapso"]) | {"messages_count": 0}
        number = phone_number_id(session.thread.channel_id)
        event = f"whatsapp.conversation.{kind}"
        return _posted(at, event, {"conversation": row, "phone_number_id": number})

    def _call(self, call: Call, at: datetime, event: str) -> Posted:
        contact = self._story.contact(call)
        is_inbound = call.direction == "inbound"
        told: dict[str, Any] = {
            "id": call.id,
            "event": event,
            "timestamp": unix(at),
            "direction": "USER_INITIATED" if is_inbound else "BUSINESS_INITIATED",
            "from" if is_inbound else "to": digits(contact.phone) or "",
        }
        if contact.bsuid:
            told["from_user_id" if is_inbound else "to_user_id"] = contact.bsuid
        if event == "terminate":
            told["status"] = "FAILED" if call.result == "failed" else "COMPLETED"
            if call.answered_at:
                told["start_time"] = unix(call.answered_at)
                told["end_time"] = unix(call.ended_at)
                told["duration"] = int((call.ended_at - call.answered_at).total_seconds())
        metadata = {"phone_number_id": phone_number_id(call.channel_id)}
        value = {"messaging_product": "whatsapp", "metadata": metadata, "calls": [told]}
        changes = [{"field": "calls", "value": value}]
        body = {"object": "whatsapp_business_account", "entry": [{"id": WABA, "changes": changes}]}
        return _posted(at, "", body)


def _is_over(batch: list[tuple[datetime, dict[str, Any]]], at: datetime) -> bool:
    return len(batch) == MOST_OF_BATCH or at >= batch[0][0] + timedelta(seconds=BATCH_SECONDS)


def _posted(at: datetime, event: str, body: dict[str, Any], **extra: str) -> Posted:
    written = encode(body)
    headers = {
        "x-webhook-payload-version": "v2",
        "x-idempotency-key": uuid_for("kapso", "delivery", at, written),
        **({"x-webhook-event": event} if event else {}),
        **extra,
    }
    return Posted(at, event, headers, written)
