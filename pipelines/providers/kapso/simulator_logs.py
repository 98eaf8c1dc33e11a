"""Tells what Kapso logs: its calls to the shop's webhooks, and the shop's requests to its API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pipelines.providers.kapso import simulator_rows as rows
from pipelines.providers.kapso.simulator_lists import Listing, created, keyed_from
from pipelines.providers.kapso.simulator_messages import digits
from pipelines.providers.kapso.simulator_story import Shelf, Story, shelved
from pipelines.simulation import Asked, Clock, Refused, stamp, uuid_for
from pipelines.world import WINDOW_CLOSED, Channel, Message

PERIODS = {"24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}

TRIES = tuple(timedelta(seconds=wait) for wait in (0, 10, 40, 90))
ANSWERS_IN = timedelta(milliseconds=400)

SECRET = "CANARY-signing-secret"  # noqa: S105
TOKEN = "CANARY-hook-token"  # noqa: S105
RECEIVER = f"https://kapso:{TOKEN}@hooks.tienda.example/webhooks?token={TOKEN}"
"""Kapso gives away what it signs with, the headers it sends and the whole address."""


@dataclass(frozen=True)
class Delivery:
    """One event that a number's webhook is told, and the message it is about."""

    event: str
    message: Message
    at: datetime

    @property
    def id(self) -> str:
        return uuid_for("kapso", "delivery", self.event, self.message.id)


@dataclass(frozen=True)
class Hook:
    """One webhook: a number's, or the project's."""

    channel: Channel | None
    created_at: datetime

    @property
    def id(self) -> str:
        return webhook_id(self.channel.id if self.channel else "")


@dataclass(frozen=True)
class Logs:
    """The logs of one project at the clock's time."""

    story: Story
    clock: Clock

    def webhooks(self, _: Asked) -> Listing[Hook]:
        hooks = [Hook(channel, channel.connected_at) for channel in self.story.world.channels]
        hooks.append(Hook(None, self.story.world.starts_at))
        shelf = shelved(hooks, lambda hook: (hook.created_at, hook.id))
        return Listing(
            shelf=shelf,
            bounds=(0, shelf.until(self.clock.now)),
            column="",
            style="platform",
            row=_hook_row,
            filters={
                "kind": lambda v: lambda _: v == "kapso",
                **created(lambda hook: hook.created_at),
            },
        )

    def deliveries(self, asked: Asked, _: str | None) -> Listing[Delivery]:
        return Listing(
            shelf=self._deliveries,
            bounds=self._period(asked, self._deliveries),
            column="created_at",
            style="platform",
            row=self._delivery_row,
            filters={
                "event": lambda v: lambda d: d.event == v,
                "webhook_id": lambda v: lambda d: webhook_id(d.message.channel_id) == v,
                "status": lambda v: lambda d: self._outcome(d)["status"] == v,
                "errors_only": lambda v: (
                    lambda d: v != "true" or self._outcome(d)["status"] == "failed"
                ),
            },
        )

    def requests(self, asked: Asked, _: str | None) -> Listing[Message]:
        """Every message that a program or the inbox sent was a request."""
        return Listing(
            shelf=self._requests,
            bounds=self._period(asked, self._requests),
            column="created_at",
            style="platform",
            row=_request_row,
            filters={
                "endpoint": lambda v: lambda m: v in _endpoint(m),
                "status_code": lambda v: lambda m: str(_answer(m)) == v,
                "errors_only": lambda v: lambda m: v != "true" or _answer(m) >= 400,
            },
        )

    def _period(self, asked: Asked, shelf: Shelf[Any]) -> tuple[int, int]:
        period = PERIODS.get(asked.query.get("period", "24h"))
        if period is None:
            raise Refused(400, "period must be one of 24h, 7d, 30d")
        now = self.clock.now
        return keyed_from(shelf, now - period), shelf.until(now)

    @cached_property
    def _deliveries(self) -> Shelf[Delivery]:
        found = (d for message in self.story.world.messages for d in _told(message))
        return shelved(found, lambda d: (d.at, d.id))

    @cached_property
    def _requests(self) -> Shelf[Message]:
        sent = (
            m
            for m in self.story.world.messages
            if m.direction == "outbound" and m.typed_on != "phone" and not m.is_imported
        )
        return shelved(sent, lambda m: (m.occurred_at, uuid_for("kapso", "request", m.id)))

    def _delivery_row(self, delivery: Delivery) -> dict[str, Any]:
        message = delivery.message
        return {
            "id": delivery.id,
            "event": delivery.event,
            "created_at": stamp(delivery.at),
            **self._outcome(delivery),
            "webhook_id": webhook_id(message.channel_id),
            "webhook_url": RECEIVER,
            "whatsapp_config_id": rows.config_id(message.channel_id),
            "phone_number_id": rows.phone_number_id(message.channel_id),
            "conversation_phone_number": digits(self.story.contact(message).phone),
        }

    def _outcome(self, delivery: Delivery) -> dict[str, Any]:
        """How far it has come: four tries at most, and one that is heard is the last."""
        tried: list[datetime] = []
        heard = None
        for wait in TRIES:
            if delivery.at + wait > self.clock.now or heard:
                break
            tried.append(delivery.at + wait)
            is_out = any(outage.covers(tried[-1]) for outage in self.story.world.outages)
            heard = None if is_out else tried[-1] + ANSWERS_IN
        if heard and heard > self.clock.now:
            heard = None  # still in the air
        failed = tried[-1] + ANSWERS_IN if len(tried) == len(TRIES) and not heard else None
        if failed and failed > self.clock.now:
            failed = None
        return {
            "status": "delivered" if heard else "failed" if failed else "pending",
            "attempt_count": len(tried),
            "response_status": 200 if heard else 503 if failed else None,
            "delivered_at": stamp(heard),
            "failed_at": stamp(failed),
            "last_attempt_at": stamp(tried[-1] if tried else None),
        }


def webhook_id(channel_id: str) -> str:
    return uuid_for("kapso", "webhook", channel_id)


def _told(message: Message) -> Iterator[Delivery]:
    """The events that the shop listens to."""
    if message.is_imported:
        return
    if message.direction == "inbound":
        yield Delivery("whatsapp.message.received", message, message.inserted_at)
    elif message.statuses and message.statuses[-1].status == "failed":
        yield Delivery("whatsapp.message.failed", message, message.statuses[-1].at)


def _hook_row(hook: Hook) -> dict[str, Any]:
    events = ["whatsapp.message.received", "whatsapp.message.failed"]
    row: dict[str, Any] = {
        "id": hook.id,
        "url": RECEIVER,
        "kind": "kapso",
        "events": events if hook.channel else ["whatsapp.phone_number.created"],
        "active": True,
        "project_id": rows.PROJECT,
        "phone_number_id": rows.phone_number_id(hook.channel.id) if hook.channel else None,
        "secret_key": SECRET,
        "headers": {"Authorization": f"Bearer {TOKEN}"},
        "buffer_enabled": False,
        "buffer_window_seconds": None,
        "max_buffer_size": None,
        "buffer_events": [],
        "payload_version": "v2",
        "created_at": stamp(hook.created_at),
        "updated_at": stamp(hook.created_at),
    }
    return row | ({"inactivity_minutes": 60} if hook.channel else {})


def _endpoint(message: Message) -> str:
    return f"/meta/whatsapp/v24.0/{rows.phone_number_id(message.channel_id)}/messages"


def _answer(message: Message) -> int:
    codes = [change.error_code for change in message.statuses]
    return 400 if WINDOW_CLOSED in codes else 200


def _request_row(message: Message) -> dict[str, Any]:
    program = "inbox" if message.author == "human" else "bot"
    status = _answer(message)
    return {
        "id": uuid_for("kapso", "request", message.id),
        "endpoint": _endpoint(message),
        "http_method": "POST",
        "response_status": status,
        "response_time_ms": 80 + int(message.occurred_at.timestamp()) % 400,
        "created_at": stamp(message.occurred_at, digits=6),
        "ip_address": None if message.author == "human" else "203.0.113.7",
        "error_message": "Re-engagement message" if status == 400 else None,
        "api_key_id": uuid_for("kapso", "api key", program),
        "api_key_name": program,
    }
