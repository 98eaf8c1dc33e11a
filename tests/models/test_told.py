"""What webhooks tell beside the lists: calls, templates, campaigns, accounts, closes, failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from place import Place

from .conftest import DAY, HOUR, Warehouse, instant, iso

TEMPLATE = {
    "message_template_id": 1,
    "message_template_name": "notice",
    "message_template_language": "es",
}


def unix(seconds: float) -> str:
    return str(int(instant(seconds).timestamp()))


def call(id_: str, status: str, phone: str) -> tuple[str, Any]:
    said = {"id": id_, "status": status, "timestamp": unix(0), "recipient_id": phone}
    return "calls", {"metadata": {"phone_number_id": "100"}, "statuses": [said]}


def ended(id_: str, seconds: float, **of: str) -> tuple[str, Any]:
    said = {"id": id_, "event": "terminate", "timestamp": unix(seconds), **of}
    return "calls", {"metadata": {"phone_number_id": "100"}, "calls": [said]}


def template(w: Warehouse, id_: str, name: str, seen: float) -> None:
    row = {"name": name, "language": "es", "category": "UTILITY", "status": "APPROVED"}
    w.add("raw_kapso.templates", id=id_, **row)
    state = {"template_id": id_, "observed_from": iso(seen), **row}
    w.add("raw_kapso.template_states", id=f"{id_}|1", **state)


def sent(w: Warehouse, id_: str, name: str) -> None:
    of = {"name": name, "language": {"code": "es"}}
    w.api_replies("of templates", 5 * HOUR, id=id_, type="template", template=of)


def calls(w: Warehouse) -> None:
    ours = {"status": "FAILED", "direction": "BUSINESS_INITIATED"}
    theirs = {"status": "COMPLETED", "direction": "USER_INITIATED"}
    for name, phone in (("going on", "1"), ("over", "2"), ("listed", "3")):
        w.meta(0, call(name, "RINGING", f"1415555990{phone}"))
        w.meta(1, call(name, "ACCEPTED", f"1415555990{phone}"))
    w.meta(20, ended("over", 20, to="14155559902", **ours))
    row = {"direction": "outbound", "status": "failed", "user_wa_id": "14155559903"}
    w.add("raw_kapso.calls", id="L", call_id="listed", phone_number_id="100", **row)
    w.meta(60, ended("nameless", 60, **{"from": "14155550109"}, **theirs))
    row = {"direction": "inbound", "status": "failed", "started_at": iso(0)}
    w.add("raw_kapso.calls", id="N", call_id="nameless", phone_number_id="100", **row)
    w.person_replies("of calls", 2 * HOUR, kapso_phone_number="14155550109")


@pytest.fixture(scope="module")
def built(warehouse: Warehouse) -> Warehouse:
    w = warehouse
    calls(w)
    template(w, "1", "notice", 10 * HOUR)
    template(w, "2", "control", 10 * HOUR)
    w.meta(-HOUR, ("message_template_status_update", TEMPLATE | {"event": "APPROVED"}))
    for field, news in (("quality", {"new_quality_score": "RED"}), ("status", {"event": "PAUSED"})):
        w.meta(DAY, (f"message_template_{field}_update", TEMPLATE | news))
    sent(w, "of notice", "notice")
    sent(w, "of control", "control")
    campaign = {"id": "m1", "conversationId": "k", "contactId": "c", "waMessageId": "w1"}
    campaign |= {"direction": "outbound", "type": "template", "status": "delivered"}
    campaign |= {"campaignId": "spring", "createdAt": iso(0)}
    w.told(5, {"event": "message.sent", "data": campaign}, provider="waspy")
    written = {"id": "h", "from": "14155550001", "timestamp": unix(0), "type": "text"}
    w.meta(0, ("messages", {"messages": [written]}), account="hooks")
    talk = {"id": "untimed", "phone_number": "14155550102", "status": "ended"}
    for number, at in enumerate((HOUR, 5 * HOUR)):
        body = talk | {"phone_number_id": "100", "metadata": {"n": number}}
        w.told(at, {"conversation": body, "phone_number_id": "100"})
    for at in (0, 4 * HOUR):
        of = {"kapso_phone_number": "14155550102", "kapso_whatsapp_conversation_id": "untimed"}
        w.kapso("of closes", at, **of)
    w.person_replies(
        "of failures",
        0,
        id="failed twice",
        kapso_status="failed",
        kapso_statuses=[
            {"status": "failed", "timestamp": unix(at), "errors": [{"code": code}]}
            for at, code in ((1, 131047), (9, 131026))
        ],
    )
    w.build()
    return w


@pytest.mark.parametrize("call_id", ["going on", "over", "L"])
def test_a_call_that_was_accepted_opens_the_window_whatever_is_told_of_it_later(
    built: Warehouse, call_id: str
) -> None:
    [row] = built.rows(
        "select opened_at from marts.fct_calls join marts.fct_service_windows using (thread_key) "
        "where call_id = ?",
        call_id,
    )
    assert row["opened_at"] in (instant(0), instant(1))


def test_whose_a_listed_call_is_may_be_told_by_its_webhook(built: Warehouse) -> None:
    [row] = built.rows(
        "select thread_key, callback_seconds from marts.fct_calls where call_id = 'N'"
    )
    assert row["thread_key"].endswith("phone:14155550109")
    assert row["callback_seconds"] > HOUR


def test_changes_of_a_template_in_one_second_are_one_version(built: Warehouse) -> None:
    rows = built.rows(
        "select status, quality, valid_from from marts.dim_templates where template_id = '1' "
        "order by valid_from"
    )
    assert rows[-1] == {"status": "paused", "quality": "red", "valid_from": instant(DAY)}
    assert [row["valid_from"] for row in rows] == [instant(-HOUR), instant(DAY)]


def test_before_the_first_look_a_template_was_as_it_was_found_then(built: Warehouse) -> None:
    first, *_ = built.rows(
        "select name, category from marts.dim_templates where template_id = '1' order by valid_from"
    )
    assert first == {"name": "notice", "category": "utility"}
    costs = [built.message(f"of {name}")["estimated_cost_usd"] for name in ("notice", "control")]
    assert costs[0] == costs[1] > 0


def test_a_campaign_that_only_a_webhook_names_is_a_broadcast(built: Warehouse) -> None:
    [row] = built.rows("select * from marts.fct_broadcasts where broadcast_id = 'spring'")
    assert (row["started_at"], row["recipients"], row["delivered"]) == (instant(0), 1, 1)


def test_an_account_of_which_only_webhooks_tell_is_an_account(built: Warehouse) -> None:
    [row] = built.rows("select * from marts.dim_accounts where account = 'hooks'")
    assert (row["provider"], row["last_synced_at"]) == ("kapso", None)


def test_ends_of_a_conversation_without_a_time_are_each_one_of_their_own(built: Warehouse) -> None:
    rows = built.rows(
        "select outcome from marts.fct_turns where scope = 'any' and thread_key like ?",
        "%phone:14155550102",
    )
    assert [row["outcome"] for row in rows] == ["closed_unanswered"] * 2


def test_a_closed_window_is_told_whatever_else_failed(built: Warehouse) -> None:
    row = built.message("failed twice")
    assert (row["error_code"], row["is_window_violation"]) == ("131047", True)


def test_an_account_that_was_read_and_has_nothing_is_known_to_a_build_of_what_is_new(
    new_place: Callable[[Path], Place], tmp_path: Path
) -> None:
    w = Warehouse(new_place(tmp_path).loosened())
    w.asks("somebody", 0)
    w.build()
    w.run("insert into raw_kapso.sync_state (account, resource) values ('quiet', 'calls')")
    w.build()
    agents = "select agent_key from marts.dim_agents where account = 'quiet'"
    assert w.rows(agents) == [{"agent_key": "kapso:quiet:unattributed"}]
