"""Rows in, one build, rows out: a real warehouse per test module, since a build takes seconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.building.build import BuildResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from place import Place

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
AS_OF = datetime(2026, 3, 20, tzinfo=UTC)
HOUR = 3600.0
DAY = 24 * HOUR


def instant(seconds: float) -> datetime:
    """The instant so many seconds after the tests' noon."""
    return T0 + timedelta(seconds=seconds)


def iso(seconds: float) -> str:
    return instant(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Warehouse:
    """A warehouse whose raw tables are filled by hand."""

    def __init__(self, place: Place) -> None:
        self.place, self.folder, self.path = place, place.folder, place.path
        self._phones = count(1)
        self._ids = count(1)
        self._phone_of: dict[str, str] = {}

    def add(self, table: str, **row: Any) -> None:
        """Insert one row of text columns; objects and lists become JSON text."""
        defaults = {"account": "default", "fetched_at": iso(12 * DAY), "payload": "{}"}
        values = {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in (defaults | row).items()
        }
        columns = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" for _ in values)
        self.run(f"insert into {table} ({columns}) values ({marks})", *values.values())

    def run(self, statement: str, *values: Any) -> None:
        self.place.run(statement, *values)

    def phone(self, thread: str) -> str:
        """A customer's phone, one per name of a thread."""
        if thread not in self._phone_of:
            self._phone_of[thread] = f"1415555{next(self._phones):04d}"
        return self._phone_of[thread]

    def kapso(self, thread: str, seconds: float, direction: str = "inbound", **row: Any) -> str:
        """A Kapso message so many seconds after noon; returns its id."""
        defaults = {
            "id": f"{thread}-{next(self._ids)}",
            "timestamp": str(int(instant(seconds).timestamp())),
            "type": "text",
            "kapso_direction": direction,
            "kapso_status": "delivered",
            "kapso_phone_number": self.phone(thread),
            "kapso_phone_number_id": "100",
            "kapso_origin": "business_app" if direction == "outbound" else "cloud_api",
        }
        values = defaults | row
        self.add("raw_kapso.messages", **values)
        return str(values["id"])

    def asks(self, thread: str, *seconds: float, **row: Any) -> str:
        """Customer messages; returns the id of the last."""
        return [self.kapso(thread, at, "inbound", **row) for at in seconds][-1]

    def person_replies(self, thread: str, *seconds: float, **row: Any) -> str:
        return [self.kapso(thread, at, "outbound", **row) for at in seconds][-1]

    def api_replies(self, thread: str, *seconds: float, **row: Any) -> str:
        return self.person_replies(thread, *seconds, kapso_origin="cloud_api", **row)

    def waspy_thread(self, thread: str, **row: Any) -> None:
        """A Waspy conversation and its contact."""
        self.add("raw_waspy.contacts", id=f"contact-{thread}", created_at=iso(-DAY))
        defaults = {
            "id": thread,
            "contact_id": f"contact-{thread}",
            "phone_number_id": "channel",
            "status": "open",
            "created_at": iso(0),
        }
        self.add("raw_waspy.conversations", **(defaults | row))

    def waspy_state(self, thread: str, seconds: float, status: str) -> None:
        """A status that a sync saw the conversation with, first at this time."""
        seen = iso(seconds)
        self.add(
            "raw_waspy.conversation_states",
            id=f"{thread}|{seen}",
            conversation_id=thread,
            status=status,
            observed_from=seen,
        )

    def waspy_was(self, message: str, *statuses: str) -> None:
        """Statuses that a message was seen with before the one that its row tells."""
        for status in statuses:
            row = {"id": f"{message}|{status}", "message_id": message, "status": status}
            self.add("raw_waspy.message_states", **row)

    def waspy(self, thread: str, seconds: float, direction: str = "inbound", **row: Any) -> str:
        number = next(self._ids)
        defaults = {
            "id": f"{thread}-{number:04d}",
            "conversation_id": thread,
            "direction": direction,
            "type": "text",
            "content": {"text": "hola"},
            "status": "delivered",
            "created_at": iso(seconds),
            "origin": "agent" if direction == "outbound" else "inbound",
            "position": str(number),
        }
        values = defaults | row
        self.add("raw_waspy.messages", **values)
        return str(values["id"])

    def told(
        self, seconds: float, body: Any, *, provider: str = "kapso", account: str = "default"
    ) -> None:
        """A webhook that the receiver took in."""
        number = next(self._ids)
        self.run(
            "insert into raw_webhooks.deliveries (delivery_id, provider, account, body_sha256, "
            "received_at, payload) values (?, ?, ?, ?, ?, ?)",
            *(number, provider, account, str(number), instant(seconds), json.dumps(body)),
        )

    def meta(self, seconds: float, *changes: tuple[str, Any], **of: str) -> None:
        """A webhook in Meta's own form: fields and their values."""
        entry = {
            "id": "w",
            "time": int(instant(seconds).timestamp()),
            "changes": [{"field": name, "value": value} for name, value in changes],
        }
        self.told(seconds, {"object": "whatsapp_business_account", "entry": [entry]}, **of)

    def build(self, **options: Any) -> BuildResult:
        return self.place.build(**({"as_of": AS_OF} | options))

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self.place.rows(query, *values)

    def thread(self, mart: str, thread: str, order: str, **equal: Any) -> list[dict[str, Any]]:
        """A thread's rows of a mart."""
        contacts = (
            f"kapso:default:phone:{self._phone_of.get(thread)}",
            f"waspy:default:contact-{thread}",
        )
        conditions = "".join(f" and {name} = ?" for name in equal)
        return self.rows(
            f"select * from marts.{mart} where contact_key in (?, ?){conditions} order by {order}",
            *contacts,
            *equal.values(),
        )

    def turns(self, thread: str, scope: str = "any") -> list[dict[str, Any]]:
        return self.thread("fct_turns", thread, "turn_number", scope=scope)

    def windows(self, thread: str) -> list[dict[str, Any]]:
        return self.thread("fct_service_windows", thread, "episode_number")

    def message(self, message_id: str) -> dict[str, Any]:
        [row] = self.rows("select * from marts.fct_messages where message_id = ?", message_id)
        return row


@pytest.fixture(scope="module")
def warehouse(
    new_place: Callable[[Path], Place], tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    return Warehouse(new_place(tmp_path_factory.mktemp("warehouse")).loosened())
