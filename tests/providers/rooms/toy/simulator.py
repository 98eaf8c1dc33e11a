"""Tells a made-up world through the toy's API."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from starlette.applications import Starlette

from pipelines.simulation import (
    Answer,
    Asked,
    Clock,
    Faults,
    Handler,
    Manners,
    encode,
    make_app,
    stamp,
    whole,
)
from pipelines.world import Message, Thread, World

Rows = Iterable[dict[str, Any]]


def simulate(
    world: World,
    *,
    api_key: str,
    clock: Clock | None = None,
    faults: Faults | None = None,
    closed: Collection[str] = (),
    closed_status: int = 403,
) -> Starlette:
    """The toy's API over `world` as at `clock.now`."""
    api = _Api(world, clock or Clock(world.ends_at))
    lists = {
        "conversations": api.conversations,
        "messages": api.messages,
        "contacts": api.contacts,
        "templates": api.templates,
    }
    return make_app(
        {f"/v1/{name}": (name, _listed(rows)) for name, rows in lists.items()},
        manners=Manners(
            accepts=lambda headers: headers.get("X-Toy-Key") == api_key,
            error=lambda _, message: {"error": message},
            cursor_param="cursor",
        ),
        faults=faults,
        closed=closed,
        closed_status=closed_status,
    )


def _listed(rows: Any) -> Handler:
    """A list, newest change first, from the place that the cursor names."""

    def answer(asked: Asked) -> Answer:
        limit = whole(asked.query, "limit", default=20, most=100)
        before = tuple((asked.cursor or "~").split("|"))
        ordered = sorted(((row["changed_at"], row["id"], row) for row in rows()), reverse=True)
        found = [entry for entry in ordered if entry[:2] < before][: limit + 1]
        more = len(found) > limit
        cursor = "|".join(found[limit - 1][:2]) if more else None
        body = {"data": [entry[2] for entry in found[:limit]], "next": cursor}
        return Answer(encode(body), cursor=cursor)

    return answer


class _Api:
    def __init__(self, world: World, clock: Clock) -> None:
        self._world, self._clock = world, clock

    def conversations(self) -> Rows:
        now = self._clock.now
        for thread in self._world.threads:
            if thread.created_at <= now:
                yield _conversation(thread, now)

    def messages(self) -> Rows:
        now = self._clock.now
        for message in self._world.messages:
            if message.inserted_at <= now:
                yield _message(message, now)

    def contacts(self) -> Rows:
        for contact in self._world.contacts:
            if contact.created_at <= self._clock.now:
                yield {
                    "id": contact.id,
                    "name": contact.name,
                    "phone": contact.phone,
                    "tags": list(contact.tags),
                    "changed_at": stamp(contact.created_at, digits=6),
                }

    def templates(self) -> Rows:
        for template in self._world.templates:
            yield {
                "id": template.id,
                "name": template.name,
                "language": template.language,
                "changed_at": stamp(template.created_at, digits=6),
            }


def _conversation(thread: Thread, now: datetime) -> dict[str, Any]:
    change = thread.change_at(now)
    return {
        "id": thread.id,
        "contact_id": thread.contact_id,
        "channel_id": thread.channel_id,
        "status": change.status if change else "open",
        "created_at": stamp(thread.created_at, digits=6),
        "changed_at": stamp(
            max(thread.created_at, change.at) if change else thread.created_at, digits=6
        ),
    }


def _message(message: Message, now: datetime) -> dict[str, Any]:
    changes = message.statuses_at(now)
    changed_at = max([message.inserted_at, *(change.at for change in changes)])
    row: dict[str, Any] = {
        "id": message.id,
        "conversation_id": f"{message.channel_id}/{message.contact_id}",
        "direction": message.direction,
        "author": message.author,
        "text": message.text,
        "status": message.status_at(now),
        "occurred_at": stamp(message.occurred_at, digits=6),
        "changed_at": stamp(changed_at, digits=6),
    }
    if message.media:
        row["file"] = {"link": f"https://toy.example/media/{message.media.id}"}
    return row
