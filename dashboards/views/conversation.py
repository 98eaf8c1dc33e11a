"""Conversation: one thread's messages as bubbles, with its turns and windows marked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from dashboards import formats, parts
from dashboards.reading import QueryFailed, Row
from dashboards.sheet import Sheet

MOST_MESSAGES = 300
MOST_THREADS = 25
LONGEST_TEXT = 2000
TICKS = {
    "pending": "◷",
    "sent": "✓",
    "delivered": "✓✓",
    "read": "✓✓",
    "played": "✓✓",
    "failed": "✕",
}
# At one instant: the window closes, opens, the turn starts; the message; the turn ends.
BEFORE, AT, AFTER = 0, 1, 2


def show(sheet: Sheet, thread: str) -> None:
    found = sheet.rows("thread", thread=thread) if thread else []
    if thread and not found:
        parts.note(sheet.t("conversation.unknown"), tone="warn")
    if not found:
        _recent(sheet)
        return
    _thread(sheet, {**found[0], "thread": thread})


def _recent(sheet: Sheet) -> None:
    parts.lead(sheet.t("conversation.choose"), sheet.t("conversation.choose_more"))
    with parts.card(sheet, "thread_recent"):
        rows = sheet.rows("thread_recent", limit=MOST_THREADS)
        parts.table(
            {
                "contact": sheet.t("column.contact"),
                "channel": sheet.t("column.channel"),
                "last": sheet.t("column.last_request"),
                "turns#": sheet.t("column.turns"),
                "state": sheet.t("column.outcome"),
            },
            [
                {
                    "contact": parts.link(sheet, row["thread"], sheet.contact(row)),
                    "channel": row["channel"] or sheet.t("unknown_channel"),
                    "last": sheet.moment(row["last_request_at"], row["timezone"]),
                    "turns": sheet.number(row["turns"]),
                    "state": parts.badge(sheet.t("outcome.waiting"), "bad")
                    if row["waiting"]
                    else "",
                }
                for row in rows
            ],
            empty=sheet.t("nothing"),
        )


def _thread(sheet: Sheet, thread: Row) -> None:
    key = {"thread_key": thread["thread_key"]}
    messages = sheet.rows("thread_messages", limit=MOST_MESSAGES, **key)
    turns = sheet.rows("thread_turns", **key)
    windows = sheet.rows("thread_windows", **key)
    calls = sheet.rows("thread_calls", **key)
    _lead(sheet, thread, turns, windows)
    texts = _texts(sheet, messages)
    found = messages[0]["found"] if messages else 0
    n = sheet.t("shown", shown=sheet.number(len(messages)), found=sheet.number(found))
    with parts.card(sheet, "thread", n=n):
        if not sheet.viewer.sees_texts:
            parts.note(sheet.t("conversation.no_texts"))
        # What happened before the messages that are shown would stand there without them.
        is_cut = found > len(messages)
        oldest = messages[0]["occurred_at"] if is_cut else datetime.min.replace(tzinfo=UTC)
        zone = thread["timezone"]
        happened = [
            *_windows(sheet, windows, zone),
            *_turns(sheet, turns),
            *((row["occurred_at"], AT, _bubble(sheet, row, texts, zone)) for row in messages),
            *((row["started_at"], AT, _call(sheet, row, zone)) for row in calls),
        ]
        ordered = sorted((h for h in happened if h[0] >= oldest), key=lambda h: h[:2])
        st.html(f'<div class="dc-chat">{_with_days(sheet, ordered, zone)}</div>')


def _lead(sheet: Sheet, thread: Row, turns: list[Row], windows: list[Row]) -> None:
    answered = [row for row in turns if row["outcome"] == "answered"]
    waiting = [row for row in turns if row["outcome"] == "waiting"]
    who = sheet.contact(thread)
    if waiting:
        value = formats.duration(waiting[-1]["waiting_seconds"])
        state = sheet.t("conversation.waits", value=value)
    elif turns and turns[-1]["outcome"] == "closed_unanswered":
        state = sheet.t("conversation.closed")
    else:
        state = sheet.t("conversation.answered")
    open_window = next((row for row in windows if row["is_open"]), None)
    parts.lead(
        sheet.t("conversation.lead", who=who, state=state),
        sheet.t(
            "conversation.more",
            channel=thread["channel"] or sheet.t("unknown_channel"),
            turns=sheet.number(len(turns)),
            answered=sheet.number(len(answered)),
            window=sheet.t(
                "conversation.window_open",
                at=sheet.moment(open_window["closes_at"], thread["timezone"]),
            )
            if open_window
            else sheet.t("conversation.window_closed"),
        ),
    )


def _texts(sheet: Sheet, messages: list[Row]) -> Mapping[str, str]:
    """message_key → what was written, for a viewer who may read it."""
    if not sheet.viewer.sees_texts or not messages:
        return {}
    first = messages[0]
    ids = tuple(row["message_id"] for row in messages)
    account = {"provider": first["provider"], "account": first["account"]}
    try:
        rows = sheet.rows("thread_texts", message_ids=ids, **account)
    except QueryFailed:
        parts.note(sheet.t("conversation.texts_unreadable"), tone="warn")
        return {}
    return {row["message_key"]: row["text"] for row in rows if row["text"]}


def _windows(sheet: Sheet, windows: list[Row], zone: str) -> list[tuple[datetime, int, str]]:
    found = []
    for row in windows:
        text = sheet.t("conversation.opens", at=sheet.moment(row["closes_at"], zone))
        if row["is_reopened_by_template"]:
            text += " · " + sheet.t("conversation.reopened")
        found.append((row["opened_at"], BEFORE, _mark(text)))
        if not row["is_open"]:
            key = "expired" if row["is_expired_unanswered"] else "closes"
            text = sheet.t(f"conversation.{key}", at=formats.clock(row["closes_at"], zone))
            tone = "expired" if row["is_expired_unanswered"] else ""
            found.append((row["closes_at"], BEFORE, _mark(text, tone)))
    return found


def _turns(sheet: Sheet, turns: list[Row]) -> list[tuple[datetime, int, str]]:
    found = []
    for row in turns:
        n = row["turn_number"]
        found.append((row["started_at"], BEFORE, _mark(sheet.t("conversation.turn", n=n), "turn")))
        if row["outcome"] == "answered":
            late = "" if row["is_answered_in_window"] else " · " + sheet.t("conversation.late")
            text = sheet.t(
                "conversation.turn_answered",
                n=n,
                value=formats.duration(row["response_seconds"]),
                who=sheet.t(f"kind.{row['responder_kind'] or 'none'}"),
            )
            found.append((row["responded_at"], AFTER, _mark(text + late, "answered")))
        elif row["outcome"] == "waiting":
            value = formats.duration(row["waiting_seconds"])
            text = sheet.t("conversation.turn_waiting", n=n, value=value)
            found.append((sheet.as_of, AFTER, _mark(text, "waiting")))
        else:  # when it was closed the marts do not say: after what it left unanswered
            text = sheet.t("conversation.turn_closed", n=n)
            found.append((row["last_request_at"], AFTER, _mark(text)))
    return found


def _bubble(sheet: Sheet, row: Row, texts: Mapping[str, str], zone: str) -> str:
    side = "outbound" if row["direction"] == "outbound" else "inbound"
    text = texts.get(row["message_key"])
    kind = sheet.t("conversation.kind", kind=sheet.word("message_type", row["message_type"] or "?"))
    if text:
        cut = text[:LONGEST_TEXT] + ("…" if len(text) > LONGEST_TEXT else "")
        label = (
            "" if row["message_type"] == "text" else f'<span class="kind">{escape(kind)}</span> '
        )
        body = label + escape(cut)
    else:
        length = row["text_length"]
        long = (
            sheet.t("conversation.length", count=length, n=sheet.number(length)) if length else ""
        )
        body = f'<span class="kind">{escape(kind)}{escape(long)}</span>'
    notes = [formats.clock(row["occurred_at"], zone)]
    if side == "outbound":
        notes += [sheet.t(f"kind.{row['sender_kind']}"), TICKS.get(row["status"], "")]
        notes.append(sheet.t(f"status.{row['status']}") if row["status"] in TICKS else "")
    if row["error_code"]:
        notes.append(row["error_code"])
    if row["is_imported"]:
        notes.append(sheet.t("conversation.imported"))
    foot = " ".join(escape(note) for note in notes if note)
    failed = "failed" if row["status"] == "failed" else ""
    return f'<div class="dc-bubble {side} {failed}">{body}<span class="foot">{foot}</span></div>'


def _call(sheet: Sheet, row: Row, zone: str) -> str:
    key = "missed" if row["is_missed"] else "answered" if row["is_answered"] else "other"
    text = sheet.t(
        f"conversation.call_{key}",
        at=formats.clock(row["started_at"], zone),
        value=formats.duration(row["duration_seconds"]),
    )
    return _mark(f"☎ {text}", "waiting" if row["is_missed"] else "")


def _mark(text: str, tone: str = "") -> str:
    return f'<div class="dc-mark {tone}">{escape(text)}</div>'


def _with_days(sheet: Sheet, happened: list[tuple[Any, ...]], zone: str) -> str:
    """The pieces in order, with the date where a new day begins."""
    pieces, last = [], None
    for at, _, piece in happened:
        day = at.astimezone(ZoneInfo(zone)).date()
        if day != last:
            pieces.append(f'<div class="dc-day">{escape(sheet.day(day))}</div>')
            last = day
        pieces.append(piece)
    return "".join(pieces)
