"""Episodes of the 24-hour window, and calls. Seconds count from a Monday noon, UTC."""

from datetime import UTC, datetime, timedelta

import pytest

HOUR = 3600.0
DAY = 24 * HOUR
T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def iso(seconds):
    return (T0 + timedelta(seconds=seconds)).isoformat()


@pytest.fixture(scope="module")
def built(warehouse):
    w = warehouse

    def call(call_id, thread, direction, started, **row):
        w.add(
            "raw_kapso.calls",
            id=call_id,
            direction=direction,
            user_wa_id=w.phone(thread),
            phone_number_id="100",
            started_at=iso(started),
            **row,
        )

    w.asks("exactly 24 h", 0, DAY)
    w.asks("one second before", 0, DAY - 1)
    w.asks("answered late", 0)
    w.person_replies("answered late", DAY)
    w.asks("answered", 0, HOUR)
    w.person_replies("answered", 2 * HOUR)
    w.api_replies("answered", 3 * HOUR, type="template")
    w.person_replies("answered", 3 * HOUR, type="reaction")
    w.person_replies("answered", 4 * HOUR, kapso_status="failed")
    w.person_replies("answered", 4 * HOUR, kapso_status="pending")
    w.asks("reopened", 0)
    w.api_replies("reopened", DAY, type="template")
    w.asks("reopened", DAY + 72 * HOUR)
    w.asks("reopened too late", 0)
    w.api_replies("reopened too late", DAY, type="template")
    w.asks("reopened too late", DAY + 72 * HOUR + 1)
    w.asks("template inside", 0)
    w.api_replies("template inside", DAY - 1, type="template")
    w.asks("template inside", DAY + HOUR)
    w.asks("violation", 0)
    w.person_replies(
        "violation", 2 * DAY, id="refused", kapso_status="failed", errors=[{"code": 131047}]
    )
    w.asks("mismatch", 0)
    w.person_replies("mismatch", 2 * DAY, id="delivered outside")
    w.asks("no window", 0, type="reaction")
    w.asks("no window", 0, type="system")

    w.asks("called", 0)
    call("missed", "called", "INBOUND", 23 * HOUR, status="failed", ended_at=iso(23 * HOUR + 30))
    w.person_replies("called", 23 * HOUR + 90)
    call(
        "ours",
        "business call",
        "outbound",
        0,
        status="COMPLETED",
        duration_seconds="12",
        session_started_at=iso(8),
        ended_at=iso(20),
    )
    call("not taken", "refused call", "outbound", 0, status="failed")
    call("twice", "called back", "inbound", 0, status="completed", ended_at=iso(20))
    call("back", "called back", "outbound", 80, status="answered")
    call("nobody", "never called back", "inbound", 0, status="ringing")

    w.waspy_thread("promised", service_window_expires_at=iso(DAY + HOUR + 5).replace("+00:00", "Z"))
    w.waspy("promised", -3 * DAY)
    w.waspy("promised", HOUR)
    w.build()
    return w


def test_an_event_exactly_at_the_close_opens_a_new_episode(built):
    first, second = built.windows("exactly 24 h")
    assert (first["closes_at"], second["opened_at"]) == (
        second["opened_at"],
        T0 + timedelta(days=1),
    )


def test_an_event_before_the_close_moves_it(built):
    [window] = built.windows("one second before")
    assert (window["refreshes"], window["closes_at"]) == (1, T0 + timedelta(seconds=2 * DAY - 1))


def test_a_reply_at_the_close_leaves_the_window_expired(built):
    [window] = built.windows("answered late")
    assert (window["is_answered"], window["is_expired_unanswered"], window["is_open"]) == (
        False,
        True,
        False,
    )


def test_an_answered_window_counts_what_was_sent_inside(built):
    [window] = built.windows("answered")
    assert window["first_response_at"] == T0 + timedelta(hours=2)
    assert window["seconds_left_at_first_response"] == 23 * HOUR
    assert (window["requests"], window["free_form_messages"], window["template_messages"]) == (
        2,
        2,
        1,
    )


def test_a_template_reopens_for_72_hours(built):
    assert [w["is_reopened_by_template"] for w in built.windows("reopened")] == [False, True]
    assert [w["is_reopened_by_template"] for w in built.windows("reopened too late")] == [
        False,
        False,
    ]


def test_a_template_inside_the_window_reopens_nothing(built):
    assert [w["is_reopened_by_template"] for w in built.windows("template inside")] == [
        False,
        False,
    ]


def test_a_refusal_is_a_violation_and_a_delivery_outside_is_only_a_mismatch(built):
    refused, outside = built.message("refused"), built.message("delivered outside")
    assert (refused["is_window_violation"], refused["is_window_mismatch"]) == (True, False)
    assert (outside["is_window_violation"], outside["is_window_mismatch"]) == (False, True)


def test_reactions_and_system_messages_open_nothing(built):
    assert built.windows("no window") == []


def test_a_customers_call_refreshes_the_window_even_when_missed(built):
    [window] = built.windows("called")
    assert (window["calls"], window["closes_at"]) == (1, T0 + timedelta(hours=47))


def test_our_call_opens_the_window_when_it_is_taken(built):
    [window] = built.windows("business call")
    assert (window["opened_at"], window["requests"]) == (T0 + timedelta(seconds=8), 0)
    assert built.windows("refused call") == []


def calls(built):
    return {row["call_id"]: row for row in built.rows("select * from marts.fct_calls")}


def test_a_missed_call_is_called_back_by_a_reply_or_a_call(built):
    by_id = calls(built)
    assert by_id["missed"]["callback_seconds"] == 60.0
    assert by_id["twice"]["callback_seconds"] == 60.0
    assert by_id["nobody"]["callback_seconds"] is None
    assert by_id["nobody"]["is_missed"]


def test_a_call_is_answered_when_somebody_talked(built):
    by_id = calls(built)
    assert by_id["ours"]["is_answered"]
    assert not by_id["twice"]["is_answered"]  # completed, but nobody picked up
    assert (by_id["missed"]["direction"], by_id["ours"]["status"]) == ("inbound", "completed")


def test_the_providers_close_is_compared_on_the_last_episode(built):
    first, last = built.windows("promised")
    assert (first["provider_closes_at"], first["window_drift_seconds"]) == (None, None)
    assert last["window_drift_seconds"] == 5.0
