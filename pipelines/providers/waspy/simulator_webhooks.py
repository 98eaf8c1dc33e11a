"""The webhooks that Waspy would have sent of a world: the one event that is documented."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipelines.providers.waspy.simulator_rows import message_row
from pipelines.providers.waspy.simulator_story import contact_id, conversation_id
from pipelines.simulation import Posted, encode, stamp, uuid_for
from pipelines.world import Message, World

RECEIVED = "message.received"


def webhooks(world: World, *, since: datetime, until: datetime) -> list[Posted]:
    """Every webhook sent in [since, until), in order."""
    threads = {(t.channel_id, t.contact_id): conversation_id(t) for t in world.threads}
    received = (
        message
        for message in world.messages
        if message.direction == "inbound"
        and not message.is_imported
        and since <= message.inserted_at < until
    )
    found = [
        _posted(message, world, threads[message.channel_id, message.contact_id])
        for message in received
    ]
    return sorted(found, key=lambda each: (each.at, each.body))


def _posted(message: Message, world: World, thread_id: str) -> Posted:
    contact = world.contact_by_id[message.contact_id]
    data: dict[str, Any] = message_row(
        message,
        thread_id=thread_id,
        contact=contact,
        template=None,
        now=message.inserted_at,
        content_key="body",
        with_authors=True,
        with_channel=True,
    )
    data["contact"] = {
        "id": contact_id(contact.id),
        "name": contact.name,
        "phoneNumber": contact.phone,
    }
    body = {
        "event": RECEIVED,
        "webhookId": uuid_for("waspy", "webhook"),
        "deliveredAt": stamp(message.inserted_at, digits=3),
        "attempt": 1,
        "data": data,
    }
    return Posted(message.inserted_at, RECEIVED, {}, encode(body))
