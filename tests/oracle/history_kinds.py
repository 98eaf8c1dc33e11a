"""What can happen in a thread, in the spelling of both rooms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One sort of message.

    Attributes:
        statuses: Kapso's events: a name and the seconds after sending.
        odd_statuses: what stands in place of that list.
        is_nameless: the row leaves it to its conversation to say who wrote.
        is_orphan: its conversation is on no list.
        time: what stands in the place of the time.
        template: which of the stage's templates it is.
        mailed: it went to recipients of broadcasts whose time is so many seconds off.
        metadata: what Waspy adds.
        lag: seconds by which the row's own time is off the order in which things happened.
    """

    direction: str | None = "inbound"
    type: str | None = "text"
    status: str | None = None
    statuses: tuple[tuple[str, int], ...] = ()
    kapso_origin: str | None = "cloud_api"
    waspy_origin: str | None = None
    sent_by_ai: str | None = None
    campaign_id: str | None = None
    odd_statuses: str | None = None
    interactive: str | None = None
    errors: str | None = None
    error_code: str | None = None
    is_nameless: bool = False
    is_orphan: bool = False
    time: str | None = None
    lag: int = 0
    template: str | None = None
    mailed: tuple[int, ...] = ()
    metadata: str | None = None


def _in(**values: Any) -> Kind:
    return Kind(**({"status": "delivered", "waspy_origin": "inbound"} | values))


def _out(kapso: str | None = "cloud_api", waspy: str | None = "api", **values: Any) -> Kind:
    defaults = {"direction": "outbound", "status": "sent"}
    return Kind(**(defaults | {"kapso_origin": kapso, "waspy_origin": waspy} | values))


def _human(**values: Any) -> Kind:
    return _out("business_app", "agent", **values)


CLOSED = json.dumps([{"code": 131047, "title": "Re-engagement message"}])
PERMISSION = json.dumps({"type": "call_permission_reply", "call_permission_reply": {}})

ODD = """[1, null, "read", {}, {"status": null}, {"status": "sent"}, {"status": 5},
    {"status": "read", "timestamp": "soon"}, {"status": "delivered", "timestamp": 1773143999}]"""

INBOUND = {
    "in_text": _in(),
    "in_image": _in(type="IMAGE"),
    "in_button": _in(type="button", status=None),
    "in_unsupported": _in(type="unsupported", direction="INBOUND"),
    "in_unknown_type": _in(type="poll_2027"),
    "in_null_type": _in(type=None),
    "in_interactive": _in(type="interactive", interactive=json.dumps({"type": "list_reply"})),
    "in_permission": _in(type="interactive", interactive=PERMISSION),
    "in_reaction": _in(type="reaction"),
    "in_system": _in(type="system"),
    "in_edit": _in(type="edit"),
    "in_revoke": _in(type="revoke"),
    "in_welcome": _in(type="request_welcome"),
    "in_ephemeral": _in(type="EPHEMERAL"),
    "in_placeholder": _in(type="media_placeholder"),
    "in_history": _in(kapso_origin="history_sync"),
    "in_nameless": _in(is_nameless=True),
    "in_orphan": _in(is_orphan=True),
    "in_timeless": _in(time=""),
    "in_untimely": _in(time="soon"),
    "in_naive": _in(time="2026-03-10 12:00:00"),
    "in_fraction": _in(time="1773143999.5"),
    "in_milliseconds": _in(time="1773143999000"),
    "in_infinite": _in(time="inf"),
    "in_ancient": _in(lag=-50 * 365 * 86400),
    "in_broken": _in(interactive="{", odd_statuses="not json"),
    "in_list": _in(interactive="[]", odd_statuses='"sent"'),
    "in_empty": _in(type="", status="", kapso_origin="", waspy_origin="", interactive=""),
    "in_late": _in(lag=-7200),
    "in_far_future": _in(lag=60 * 365 * 86400),
}
OUTBOUND = {
    "out_human": _human(),
    "out_human_shouted": _out("BUSINESS_APP", "ECHO", status="READ"),
    "out_late": _human(lag=-86400),
    "out_early": _out(lag=90_000),
    "out_inbox": _out("business_app", "inbox", status="delivered"),
    "out_bot": _out(waspy="agent", sent_by_ai="true"),
    "out_bot_origin": _out(waspy="automation", sent_by_ai="false"),
    "out_api": _out(),
    "out_unknown_origin": _out("telepathy", "telepathy"),
    "out_null_origin": _out(None, None, status=None),
    "out_campaign": _out(waspy="agent", type="template", campaign_id="campaign-1"),
    "out_broadcast": _out(waspy="Broadcast", type="template"),
    "out_template": _human(type="template"),
    "out_template_api": _out(type="TEMPLATE", statuses=(("sent", 1),)),
    "out_promo": _out(type="template", template="promo", status="delivered"),
    "out_notice": _out(type="template", template="notice", status="READ"),
    "out_code": _out(type="template", template="code", status="delivered"),
    "out_strange_template": _out(type="template", template="unlisted", status="played"),
    "out_typed_template": _human(type="template", template="promo", status="delivered"),
    "out_mailed": _out(type="template", template="promo", status="delivered", mailed=(120,)),
    "out_mailed_twice": _out(type="template", template="promo", mailed=(-90, 30, 30)),
    "out_mailed_late": _out(type="template", template="promo", mailed=(121, -121)),
    "out_mailed_other": _out(type="template", template="notice", mailed=(0,)),
    "out_ana": _human(metadata=json.dumps({"agentId": "ana"}), status="read"),
    "out_ana_unsure": _out(metadata=json.dumps({"agentId": "ana"}), status="delivered"),
    "out_nobody": _human(metadata="not json"),
    "out_empty": _human(campaign_id="", sent_by_ai="", error_code="", errors=""),
    "out_ai_shouted": _out(waspy="agent", sent_by_ai="True"),
    "out_odd_statuses": _human(odd_statuses=ODD),
    "out_status_object": _human(odd_statuses='{"status": "failed", "timestamp": "1"}'),
    "out_odd_errors": _human(status="failed", errors='{"code": 131047}', error_code="131047 "),
    "out_failed": _human(status="failed", statuses=(("failed", 2),)),
    "out_refused": _human(status="failed", errors=CLOSED, error_code="131047"),
    "out_failed_template": _human(type="template", status="FAILED"),
    "out_failed_after_sent": _human(status="failed", statuses=(("sent", 0), ("failed", 5))),
    "out_failed_after_delivery": _human(
        status="failed", statuses=(("delivered", 1), ("failed", 5))
    ),
    "out_failed_after_read": _human(status="failed", statuses=(("read", 9), ("failed", 5))),
    "out_pending": _human(status="pending"),
    "out_pending_template": _out(type="template", status="pending"),
    "out_pending_then_sent": _human(status="pending", statuses=(("pending", 0), ("sent", 3))),
    "out_status_unknown": _human(status="warning"),
    "out_skewed": _human(statuses=(("delivered", -4), ("sent", 2), ("sent", 1), ("read", 60))),
    "out_played": _human(type="audio", status="played", statuses=(("DELIVERED", 1),)),
    "out_reaction": _human(type="reaction"),
    "out_edit": _human(type="edit"),
    "out_revoke": _human(type="revoke"),
    "out_system": _human(type="system"),
    "out_null_type": _human(type=None),
    "out_history": _out("history_sync", "agent"),
    "no_direction": Kind(direction=None, status="sent"),
}
CALLS: Mapping[str, Mapping[str, Any]] = {
    "call_in_answered": {
        "direction": "inbound",
        "status": "completed",
        "duration": "61",
        "times": {"started_at": 0, "session_started_at": 9, "ended_at": 70},
    },
    "call_in_missed": {
        "direction": "INBOUND",
        "status": "COMPLETED",
        "times": {"started_at": 0, "ended_at": 60},
    },
    "call_in_ringing": {"direction": "inbound", "status": "ringing", "times": {"started_at": 0}},
    "call_in_no_duration": {
        "direction": "inbound",
        "status": "Answered",
        "times": {"started_at": 0, "session_started_at": 5},
    },
    "call_in_untimely": {
        "direction": "inbound",
        "status": "completed",
        "duration": "none",
        "times": {"ended_at": 5},
    },
    "call_in_not_a_number": {
        "direction": "inbound",
        "status": "failed",
        "duration": "NaN",
        "times": {"started_at": 0},
    },
    "call_out_negative": {
        "direction": "outbound",
        "status": "completed",
        "duration": "-5",
        "times": {"started_at": 0, "ended_at": -5},
    },
    "call_in_meta": {
        "direction": "USER_INITIATED",
        "status": "FAILED",
        "times": {"started_at": 0, "ended_at": 30},
    },
    "call_out_meta": {
        "direction": "BUSINESS_INITIATED",
        "status": "COMPLETED",
        "duration": "8",
        "times": {"started_at": 0, "session_started_at": 4, "ended_at": 12},
    },
    "call_sideways": {"direction": None, "status": None, "times": {"started_at": 0}},
    "call_out_answered": {
        "direction": "outbound",
        "status": "completed",
        "duration": "5",
        "times": {"started_at": 0, "session_started_at": 60, "ended_at": 65},
    },
    "call_out_under_way": {
        "direction": "outbound",
        "status": "ACCEPTED",
        "times": {"started_at": 0},
    },
    "call_out_accepted": {
        "direction": "outbound",
        "status": "failed",
        "duration": "3",
        "times": {"started_at": 0},
    },
    "call_out_refused": {
        "direction": "OUTBOUND",
        "status": "failed",
        "duration": "0",
        "times": {"started_at": 0, "ended_at": 20},
    },
}
EVENTS = ("close", "reopen", "reassign", "unassign", "new_conversation", "blank")
KINDS: Mapping[str, Kind] = INBOUND | OUTBOUND | dict.fromkeys((*CALLS, *EVENTS), Kind())
