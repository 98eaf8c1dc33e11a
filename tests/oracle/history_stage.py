"""Plays a thread step by step into the raw rows that a sync would have landed.

Everything a step leaves open (ids, which spelling of a phone a row carries) follows from a digest
of its place, so a thread replays alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from history_kinds import CALLS, KINDS, Kind
from history_people import Person
from history_rows import AS_OF, Rows, digest, iso, row, unix

DAY = 86400


@dataclass(frozen=True)
class Step:
    """Wait `gap` seconds, then let `kind` happen: a message, a call, a close."""

    gap: int
    kind: str


@dataclass(frozen=True)
class Thread:
    """One person on one channel, and what happens there."""

    provider: str
    account: str
    channel: str | None
    person: Person
    start: int
    steps: Sequence[Step]


@dataclass
class Stage:
    """Plays one thread: the clock, the open conversation, and what was said so far."""

    thread: Thread
    rows: Rows
    counters: dict[str, int]
    now: datetime = field(init=False)
    conversation: dict[str, Any] = field(init=False)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin the first conversation."""
        self.now = AS_OF + timedelta(seconds=self.thread.start)
        self._add_contacts()
        self._converse()

    def take(self, step: Step) -> None:
        """Let the time pass and the step happen."""
        self.now += timedelta(seconds=step.gap)
        kind = KINDS[step.kind]
        if step.kind == "close":
            self._close()
        elif step.kind == "reopen":
            self._become("open")
        elif step.kind == "reassign":
            self._become(self.conversation["status"], "agent-2")
            self._assign()
        elif step.kind == "unassign":
            self._become(self.conversation["status"])
        elif step.kind == "new_conversation":
            self.leave()
            self._converse()
        elif step.kind == "blank":
            self._blank()
        elif step.kind in CALLS:
            self._call(CALLS[step.kind])
        elif self.thread.provider == "kapso":
            self._kapso(kind)
        else:
            self._waspy(kind)

    def leave(self) -> None:
        """Let Waspy say when it thinks the window closes: rightly, a little off, or not at all."""
        drift = (0, 1, -3, -2 * DAY, None)[self._chance("drift") % 5]
        if self.thread.provider == "waspy" and drift is not None:
            closes = self.now + timedelta(seconds=DAY + drift)
            self.conversation["service_window_expires_at"] = iso(closes)

    def _chance(self, *parts: object) -> int:
        place = (self.thread.person.number, self.thread.channel, len(self.said))
        return digest(self.thread.account, *place, *parts)

    def _id(self, what: str) -> str:
        """An id that says nothing of the order, and that other accounts have too."""
        name = f"{self.thread.provider}/{self.thread.account}/{what}"
        self.counters[name] = self.counters.get(name, 0) + 1
        return f"{what}-{digest(what, self.counters[name]):012x}"

    def _add(self, table: str, **values: Any) -> dict[str, Any]:
        name = f"raw_{self.thread.provider}.{table}"
        self.rows[name].append(row(name, account=self.thread.account, **values))
        return self.rows[name][-1]

    def _add_contacts(self) -> None:
        who = self.thread.person
        table = self.rows[f"raw_{self.thread.provider}.contacts"]
        if (self.thread.account, who.contact_id) in {(row["account"], row["id"]) for row in table}:
            return
        made = AS_OF - timedelta(days=30)
        for number, (phone, bsuid) in enumerate(who.listed):
            self._add(
                "contacts",
                id=number * "a-twin-of-" + who.contact_id,
                wa_id=phone,
                phone_number=phone,
                business_scoped_user_id=bsuid,
                created_at=None if who.number % 5 == 4 else iso(made + timedelta(days=number)),
            )

    def _converse(self) -> None:
        who = self.thread.person
        named = self._chance("conversation") % 3
        self.conversation = self._add(
            "conversations",
            id=self._id("conversation"),
            status="active",
            phone_number_id=self.thread.channel,
            phone_number=who.phone(named),
            business_scoped_user_id=who.bsuid,
            contact_id=who.contact_id if named else None,
            contact=("[]", None, json.dumps({"id": None}))[self._chance("contact") % 3]
            if named
            else json.dumps({"id": who.contact_id, "phoneNumber": who.phone(named)}),
            created_at=iso(self.now),
        )
        if named:
            self._become(("open", "PENDING", None)[self._chance("state") % 3])

    def _close(self) -> None:
        """Kapso's end of a session tells no time, so it closes nothing."""
        if self.thread.provider == "kapso":
            self.conversation["status"] = "ended"
        else:
            self._become(("resolved", "closed", "RESOLVED")[self._chance("close") % 3])

    def _become(self, status: str | None, assignee: str | None = None) -> None:
        """Let a sync see a Waspy conversation in a state; some were never noted."""
        if self.thread.provider == "kapso":
            return
        self.conversation |= {"status": status, "assigned_to": assignee, "fetched_at": self.now}
        if digest(self.conversation["id"]) % 7:
            since = self.now.isoformat(timespec="microseconds")
            state = {
                "id": f"{self.conversation['id']}|{since}",
                "conversation_id": self.conversation["id"],
                "status": status,
                "assigned_to": assignee,
                "observed_from": since,
            }
            self._replace("conversation_states", state)

    def _replace(self, table: str, values: dict[str, Any]) -> None:
        """Two states of one instant are one row, as a sync lands them."""
        rows = self.rows[f"raw_{self.thread.provider}.{table}"]
        key = (self.thread.account, values["id"])
        rows[:] = [row for row in rows if (row["account"], row["id"]) != key]
        self._add(table, **values)

    def _kapso(self, kind: Kind) -> None:
        chance, identifier = self._chance("identity"), self._id("wamid")
        in_session = kind.is_nameless or chance % 7 > 0
        session = f"{self.conversation['id']}{'-unlisted' * kind.is_orphan}"
        self._add(
            "messages",
            id=identifier,
            timestamp=self._time(kind, unix),
            type=kind.type,
            kapso_direction=kind.direction,
            kapso_status=kind.status,
            kapso_statuses=self._statuses(kind),
            kapso_origin=kind.kapso_origin,
            kapso_phone_number_id=self._channel(chance % 5 == 0 and in_session, kind),
            kapso_whatsapp_conversation_id=session if in_session else None,
            original_message_id=self._earlier(kind),
            interactive=kind.interactive,
            errors=kind.errors,
            template=self._template(kind),
            **(self._kapso_identity(kind, chance) if not kind.is_nameless else {}),
        )
        self.said.append(identifier)
        self._mail(kind)

    def _template(self, kind: Kind) -> str | None:
        """Kapso's way to name a template: with a language, or without."""
        if kind.template is None:
            return None
        language = ({"language": {"code": "es"}}, {"language": "es"}, {})[
            self._chance("language") % 3
        ]
        return json.dumps({"name": kind.template, **language})

    def _mail(self, kind: Kind) -> None:
        """The recipients that a broadcast of the promotion had, in other spellings."""
        who = self.thread.person
        for number, off in enumerate(kind.mailed):
            sent_at = self.now + timedelta(seconds=kind.lag + off)
            chance = self._chance("mail", number)
            self._add(
                "broadcast_recipients",
                id=self._id("recipient"),
                broadcast_id=f"broadcast-{number % 2}",
                phone_number=(chance % 4 == 0 and who.bsuid) or who.phone(chance),
                sent_at=iso(sent_at),
            )

    def _assign(self) -> None:
        """Hand a Kapso conversation over; who had it before has it no longer."""
        if self.thread.provider != "kapso":
            return
        rows = self.rows["raw_kapso.assignments"]
        for row_ in rows:
            if row_["conversation_id"] == self.conversation["id"]:
                row_["active"] = "false"
        self._add(
            "assignments",
            id=self._id("assignment"),
            conversation_id=self.conversation["id"],
            user_id=("user-1", "user-2", "")[self._chance("user") % 3],
            active=("true", "false", None)[self._chance("active") % 3],
            created_at=iso(self.now),
        )

    def _time(self, kind: Kind, write: Callable[[datetime], str]) -> str:
        """The row's own time, which is not always the time at which it happens."""
        return write(self.now + timedelta(seconds=kind.lag)) if kind.time is None else kind.time

    def _channel(self, is_silent: bool, kind: Kind) -> str | None:
        """The channel, unless the row leaves that to its conversation."""
        return None if is_silent and not kind.is_orphan else self.thread.channel

    def _kapso_identity(self, kind: Kind, chance: int) -> dict[str, Any]:
        """The customer's names on the row: once or twice, one of them or both, or in odd places."""
        who = self.thread.person
        phone = None if who.bsuid and chance % 13 == 0 else who.phone(chance)
        bsuid = who.bsuid if not phone or chance % 4 > 0 else None
        sides = {"inbound": ("from", "to"), "outbound": ("to", "from")}
        side = sides.get((kind.direction or "").lower())
        if side is None:
            return {"business_scoped_user_id": bsuid, "kapso_phone_number": phone}
        place = ("business_scoped_user_id", f"{side[0]}_user_id", side[0])[chance // 4 % 3]
        if place == side[0] and phone:
            place = "business_scoped_user_id"
        twice = {"kapso_phone_number": phone} if chance % 3 else {}
        return {side[0]: phone, side[1]: "15550009999", place: bsuid} | twice

    def _statuses(self, kind: Kind) -> str | None:
        """Kapso's own list of what became of the message, sometimes with a clock that is off."""
        if not kind.statuses:
            return kind.odd_statuses
        times = [unix(self.now + timedelta(seconds=lag)) for _, lag in kind.statuses]
        names = [status for status, _ in kind.statuses]
        return json.dumps(
            [{"status": name, "timestamp": at} for name, at in zip(names, times, strict=True)]
        )

    def _earlier(self, kind: Kind) -> str | None:
        """What an edit or a revoke is about: something said before in the thread."""
        if kind.type not in ("edit", "revoke") or not self.said:
            return None
        return self.said[self._chance("earlier") % len(self.said)]

    def _waspy(self, kind: Kind) -> None:
        chance, identifier = self._chance("identity"), self._id("message")
        names_contact = kind.is_orphan or (chance % 2 and not kind.is_nameless)
        self._add(
            "messages",
            id=identifier,
            conversation_id=f"{self.conversation['id']}{'-unlisted' * kind.is_orphan}",
            contact_id=self.thread.person.contact_id if names_contact else None,
            phone_number_id=self._channel(chance % 3 == 0, kind),
            direction=kind.direction,
            type=kind.type,
            content=json.dumps({"text": "…"}),
            status=kind.status,
            origin=kind.waspy_origin,
            sent_by_ai=kind.sent_by_ai,
            campaign_id=kind.campaign_id,
            error_code=kind.error_code,
            template_name_snapshot=kind.template,
            metadata=kind.metadata,
            wa_message_id=None if chance % 4 == 0 else f"wamid.{identifier}",
            created_at=self._time(kind, iso),
            position=None if chance % 11 == 0 else str(len(self.said)),
        )
        for status in dict(kind.statuses):
            state = {"message_id": identifier, "status": status}
            self._add("message_states", id=f"{identifier}|{status}", **state)
        self.said.append(identifier)

    def _blank(self) -> None:
        """A row that says nothing but its id."""
        self._add("messages", id=self._id("blank"))

    def _call(self, kind: Mapping[str, Any]) -> None:
        if self.thread.provider != "kapso":
            return
        who, chance = self.thread.person, self._chance("call")
        times = {name: iso(self.now + timedelta(seconds=s)) for name, s in kind["times"].items()}
        self._add(
            "calls",
            id=self._id("call"),
            direction=kind["direction"],
            status=kind["status"],
            duration_seconds=kind.get("duration"),
            phone_number_id=self.thread.channel,
            whatsapp_conversation_id=self.conversation["id"] if chance % 2 else None,
            whatsapp_contact_id=who.contact_id if who.listed and chance % 3 else None,
            user_wa_id=who.phone(chance),
            business_scoped_user_id=who.bsuid,
            created_at=iso(self.now + timedelta(seconds=3)),
            **times,
        )
