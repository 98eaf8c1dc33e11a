"""Service windows (definitions §4), by literally uniting intervals of 24 hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oracle_calls import Call
from oracle_identity import Thread
from oracle_messages import Message
from oracle_rooms import waspy_thread
from oracle_values import DAY, Raw, instant, seconds

REOPENED_WITHIN = timedelta(hours=72)


@dataclass(frozen=True)
class Window:
    """One episode: the openings whose days overlap."""

    thread: Thread
    number: int
    openings: tuple[datetime, ...]

    @property
    def opened_at(self) -> datetime:
        """The first opening."""
        return self.openings[0]

    @property
    def closes_at(self) -> datetime:
        """A day after the last opening; the window is open until just before."""
        return self.openings[-1] + DAY

    def holds(self, at: datetime | None) -> bool:
        """Whether an instant lies inside."""
        return at is not None and self.opened_at <= at < self.closes_at


def episodes(thread: Thread, openings: Sequence[datetime]) -> list[Window]:
    """Unite [e, e + 24 h): one that begins exactly where the last ends is a new episode."""
    groups: list[list[datetime]] = []
    for at in openings:
        if groups and at < groups[-1][-1] + DAY:
            groups[-1].append(at)
        else:
            groups.append([at])
    return [Window(thread, number, tuple(group)) for number, group in enumerate(groups, 1)]


def provider_closes(raw: Raw) -> dict[Thread, datetime]:
    """Waspy's own idea of when the window closes: the latest of the thread's conversations."""
    found: dict[Thread, datetime] = {}
    for row in raw["raw_waspy.conversations"]:
        closes = instant(row["service_window_expires_at"])
        thread = waspy_thread(row, row)
        if closes:
            found[thread] = max(closes, found.get(thread, closes))
    return found


def window_row(
    window: Window,
    siblings: Sequence[Window],
    messages: Sequence[Message],
    calls: Sequence[Call],
    provider: datetime | None,
    as_of: datetime,
) -> dict[str, Any]:
    """The columns of `fct_service_windows`, but for keys whose form is free.

    `siblings`, `messages` and `calls` are those of the thread.
    """
    inside = [message for message in messages if window.holds(message.at)]
    last = window is siblings[-1]
    return {
        **_facts(window, inside, calls),
        **_answer(window, inside, as_of),
        "is_reopened_by_template": _is_reopened(window, siblings, messages),
        "provider_closes_at": provider if last else None,
        "window_drift_seconds": (
            (provider - window.closes_at).total_seconds() if provider and last else None
        ),
    }


def _facts(window: Window, inside: Sequence[Message], calls: Sequence[Call]) -> dict[str, Any]:
    content = [message for message in inside if message.is_sent_content]
    return {
        "thread": window.thread,
        "provider": window.thread.provider,
        "account": window.thread.account,
        "channel_key": window.thread.channel_key,
        "contact_key": window.thread.contact_key,
        "episode_number": window.number,
        "opened_at": window.opened_at,
        "closes_at": window.closes_at,
        "refreshes": len(window.openings) - 1,
        "requests": sum(message.is_request for message in inside),
        "calls": sum(window.holds(call.opens_window_at) for call in calls),
        "free_form_messages": sum(message.type != "template" for message in content),
        "template_messages": sum(message.type == "template" for message in content),
    }


def _answer(window: Window, inside: Sequence[Message], as_of: datetime) -> dict[str, Any]:
    replied = min((m.at for m in inside if m.is_reply and m.at), default=None)
    renewed = [at for at in window.openings if replied and at <= replied]
    return {
        "first_response_at": replied,
        "is_answered": replied is not None,
        "is_open": window.opened_at <= as_of < window.closes_at,
        "is_expired_unanswered": replied is None and window.closes_at <= as_of,
        "seconds_left_at_first_response": (
            seconds(replied, renewed[-1] + DAY) if replied else None
        ),
    }


def _is_reopened(window: Window, siblings: Sequence[Window], messages: Sequence[Message]) -> bool:
    """Whether a template in the gap brought the customer back.

    At one instant the customer comes first: a template of the opening's own instant came after it.
    """
    before = [other for other in siblings if other.number == window.number - 1]
    templates = [m.at for m in messages if m.type == "template" and m.is_sent_content and m.at]
    return any(
        other.closes_at <= at < window.opened_at <= at + REOPENED_WITHIN
        for other in before
        for at in templates
    )


def is_window_mismatch(message: Message, windows: Sequence[Window]) -> bool:
    """Whether a free-form message arrived although no window of its thread was open."""
    return (
        message.is_sent_content
        and message.type != "template"
        and message.status in ("delivered", "read", "played")
        and not any(window.holds(message.at) for window in windows)
    )
