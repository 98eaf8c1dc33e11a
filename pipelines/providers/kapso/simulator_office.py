"""Tells a world's staff, notes, handovers and permissions as Kapso does."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pipelines.providers.kapso import simulator_rows as rows
from pipelines.providers.kapso.simulator_lists import Listing, created
from pipelines.providers.kapso.simulator_sessions import Session
from pipelines.providers.kapso.simulator_story import Item, Story, shelved
from pipelines.simulation import Asked, Clock, stamp, uuid_for
from pipelines.world import (
    Agent,
    Assignment,
    CallPermission,
    Contact,
    Customer,
    Note,
    assignments_of,
    call_permissions_of,
)


@dataclass(frozen=True)
class Office:
    """The lists of one project that hold no message, at the clock's time."""

    story: Story
    clock: Clock

    def users(self, _: Asked) -> Listing[Agent]:
        start = self.story.world.starts_at
        return self._listing(self.story.world.agents, lambda agent: (start, agent.id), _user_row)

    def customers(self, _: Asked) -> Listing[Customer]:
        return self._listing(
            self.story.world.customers,
            lambda customer: (customer.created_at, customer.id),
            _customer_row,
            name_contains=lambda v: lambda c: v.lower() in c.name.lower(),
            external_customer_id=lambda v: lambda c: c.reference == v,
            **created(lambda customer: customer.created_at),
        )

    def assignments(self, session: Session) -> Listing[Assignment]:
        """The handovers of one session."""
        return self._listing(
            self._assignments[session.id],
            lambda assignment: (assignment.assigned_at, assignment.agent_id),
            self._assignment_row,
        )

    def notes(self, contact: Contact) -> Listing[Note]:
        return self._listing(
            [n for n in self.story.world.notes if n.contact_id == contact.id],
            lambda note: (note.written_at, note.id),
            self._note_row,
        )

    def call_permissions(self, contact: Contact) -> list[dict[str, Any]]:
        """One row per number that asked: what the last answer said."""
        last: dict[str, CallPermission] = {}
        for answer in self._answers[contact.id]:
            if answer.answered_at <= self.clock.now:
                last[answer.channel_id] = answer
        return [self._permission_row(answer) for answer in last.values()]

    def _listing(
        self,
        items: Iterable[Item],
        key: Callable[[Item], tuple[datetime, str]],
        row: Callable[[Item], dict[str, Any]],
        **filters: Any,
    ) -> Listing[Item]:
        shelf = shelved(items, key)
        return Listing(
            shelf=shelf,
            bounds=(0, shelf.until(self.clock.now)),
            column="",
            style="platform",
            row=row,
            filters=filters,
        )

    @cached_property
    def _assignments(self) -> Mapping[str, Sequence[Assignment]]:
        """Session → its handovers: each belongs to the session that was last when it came."""
        found: dict[str, list[Assignment]] = defaultdict(list)
        for thread in self.story.world.threads:
            sessions = sorted(self.story.sessions_of(thread), key=_began)
            if not sessions:
                continue  # only calls
            begun = [_began(session) for session in sessions]
            for assignment in assignments_of(thread):
                place = max(0, bisect_right(begun, assignment.assigned_at) - 1)
                found[sessions[place].id].append(assignment)
        return found

    @cached_property
    def _answers(self) -> Mapping[str, Sequence[CallPermission]]:
        found: dict[str, list[CallPermission]] = defaultdict(list)
        for answer in call_permissions_of(self.story.world):
            found[answer.contact_id].append(answer)
        return found

    def _assignment_row(self, assignment: Assignment) -> dict[str, Any]:
        at, ended = stamp(assignment.assigned_at), assignment.ended_at
        return {
            "id": uuid_for("kapso", "assignment", assignment.thread_id, at),
            "user_id": rows.user_id(assignment.agent_id),
            "created_by_user_id": None,
            "notes": None,
            "active": ended is None or ended > self.clock.now,
            "created_at": at,
        }

    def _note_row(self, note: Note) -> dict[str, Any]:
        edited = note.edited_at if note.edited_at and note.edited_at <= self.clock.now else None
        return {
            "id": uuid_for("kapso", "note", note.id),
            "name": note.title,
            "content": note.text_at(self.clock.now),
            "metadata": {},
            "created_at": stamp(note.written_at, digits=6),
            "updated_at": stamp(edited or note.written_at, digits=6),
        }

    def _permission_row(self, answer: CallPermission) -> dict[str, Any]:
        channel = self.story.channels[answer.channel_id]
        at = stamp(answer.answered_at, digits=6)
        return {
            "id": uuid_for("kapso", "permission", answer.channel_id, answer.contact_id),
            "whatsapp_contact_id": rows.contact_id(answer.contact_id),
            "whatsapp_config_id": rows.config_id(channel.id),
            "config_display_name": channel.name,
            "status": "accepted" if answer.is_accepted else "rejected",
            "source": "user_action",
            "expires_at": stamp(answer.expires_at, digits=6),
            "last_event_message_id": answer.message_id,
            "last_event_at": at,
            "allowed": answer.is_accepted and answer.expires_at > self.clock.now,
            "created_at": at,
            "updated_at": at,
        }


def _began(session: Session) -> datetime:
    return min(message.occurred_at for message in session.messages)


def _user_row(agent: Agent) -> dict[str, Any]:
    return {
        "id": uuid_for("kapso", "membership", agent.id),
        "user_id": rows.user_id(agent.id),
        "email": agent.email,
        "name": agent.name,
        "role": agent.role,
    }


def _customer_row(customer: Customer) -> dict[str, Any]:
    return {
        "id": uuid_for("kapso", "customer", customer.id),
        "name": customer.name,
        "external_customer_id": customer.reference,
        "created_at": stamp(customer.created_at, digits=6),
        "updated_at": stamp(customer.created_at, digits=6),
    }
