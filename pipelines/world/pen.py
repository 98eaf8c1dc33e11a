"""Writes one thread: what the customer, the staff, the bot and campaigns say, and when."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from pipelines.world.hours import DAY, HOUR, MINUTE, Hours, lasting
from pipelines.world.statuses import failure, fate, moment, only_sent
from pipelines.world.things import (
    WINDOW_CLOSED,
    Agent,
    Author,
    Channel,
    Contact,
    Device,
    Direction,
    Media,
    Message,
    StatusChange,
    Template,
    Thread,
    ThreadChange,
    ThreadStatus,
)

FILES = {
    "image": ("jpg", "image/jpeg"),
    "audio": ("ogg", "audio/ogg; codecs=opus"),
    "video": ("mp4", "video/mp4"),
    "document": ("pdf", "application/pdf"),
    "sticker": ("webp", "image/webp"),
}


@dataclass
class Notebook:
    """What the whole world has written so far."""

    rng: Random
    templates: dict[str, Template]
    starts_at: datetime
    ends_at: datetime
    messages: list[Message] = field(default_factory=list)
    threads: dict[tuple[str, str], Thread] = field(default_factory=dict)
    changes: dict[str, list[ThreadChange]] = field(default_factory=dict)

    def new_id(self, kind: str = "wamid") -> str:
        return f"{kind}.HBgN{b64encode(self.rng.randbytes(16)).decode()}"

    def thread(self, channel: Channel, contact: Contact, *, since: datetime) -> Thread:
        """The thread of the two, begun when needed."""
        key = channel.id, contact.id
        if key not in self.threads:
            name = f"thread-{len(self.threads) + 1}"
            self.threads[key] = Thread(name, channel.id, contact.id, since, ())
            self.changes[name] = []
        return self.threads[key]


@dataclass
class Pen:
    """Writes in the thread of one channel and one contact, from `at` on."""

    book: Notebook
    channel: Channel
    contact: Contact
    hours: Hours
    staff: tuple[Agent, ...]
    at: int
    campaign_id: str | None = None

    def __post_init__(self) -> None:
        self.rng = self.book.rng
        self.is_import = moment(self.at) < self.channel.connected_at
        since = max(moment(self.at), self.channel.connected_at)
        self.opened_at = 0  # the customer's last act that opens the 24-hour window
        self.thread = self.book.thread(self.channel, self.contact, since=since)

    @property
    def has_bot(self) -> bool:
        return self.channel.has_bot and not self.is_import

    def customer(
        self,
        at: int,
        kind: str = "text",
        text: str | None = None,
        *,
        refers_to: str | None = None,
        from_ad: bool = False,
    ) -> Message:
        if self._is_filed():
            self.mark(at, "open")
        if kind not in ("reaction", "edit", "revoke", "system", "request_welcome"):
            self.opened_at = at
        return self._write(at, "inbound", "customer", kind, text, refers_to=refers_to, ad=from_ad)

    def bot(self, at: int, kind: str, text: str | None, *, template: str | None = None) -> Message:
        return self._write(at, "outbound", "bot", kind, text, template=template)

    def campaign(self, at: int, *, template: str) -> Message:
        return self._write(at, "outbound", "campaign", "template", None, template=template)

    def human(
        self,
        at: int,
        kind: str,
        text: str | None,
        *,
        agent: Agent,
        template: str | None = None,
        refers_to: str | None = None,
        device: Device | None = None,
        window_closed: bool = False,
    ) -> Message:
        """A message typed by `agent`; with `window_closed` Meta refuses it."""
        return self._write(
            at,
            "outbound",
            "human",
            kind,
            text,
            template=template,
            refers_to=refers_to,
            agent=agent,
            device=device or self.device(),
            statuses=failure(self.rng, sent=at, code=WINDOW_CLOSED) if window_closed else None,
        )

    def mark(self, at: int, status: ThreadStatus, agent: Agent | None = None) -> None:
        """The shop files the thread under another status."""
        if moment(at) < self.channel.connected_at:
            return
        change = ThreadChange(moment(at), status, agent.id if agent else None)
        self.book.changes[self.thread.id].append(change)

    def window_is_shut(self, at: int) -> bool:
        return not self.is_import and at - self.opened_at >= DAY

    def _is_filed(self) -> bool:
        changes = self.book.changes[self.thread.id]
        return not changes or changes[-1].status in ("resolved", "closed")

    def on_shift(self, at: int) -> Agent:
        """Someone who works at `at`, else whoever has a phone at hand."""
        minute = self.hours.minute_of_day(at)
        present = [a for a in self.staff if a.shift[0] <= minute < a.shift[1]]
        return self.rng.choice(present or self.staff)

    def device(self) -> Device:
        if self.is_import:
            return "phone"
        return "phone" if self.channel.has_phone_app and self.rng.random() < 0.8 else "inbox"

    def _write(
        self,
        at: int,
        direction: Direction,
        author: Author,
        kind: str,
        text: str | None,
        *,
        template: str | None = None,
        refers_to: str | None = None,
        agent: Agent | None = None,
        device: Device | None = None,
        ad: bool = False,
        statuses: tuple[StatusChange, ...] | None = None,
    ) -> Message:
        if direction == "outbound" and statuses is None:
            statuses = self._fate(at, author=author, kind=kind)
        message = Message(
            id=self.book.new_id(),
            channel_id=self.channel.id,
            contact_id=self.contact.id,
            direction=direction,
            author=author,
            type=kind,
            text=text,
            occurred_at=moment(at),
            inserted_at=self._inserted(at, direction),
            agent_id=agent.id if agent else None,
            typed_on=device,
            statuses=statuses or (),
            template_id=template,
            campaign_id=self.campaign_id if author == "campaign" else None,
            refers_to=refers_to,
            media=self._media(kind),
            is_imported=self.is_import and moment(at) < self.channel.connected_at,
            from_ad=ad,
        )
        self.book.messages.append(message)
        return message

    def _fate(self, at: int, *, author: Author, kind: str) -> tuple[StatusChange, ...]:
        if kind in ("reaction", "edit", "revoke"):
            return only_sent(at)
        return fate(
            self.rng,
            sent=at,
            contact=self.contact,
            is_campaign=author == "campaign",
            is_media=kind in FILES,
        )

    def _inserted(self, at: int, direction: Direction) -> datetime:
        if moment(at) < self.channel.connected_at:
            # an import comes in pieces that keep no order
            return moment(self.channel.connected_at.timestamp() + self.rng.random() * 30 * MINUTE)
        lag = 0.2 + self.rng.random() * 2
        if direction == "inbound" and self.rng.random() < 0.0015:
            lag += min(lasting(self.rng, median=2 * HOUR, spread=1.5), 40 * HOUR)  # a late webhook
        return moment(min(at + lag, max(float(at), self.book.ends_at.timestamp())))

    def _media(self, kind: str) -> Media | None:
        if kind not in FILES:
            return None
        number = self.rng.randrange(10**14, 10**15)
        ending, mime = FILES[kind]
        return Media(
            id=str(number),
            filename=f"{kind}-{number % 10_000}.{ending}",
            mime_type=mime,
            bytes=self.rng.randrange(4_000, 900_000),
        )
