"""What each of Kapso's lists holds at the clock's time, and which filters it knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.providers.kapso import simulator_rows as rows
from pipelines.providers.kapso.simulator_lists import (
    Filters,
    Keep,
    Listing,
    Style,
    created,
    since_and_until,
)
from pipelines.providers.kapso.simulator_messages import digits
from pipelines.providers.kapso.simulator_messages import message_row as rows_message
from pipelines.providers.kapso.simulator_sessions import Session
from pipelines.providers.kapso.simulator_story import Shelf, Story, shelved
from pipelines.simulation import Asked, Clock
from pipelines.world import Call, Channel, Contact, Message, Template

NOT_IN_LEGACY = frozenset(
    {"phone_number_id", "voice_agent", "whatsapp_contact", "whatsapp_conversation"}
)


@dataclass(frozen=True)
class Listings:
    """The lists of one project. A `channel` of None means all of them: the platform's lists."""

    story: Story
    clock: Clock
    proxy_origin: bool
    upper: bool

    def messages(self, asked: Asked, channel: str | None) -> Listing[Message]:
        shelves = self.story.messages
        shelf = shelves.of_channel[channel] if channel else shelves.all
        high = shelf.until(self.clock.now)
        # only the per-number list filters by time, and by the time of insertion
        bounds = since_and_until(asked, shelf, high, ("since", "until")) if channel else (0, high)
        return Listing(
            shelf=shelf,
            bounds=bounds,
            column="created_at",
            style="proxy" if channel else "messages",
            row=lambda message: self.message_row(message, proxy=channel is not None),
            filters=self._message_filters(proxy=channel is not None),
        )

    def message_row(self, message: Message, *, proxy: bool) -> dict[str, Any]:
        return rows_message(
            message,
            contact=self.story.contact(message),
            template=self.story.world.template_by_id.get(message.template_id or ""),
            session_id=self.story.session_of[message.id].id,
            phone_number_id=rows.phone_number_id(message.channel_id),
            now=self.clock.now,
            proxy=proxy,
            with_origin=self.proxy_origin or not proxy,
        )

    def _message_filters(self, *, proxy: bool) -> Filters:
        now, story = self.clock.now, self.story
        both: dict[str, Callable[[str], Keep]] = {
            "conversation_id": lambda v: lambda m: story.session_of[m.id].id == v,
            "direction": lambda v: lambda m: m.direction == v,
            "status": lambda v: lambda m: m.status_at(now) == v,
        }
        if proxy:
            return both
        return both | {
            "phone_number_id": lambda v: lambda m: rows.phone_number_id(m.channel_id) == v,
            "phone_number": lambda v: lambda m: _part(v, story.contact(m).phone),
            "business_scoped_user_id": lambda v: lambda m: story.contact(m).bsuid == v,
            "message_type": lambda v: lambda m: m.type == v,
            "has_media": lambda v: lambda m: (m.media is not None) == (v == "true"),
        }

    def conversations(self, asked: Asked, channel: str | None) -> Listing[Session]:
        shelves = self.story.sessions(self.clock.now)
        shelf = shelves.of_channel[channel] if channel else shelves.all
        names = ("last_active_since", "last_active_until")
        if not channel:
            names = ("last_active_after", "last_active_before")
        return Listing(
            shelf=shelf,
            bounds=since_and_until(asked, shelf, len(shelf.keys), names),
            column="last_active_at",
            style="proxy" if channel else "platform",
            row=lambda session: self.session_row(session, proxy=channel is not None),
            filters=self._session_filters(),
        )

    def session_row(self, session: Session, *, proxy: bool) -> dict[str, Any]:
        contact = self.story.contact(session)
        return rows.conversation_row(session, contact=contact, now=self.clock.now, proxy=proxy)

    def _session_filters(self) -> Filters:
        now, story = self.clock.now, self.story

        def assigned(session: Session) -> str | None:
            change = session.thread.change_at(now)
            return rows.user_id(change.agent_id) if change and change.agent_id else None

        return {
            "phone_number_id": lambda v: lambda s: rows.phone_number_id(s.thread.channel_id) == v,
            "phone_number": lambda v: lambda s: _part(v, story.contact(s).phone),
            "status": lambda v: lambda s: ("ended" if s.ended_at(now) else "active") == v,
            "assigned_user_id": lambda v: lambda s: assigned(s) == v,
            "unassigned": lambda v: lambda s: (assigned(s) is None) == (v == "true"),
            **created(lambda session: session.inserted[0]),
        }

    def contacts(self, _: Asked, channel: str | None) -> Listing[Contact]:
        shelves = self.story.contacts
        shelf = shelves.of_channel[channel] if channel else shelves.all
        return Listing(
            shelf=shelf,
            bounds=(0, shelf.until(self.clock.now)),
            column="created_at",
            style="proxy" if channel else "platform",
            row=rows.contact_row,
            filters={
                "wa_id": lambda v: lambda c: digits(c.phone) == v.lstrip("+"),
                "wa_id_contains": lambda v: lambda c: _part(v, c.phone),
                "profile_name_contains": lambda v: lambda c: v.lower() in (c.name or "").lower(),
                "business_scoped_user_id": lambda v: lambda c: c.bsuid == v,
                "has_customer": lambda v: lambda _: v != "true",
                **created(lambda contact: contact.created_at),
            },
        )

    def calls(self, asked: Asked, channel: str | None) -> Listing[Call]:
        shelves = self.story.calls
        shelf = shelves.of_channel[channel] if channel else shelves.all
        high, now = shelf.until(self.clock.now), self.clock.now
        return Listing(
            shelf=shelf,
            bounds=since_and_until(asked, shelf, high, ("since", "until")),
            column="created_at",
            style="proxy",
            row=self._call_row,
            filters={
                "direction": lambda v: lambda c: c.direction == v.lower(),
                "status": lambda v: lambda c: rows.call_status(c, now) == v.lower(),
                "call_id": lambda v: lambda c: c.id == v,
            },
        )

    def _call_row(self, call: Call) -> dict[str, Any]:
        return rows.call_row(
            call,
            channel=self.story.channels[call.channel_id],
            contact=self.story.contact(call),
            session=self.story.session_of_call(call),
            now=self.clock.now,
            upper=self.upper,
        )

    def legacy_calls(self, asked: Asked) -> Listing[Call]:
        """The older list: its times count with `period=custom`; its rows nest nothing."""
        shelf = self.story.calls.all
        bounds = (0, shelf.until(self.clock.now))
        if asked.query.get("period") == "custom":
            bounds = since_and_until(asked, shelf, bounds[1], ("start_date", "end_date"))
        return Listing(
            shelf=shelf,
            bounds=bounds,
            column="",
            style="platform",
            row=lambda c: {k: v for k, v in self._call_row(c).items() if k not in NOT_IN_LEGACY},
            filters=self.calls(asked, None).filters,
        )

    def phone_numbers(self) -> Listing[Channel]:
        known = [c for c in self.story.world.channels if c.connected_at <= self.clock.now]
        return Listing(
            shelf=shelved(known, lambda c: (c.connected_at, c.id)),
            bounds=(0, len(known)),
            column="",
            style="platform",
            row=rows.number_row,
            filters={
                "phone_number_id": lambda v: lambda c: rows.phone_number_id(c.id) == v,
                "business_account_id": lambda v: lambda _: v == rows.WABA,
                "name_contains": lambda v: lambda c: v.lower() in c.name.lower(),
                **created(lambda channel: channel.connected_at),
            },
        )

    def templates(self) -> Listing[Template]:
        """Meta's list, passed through."""
        return self._templates("graph", rows.template_row, GRAPH_FILTERS)

    def legacy_templates(self) -> Listing[Template]:
        world = self.story.world
        return self._templates(
            "platform", lambda t: rows.legacy_template_row(t, world=world), LEGACY_FILTERS
        )

    def _templates(
        self, style: Style, row: Callable[[Template], dict[str, Any]], filters: Filters
    ) -> Listing[Template]:
        templates = self.story.world.templates
        shelf: Shelf[Template] = shelved(templates, lambda t: (t.created_at, t.id))
        return Listing(
            shelf=shelf,
            bounds=(0, shelf.until(self.clock.now)),
            column="created_at",
            style=style,
            row=row,
            filters=filters,
        )


GRAPH_FILTERS: Filters = {
    "name": lambda v: lambda t: v in t.name,
    "status": lambda v: lambda t: t.status == v,
    "category": lambda v: lambda t: t.category == v,
    "language": lambda v: lambda t: t.language == v,
}
LEGACY_FILTERS: Filters = {
    "q[name_cont]": lambda v: lambda t: v in t.name,
    "q[language_code_eq]": lambda v: lambda t: t.language == v,
    "q[category_eq]": lambda v: lambda t: t.category == v,
    "q[status_eq]": lambda v: lambda t: t.status.lower() == v,
}


def _part(value: str, phone: str | None) -> bool:
    return value.strip().lstrip("+") in (phone or "")
