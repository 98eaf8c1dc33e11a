"""The marts as they must be, computed from raw rows without a line of SQL.

It is slow and obvious on purpose, and shares nothing with the models: the two were written from the
same definitions by different hands, so where they agree the definitions are what is computed.

Where the definitions leave a choice, the reading taken here:

* A message without a readable time is listed, and is no request, reply or opening: it has no
  place in a thread's order.
* A row that names nobody takes customer and channel from its conversation. Where that names nobody
  either, the conversation is a thread of its own, and a row without a conversation is one too.
* A call without a start began when its row was made.
* Of two contact rows with one phone key or BSUID the older is meant, then the smaller id. A call is
  its customer's as a message is; the contact it names counts where it says nothing else.
* A customer on no list is named by the phone key, by the BSUID only without a phone.
* A conversation whose states were never noted is taken to be what its row says.
* A revoke takes back the request it names, whatever the two times say.
* A wait that starts after `as_of` may have no window yet: then it is not mature.
* A wait that touches a time before WhatsApp existed, or more than a year after `as_of`, has no
  business time and no verdict of a business clock: no calendar reaches there.
* In the backlog `window_seconds_left` is what is left at `as_of`, and 0 once it is closed.
* At one instant the customer comes first, everywhere: a template of the instant of an opening did
  not bring the customer back, and a reply of the instant in which a call ends returns it.
* A status that is no known word stays as it is, without a rank.
* Several conversations in one Waspy thread: the latest `serviceWindowExpiresAt` is Waspy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from oracle_aggregates import (
    agent_days,
    call_days,
    hours,
    message_days,
    template_days,
    window_days,
)
from oracle_assignments import assignment_rows
from oracle_calls import Call, callback_seconds, read_calls
from oracle_daily import backlog_row, daily_rows
from oracle_hours import Rules
from oracle_identity import Thread, key_of
from oracle_messages import TIMED, Message
from oracle_rooms import read_messages
from oracle_templates import Prices, send_row
from oracle_turns import opening_times, read_closes, read_turns, turn_row
from oracle_values import Raw
from oracle_windows import Window, episodes, is_window_mismatch, provider_closes, window_row

Item = TypeVar("Item", Message, Call)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Expected:
    """The rows of every mart the oracle knows."""

    fct_messages: Rows = field(default_factory=list)
    fct_turns: Rows = field(default_factory=list)
    fct_service_windows: Rows = field(default_factory=list)
    fct_calls: Rows = field(default_factory=list)
    mart_backlog: Rows = field(default_factory=list)
    mart_daily_response_times: Rows = field(default_factory=list)
    fct_template_sends: Rows = field(default_factory=list)
    fct_assignments: Rows = field(default_factory=list)
    mart_daily_service_windows: Rows = field(default_factory=list)
    mart_daily_messages: Rows = field(default_factory=list)
    mart_daily_agents: Rows = field(default_factory=list)
    mart_daily_templates: Rows = field(default_factory=list)
    mart_daily_calls: Rows = field(default_factory=list)
    mart_hourly_load: Rows = field(default_factory=list)


def expected(raw: Raw, as_of: datetime, rules: Rules | None = None) -> Expected:
    """Every mart, from the raw rows alone."""
    rules = rules or Rules()
    messages, calls = read_messages(raw), read_calls(raw)
    closes, provider = read_closes(raw), provider_closes(raw)
    prices, windows_of = Prices(raw), {}
    messages_of, calls_of = grouped(messages), grouped(calls)
    found = Expected()
    for thread in {**messages_of, **calls_of}:
        mine, rung = messages_of.get(thread, []), calls_of.get(thread, [])
        openings = opening_times(mine, rung)
        windows = windows_of[thread] = episodes(thread, openings)
        turns = read_turns(thread, mine, closes.get(thread, []))
        found.fct_turns.extend(turn_row(turn, openings, rules, as_of) for turn in turns)
        found.fct_service_windows.extend(
            window_row(window, windows, mine, rung, provider.get(thread), as_of)
            for window in windows
        )
        found.fct_calls.extend(call_row(call, rung, mine) for call in rung)
    for message in sorted(messages, key=lambda m: (str(m.at), m.key)):
        windows = windows_of[message.thread]
        cost = prices.cost(message, windows, rules.zone_of(message.thread))
        template = prices.catalogue.key_of(message)
        row = message_row(message, windows)
        found.fct_messages.append(row | {"template_key": template, "estimated_cost_usd": cost})
        if message.direction == "outbound" and message.type == "template":
            mine = messages_of[message.thread]
            found.fct_template_sends.append(send_row(message, mine, template, cost))
    aggregate(found, messages, rules)
    found.fct_assignments.extend(assignment_rows(raw))
    waiting = (turn for turn in found.fct_turns if turn["outcome"] == "waiting")
    found.mart_backlog.extend(backlog_row(turn, as_of) for turn in waiting)
    found.mart_daily_response_times.extend(daily_rows(found.fct_turns, rules, as_of))
    return found


def aggregate(found: Expected, messages: Sequence[Message], rules: Rules) -> None:
    """The marts that count rows of other marts."""
    senders = {m.key: agent for m in messages if (agent := agent_key(m))}
    found.mart_daily_service_windows.extend(window_days(found.fct_service_windows, rules))
    found.mart_daily_messages.extend(message_days(found.fct_messages, rules))
    found.mart_daily_agents.extend(agent_days(found.fct_turns, found.fct_messages, senders, rules))
    found.mart_daily_templates.extend(template_days(found.fct_template_sends, rules))
    found.mart_daily_calls.extend(call_days(found.fct_calls, rules))
    found.mart_hourly_load.extend(hours(found.fct_turns, rules))


def agent_key(message: Message) -> str | None:
    """Who wrote a message, where it says so."""
    return key_of(message.thread.provider, message.thread.account, message.agent_id)


def grouped(items: Iterable[Item]) -> dict[Thread, list[Item]]:
    """The messages or the calls of each thread."""
    threads: dict[Thread, list[Item]] = {}
    for item in items:
        threads.setdefault(item.thread, []).append(item)
    return threads


def message_row(message: Message, windows: Sequence[Window]) -> dict[str, Any]:
    """The columns of `fct_messages` that the definitions decide."""
    return {
        "message_key": message.key,
        "message_id": message.id,
        "wa_message_id": message.wa_message_id,
        "thread": message.thread,
        "provider": message.thread.provider,
        "account": message.thread.account,
        "channel_key": message.thread.channel_key,
        "contact_key": message.thread.contact_key,
        "conversation_key": message.conversation_key,
        "direction": message.direction,
        "message_type": message.type,
        "sender_kind": message.sender_kind,
        "occurred_at": message.at,
        "status": message.status,
        **{f"{status}_at": message.status_times.get(status) for status in TIMED},
        "is_request": message.is_request,
        "is_reply": message.is_reply,
        "is_human_reply": message.is_human_reply,
        "opens_window": message.opens_window,
        "is_imported": message.is_imported,
        "is_window_violation": message.is_window_violation,
        "is_window_mismatch": is_window_mismatch(message, windows),
    }


def call_row(call: Call, calls: Sequence[Call], messages: Sequence[Message]) -> dict[str, Any]:
    """The columns of `fct_calls`; `calls` and `messages` are those of the thread."""
    return {
        "call_key": call.key,
        "call_id": call.id,
        "thread": call.thread,
        "provider": call.thread.provider,
        "account": call.thread.account,
        "channel_key": call.thread.channel_key,
        "contact_key": call.thread.contact_key,
        "direction": call.direction,
        "status": call.status,
        "started_at": call.started_at,
        "ended_at": call.ended_at,
        "duration_seconds": call.duration_seconds,
        "is_answered": call.is_answered,
        "is_missed": call.is_missed,
        "callback_seconds": callback_seconds(call, calls, messages),
    }
