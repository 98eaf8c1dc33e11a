"""Messages: classified (definitions §1) and ordered (§2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from oracle_identity import Thread
from oracle_values import first

NOT_A_REQUEST = frozenset(
    ["reaction", "system", "edit", "revoke", "request_welcome", "ephemeral", "media_placeholder"]
)
NOT_A_REPLY = frozenset(["reaction", "system", "edit", "revoke"])
RANKS = {"pending": 0, "sent": 1, "received": 1, "delivered": 2, "read": 3, "played": 4}
TIMED = ("sent", "delivered", "read", "played", "failed")
WINDOW_CLOSED = "131047"

SENDER_OF_ORIGIN = {
    "kapso": {"business_app": "human", "cloud_api": "unknown"},
    "waspy": {
        **dict.fromkeys(["agent", "user", "human", "inbox", "manual", "phone", "echo"], "human"),
        **dict.fromkeys(["bot", "ai", "automation", "flow"], "bot"),
        **dict.fromkeys(["campaign", "broadcast"], "campaign"),
        "api": "unknown",
    },
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of either room, with everything the metrics ask of it."""

    key: str
    id: str
    wa_message_id: str | None
    thread: Thread
    conversation_key: str | None
    direction: str | None
    type: str | None
    sender_kind: str
    status: str | None
    at: datetime | None
    position: float | None = None
    status_times: Mapping[str, datetime]
    error_codes: frozenset[str]
    template_name: str | None = None
    template_language: str | None = None
    broadcast_id: str | None = None
    agent_id: str | None = None
    bsuid: str | None = None
    is_on_phone: bool = False
    is_imported: bool = False
    is_permission_reply: bool = False
    is_revoked: bool = False

    @property
    def opens_window(self) -> bool:
        """Whether Meta's 24 hours start (again) with it."""
        return self.direction == "inbound" and self.type not in NOT_A_REQUEST and self.counts

    @property
    def is_request(self) -> bool:
        """Whether somebody waits for an answer to it."""
        return self.opens_window and not self.is_permission_reply and not self.is_revoked

    @property
    def is_reply(self) -> bool:
        """Whether it answers what was asked before it."""
        return (
            self.direction == "outbound"
            and self.status not in ("failed", "pending")
            and self.type not in NOT_A_REPLY
            and self.sender_kind in ("human", "bot", "unknown")
            and self.counts
        )

    @property
    def is_human_reply(self) -> bool:
        """Whether a person answered."""
        return self.is_reply and self.sender_kind == "human"

    @property
    def counts(self) -> bool:
        """Live and with a time: without one it has no place in a thread's order."""
        return not self.is_imported and self.at is not None

    @property
    def is_sent_content(self) -> bool:
        """Whether a window counts it: outbound, not failed, not a gesture. Campaigns too."""
        return (
            self.direction == "outbound"
            and self.status != "failed"
            and self.type not in NOT_A_REPLY
            and self.counts
        )

    @property
    def is_window_violation(self) -> bool:
        """Whether Meta refused it because the window was closed."""
        return self.status == "failed" and WINDOW_CLOSED in self.error_codes


def place(message: Message) -> tuple[object, ...]:
    """The sort key of a thread: time, customers first, the provider's position, the id."""
    assert message.at is not None
    side = {"inbound": 0, "outbound": 1}.get(message.direction or "", 2)
    position = float("inf") if message.position is None else message.position
    return (message.at, side, position, message.id)


def in_order(messages: Sequence[Message]) -> list[Message]:
    """The live messages of one thread, one after the other."""
    return sorted((message for message in messages if message.counts), key=place)


def merged_status(seen: Sequence[str | None]) -> str | None:
    """The highest rank ever seen; `failed` only where nothing was delivered.

    A word that is not known has no rank: it stays where nothing else is known.
    """
    ranked = sorted((RANKS[status], status) for status in seen if status in RANKS)
    rank, best = ranked[-1] if ranked else (-1, first(*seen))
    return "failed" if "failed" in seen and rank <= 1 else best


def earliest(events: Sequence[tuple[str | None, datetime | None]]) -> dict[str, datetime]:
    """The first time of each status that has one."""
    times = {status: [at for name, at in events if name == status and at] for status in TIMED}
    return {status: min(found) for status, found in times.items() if found}


def sender_kind(
    provider: str, direction: str | None, origin: str | None, *, campaign: bool, ai: bool
) -> str:
    """Who wrote it: the first rule that fits."""
    if direction == "inbound":
        return "customer"
    if campaign:
        return "campaign"
    if ai:
        return "bot"
    return SENDER_OF_ORIGIN[provider].get(origin or "", "unknown")
