"""What starts, extends and ends a turn. Seconds count from a Monday noon, UTC."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.building.build import Sla
from pipelines.business_time import parse_hours

HOUR = 3600.0
DAY = 24 * HOUR
T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
AS_OF = datetime(2026, 3, 20, tzinfo=UTC)


def answers(w):
    """Requests, and what answers them or does not."""
    w.asks("burst", 0, 30, 50)
    w.person_replies("burst", 60, 61)
    w.asks("instant", 0)
    w.person_replies("instant", 0)
    w.asks("never answered", 0, 100)
    w.asks("bot first", 0)
    w.api_replies("bot first", 1)
    w.person_replies("bot first", 600)
    w.asks("reaction", 0)
    w.person_replies("reaction", 10, type="reaction")
    w.asks("customer reacts", 0, type="reaction")
    w.asks("failed reply", 0)
    w.person_replies("failed reply", 10, kapso_status="failed")
    w.asks("pending reply", 0)
    w.person_replies("pending reply", 10, kapso_status="pending")
    w.asks("template reply", 0)
    w.person_replies("template reply", 30, type="template", template={"name": "hi"})
    w.asks("late failure", 0)
    w.person_replies(
        "late failure",
        10,
        kapso_status="sent",
        kapso_statuses=[
            {"status": "sent", "timestamp": "1772452810"},
            {"status": "failed", "timestamp": "1772452900", "errors": [{"code": 131026}]},
        ],
    )


def what_counts(w):
    """Messages that are history, taken back, or of a type of their own."""
    w.asks("history", 0, kapso_origin="history_sync")
    w.person_replies("history", 60, kapso_origin="history_sync")
    revoked = w.asks("revoked", 0)
    w.asks("revoked", 5, type="revoke", payload={"revoke": {"original_message_id": revoked}})
    kept = w.asks("revoked top level", 0)
    w.asks("revoked top level", 5, type="revoke", original_message_id=kept)
    w.asks("unknown type", 0, type="hologram")
    w.asks("permission", 0, type="interactive", interactive={"type": "call_permission_reply"})


def sessions_and_windows(w):
    """Silences of a day, and replies near a close of the window."""
    w.person_replies("business first", 0)
    w.asks("business first", 60)
    w.person_replies("business first", 90)
    w.asks("sessions", 0)
    w.person_replies("sessions", 60)
    w.asks("sessions", 120)
    w.person_replies("sessions", 180)
    w.asks("sessions", 180 + DAY)  # a gap of exactly 24 hours
    w.asks("one second less", 0)
    w.person_replies("one second less", 60)
    w.asks("one second less", 59 + DAY)
    w.asks("at the close", 0)
    w.person_replies("at the close", DAY)
    w.asks("just before", 0)
    w.person_replies("just before", DAY - 1)
    w.asks("refreshed", 0, 3 * HOUR)
    w.person_replies("refreshed", DAY + HOUR)
    w.asks("no channel", 0, kapso_phone_number_id=None)
    w.asks("no channel", 0)
    w.asks("unreadable time", 0, timestamp="yesterday")


def waspy_authors(w):
    """Authors that only Waspy tells, and one second with several messages."""
    w.waspy_thread("campaign")
    w.waspy("campaign", 0)
    w.waspy("campaign", 10, "outbound", type="template", campaign_id="spring")
    w.waspy_thread("ai")
    w.waspy("ai", 0)
    w.waspy("ai", 5, "outbound", sent_by_ai="true")
    w.waspy("ai", 65, "outbound", origin="agent")
    w.waspy_thread("same second")
    w.waspy("same second", 0, id="z", position="1")
    w.waspy("same second", 10, "outbound", id="y", position="2")
    w.waspy("same second", 10, "outbound", id="x", position="3")
    w.waspy_thread("reply before request")
    w.waspy("reply before request", 0, "outbound", id="o", position="1")
    w.waspy("reply before request", 0, id="i", position="2")


def waspy_closes(w):
    """Conversations that were closed and opened again."""
    close = {"status": "resolved", "fetched_at": (T0 + timedelta(hours=5)).isoformat()}
    w.waspy_thread("closed", **close)
    w.waspy("closed", 0)
    w.waspy("closed", 6 * HOUR)
    w.waspy_thread("closed after reply", **close)
    w.waspy("closed after reply", 0)
    w.waspy("closed after reply", HOUR, "outbound")
    w.waspy("closed after reply", 6 * HOUR)
    w.waspy_thread("reopened", status="open", fetched_at=(T0 + timedelta(hours=9)).isoformat())
    for hours, status in ((1, "open"), (5, "resolved"), (7, "closed"), (9, "open")):
        w.waspy_state("reopened", hours * HOUR, status)
    w.waspy("reopened", 0)
    w.waspy("reopened", 6 * HOUR)
    w.waspy("reopened", 8 * HOUR, "outbound")
    w.waspy_thread("body")
    w.waspy("body", 0, id="with body", content={"body": "hola!"})


@pytest.fixture(scope="module")
def built(warehouse):
    answers(warehouse)
    what_counts(warehouse)
    sessions_and_windows(warehouse)
    waspy_authors(warehouse)
    waspy_closes(warehouse)
    warehouse.build()
    return warehouse


def only(turns):
    [turn] = turns
    return turn


def test_a_burst_is_one_turn_that_waits_from_its_first_message(built):
    turn = only(built.turns("burst"))
    assert (turn["requests"], turn["outcome"]) == (3, "answered")
    assert (turn["response_seconds"], turn["response_from_last_seconds"]) == (60.0, 10.0)


def test_a_reply_in_the_same_second_answers_in_zero_seconds(built):
    assert only(built.turns("instant"))["response_seconds"] == 0.0


def test_a_turn_without_a_reply_is_waiting_and_has_no_response_time(built):
    turn = only(built.turns("never answered"))
    assert (turn["outcome"], turn["response_seconds"]) == ("waiting", None)
    assert turn["waiting_seconds"] == (AS_OF - T0).total_seconds()
    assert turn["is_answered_in_window"] is None
    assert turn["is_mature"]


def test_a_bots_greeting_does_not_hide_the_wait_for_a_person(built):
    assert only(built.turns("bot first"))["response_seconds"] == 1.0
    assert only(built.turns("bot first"))["responder_kind"] == "unknown"
    assert only(built.turns("bot first", "human"))["response_seconds"] == 600.0


def test_what_the_provider_marks_as_ai_is_a_bot(built):
    assert only(built.turns("ai"))["responder_kind"] == "bot"
    assert only(built.turns("ai", "human"))["response_seconds"] == 65.0


@pytest.mark.parametrize(
    "thread", ["reaction", "failed reply", "pending reply", "late failure", "campaign"]
)
def test_what_is_no_reply_leaves_the_turn_waiting(built, thread):
    assert only(built.turns(thread))["outcome"] == "waiting"


def test_a_template_that_is_no_campaign_is_a_reply(built):
    turn = only(built.turns("template reply"))
    assert (turn["response_seconds"], turn["is_template_reply"]) == (30.0, True)


@pytest.mark.parametrize("thread", ["customer reacts", "history", "permission", "unreadable time"])
def test_what_asks_nothing_starts_no_turn(built, thread):
    assert built.turns(thread) == []


@pytest.mark.parametrize("thread", ["revoked", "revoked top level"])
def test_a_revoked_request_waits_for_nothing_but_opened_its_window(built, thread):
    assert built.turns(thread) == []
    [window] = built.windows(thread)
    assert (window["requests"], window["opened_at"]) == (0, T0)


def test_a_message_type_nobody_knew_is_a_request(built):
    assert only(built.turns("unknown type"))["requests"] == 1


def test_only_the_first_turn_of_a_customers_session_makes_first_response_time(built):
    first, second, third = built.turns("sessions")
    assert [t["is_first_response"] for t in (first, second, third)] == [True, False, True]
    assert [t["session_number"] for t in (first, second, third)] == [1, 1, 2]


def test_a_silence_of_less_than_24_hours_keeps_the_session(built):
    assert [t["session_number"] for t in built.turns("one second less")] == [1, 1]


def test_a_session_that_the_business_began_has_no_first_response(built):
    turn = only(built.turns("business first"))
    assert (turn["session_initiated_by"], turn["is_first_response"]) == ("business", False)
    assert turn["is_first_in_session"]


def test_a_reply_at_the_close_is_outside_the_window(built):
    turn = only(built.turns("at the close"))
    assert (turn["is_answered_in_window"], turn["window_seconds_left"]) == (False, None)


def test_a_reply_one_second_before_the_close_is_inside(built):
    turn = only(built.turns("just before"))
    assert (turn["is_answered_in_window"], turn["window_seconds_left"]) == (True, 1.0)


def test_a_second_request_moves_the_window_that_the_reply_has(built):
    turn = only(built.turns("refreshed"))
    assert turn["window_closes_at"] == T0 + timedelta(hours=27)
    assert turn["window_seconds_left"] == 2 * HOUR


def test_an_unknown_channel_is_a_thread_of_its_own(built):
    turns = built.turns("no channel")
    assert {turn["channel_key"] for turn in turns} == {None, "kapso:default:100"}
    assert [turn["turn_number"] for turn in turns] == [1, 1]


def test_an_unreadable_time_keeps_the_message_out_of_turns_only(built):
    [row] = built.rows(
        "select occurred_at from marts.fct_messages where message_id like 'unreadable%'"
    )
    assert row["occurred_at"] is None


def test_replies_of_one_second_keep_the_order_of_the_list(built):
    assert only(built.turns("same second"))["reply_message_key"] == "waspy:default:y"


def test_a_request_comes_before_a_reply_of_its_second(built):
    assert only(built.turns("reply before request"))["outcome"] == "answered"


def test_a_close_ends_a_turn_and_a_later_message_reopens(built):
    closed, waiting = built.turns("closed")
    assert (closed["outcome"], closed["responded_at"]) == ("closed_unanswered", None)
    assert closed["window_closes_at"] == T0 + timedelta(hours=24)
    assert (waiting["outcome"], waiting["session_number"]) == ("waiting", 2)
    assert waiting["is_first_response"]


def test_a_close_after_the_reply_splits_the_session_only(built):
    answered, waiting = built.turns("closed after reply")
    assert (answered["outcome"], waiting["outcome"]) == ("answered", "waiting")
    assert waiting["session_number"] == 2


def test_a_close_stays_where_it_was_first_seen_and_is_not_forgotten(built):
    closed, answered = built.turns("reopened")
    assert closed["outcome"] == "closed_unanswered"
    assert closed["window_closes_at"] == T0 + timedelta(hours=24)
    assert answered["outcome"] == "answered"


def test_text_is_read_under_any_of_its_names(built):
    assert built.message("with body")["text_length"] == 5


def test_a_late_failure_is_the_messages_status_with_its_code(built):
    [row] = built.rows(
        "select * from marts.fct_messages"
        " where message_id like 'late failure%' and direction = 'outbound'"
    )
    assert (row["status"], row["error_code"], row["is_reply"]) == ("failed", "131026", False)


def test_the_clock_decides_only_its_own_columns(built):
    clocked = {"waiting_seconds", "window_closes_at", "is_mature", "sla_status", "is_provisional"}

    def facts():
        turns = built.rows("select * from marts.fct_turns order by turn_key")
        return [{name: turn[name] for name in turn.keys() - clocked} for turn in turns]

    before = facts()
    built.build(as_of=T0 + timedelta(hours=2))
    assert facts() == before
    [turn] = built.turns("never answered")
    assert (turn["waiting_seconds"], turn["is_mature"], turn["is_provisional"]) == (
        7200.0,
        False,
        True,
    )


def test_targets_are_judged_by_the_number_that_is_shown(built):
    hours = parse_hours(timezone="UTC", monday=["09:00-12:01"], tuesday=["09:00-10:00"])
    built.build(
        as_of=T0 + timedelta(minutes=5),
        business_hours={"default": hours},
        sla={"default": Sla(60, 60), "default/100": Sla(60, 60, "business")},
    )
    burst, waiting = only(built.turns("burst")), only(built.turns("never answered"))
    assert (burst["business_response_seconds"], burst["sla_status"]) == (60.0, "met")
    assert waiting["sla_status"] == "pending"  # five minutes, one of them open
    assert only(built.turns("bot first", "human"))["business_response_seconds"] == 60.0
    assert only(built.turns("ai", "human"))["sla_status"] == "breached"  # calendar: 65 seconds
    assert built.turns("closed")[0]["sla_status"] == "breached"
