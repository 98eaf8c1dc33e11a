"""What webhooks add to the numbers. Times are seconds after the tests' noon."""

from datetime import timedelta

import pytest
from hook_bench import NUMBER, T0, Bench, ended, iso, message, meta, unix

DAY = 86400


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    b = Bench(tmp_path_factory.mktemp("hooks"))
    # Known to both, with disagreements: the list is right about what the message is.
    b.pulled("both", 0, "outbound", type="image", kapso_status="sent")
    b.pulled("pulled", 10)
    b.pulled("revoked by an event", 20)
    # What the list does not say a webhook told.
    b.pulled("listed echo", 600, "outbound", kapso_origin=None, kapso_status="pending")
    b.pulled("listed old", -9 * DAY, kapso_origin=None, kapso_status="delivered")
    b.add("raw_kapso.calls", id="call-1", call_id="wacid.known", direction="inbound",
          status="ringing", phone_number_id=NUMBER, user_wa_id="5491150000001",
          started_at=iso(3 * DAY))  # fmt: skip
    b.tell(
        message("both", 0, direction="outbound", told_at=99, status="delivered",
                statuses=[("sent", 1), ("delivered", 5)]),
        message("both", 0, direction="outbound", told_at=60, status="read"),
        message("both", 0, direction="outbound", told_at=61, status="read"),
        message("told", 100, kapso={"origin": None}),
        message("answer", 130, direction="outbound"),
        message("answer", 130, direction="outbound", told_at=500, status="delivered"),
        message("late", 200, direction="outbound", told_at=777, status="delivered"),
        message("late with times", 0, direction="outbound", told_at=778, status="delivered",
                statuses=[("sent", 300)]),
        message("gone", 400, direction="outbound", told_at=401, status="failed",
                errors=[{"code": 131047}], phone="5491150000002"),
        meta("messages", statuses=[{"id": "both", "status": "played", "timestamp": unix(90),
             "pricing": {"category": "SERVICE", "type": "free_customer_service"}}]),
        meta("messages", messages=[{"id": "revoke-1", "type": "revoke", "from": "5491150000001",
             "timestamp": unix(25), "revoke": {"original_message_id": "revoked by an event"}}]),
        meta("smb_message_echoes", message_echoes=[{"id": "echo", "type": "text", "from": "1555",
             "to": "5491150000003", "timestamp": unix(600), "text": {"body": "va"}}]),
        meta("smb_message_echoes", message_echoes=[{"id": "listed echo", "type": "text",
             "to": "5491150000001", "timestamp": unix(600), "text": {"body": "va"}}]),
        meta("history", history=[{"threads": [{"id": "5491150000003", "messages": [
            {"id": wamid, "type": "text", "from": "5491150000003", "timestamp": unix(-9 * DAY),
             "text": {"body": "?"}, "history_context": {"status": "READ"}}
            for wamid in ("old", "listed old")]}]}]),
        meta("calls", calls=[{"id": "wacid.known", "event": "terminate", "status": "COMPLETED",
             "direction": "USER_INITIATED", "from": "5491150000001",
             "timestamp": unix(3 * DAY + 95),
             "start_time": unix(3 * DAY + 5), "end_time": unix(3 * DAY + 95), "duration": 90}]),
        meta("calls", calls=[{"id": "wacid.told", "event": "terminate", "status": "COMPLETED",
             "direction": "USER_INITIATED", "from": "5491150000004", "timestamp": unix(50)}]),
        meta("calls", calls=[{"id": "wacid.told", "event": "connect",
             "direction": "USER_INITIATED", "from": "5491150000004", "timestamp": unix(20)}]),
        # Told by both sorts of body, of which Meta's knows no conversation.
        *(message(f"twice {i}", 0, conversation=f"twice {i}", phone=f"549116000000{i}")
          for i in range(6)),
        *(meta("messages", messages=[{"id": f"twice {i}", "type": "text", "timestamp": unix(0),
               "from": f"549116000000{i}", "text": {"body": "hola"}}]) for i in range(6)),
        # A conversation that somebody ended, and one that ran out.
        message("asks", 0, conversation="closed", phone="5491150000005"),
        ended("closed", 3600, phone="5491150000005"),
        message("asks too", 0, conversation="ran out", phone="5491150000006"),
        ended("ran out", DAY, phone="5491150000006"),
        {"event": "workflow.execution.handoff", "occurred_at": iso(30),
         "whatsapp_conversation_id": "closed", "handoff": {"source": "agent_tool"}},
    )  # fmt: skip
    b.build()
    return b


def at(seconds):
    return T0 + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("wamid", "seen_in"), [("both", "both"), ("pulled", "api"), ("told", "webhook")]
)
def test_who_told_of_a_message_is_kept(built, wamid, seen_in):
    assert built.message(wamid)["seen_in"] == seen_in


def test_the_list_says_what_a_message_is_and_webhooks_what_became_of_it(built):
    row = built.message("both")
    assert (row["message_type"], row["occurred_at"]) == ("image", at(0))
    times = ("sent_at", "delivered_at", "read_at", "played_at")
    assert [row[name] for name in times] == [at(1), at(5), at(60), at(90)]
    assert row["status"] == "played"
    assert (row["pricing_category"], row["pricing_type"]) == ("service", "free_customer_service")


def test_a_message_that_only_a_webhook_told_counts_before_the_next_pull(built):
    (turn,) = built.rows(
        "select * from marts.fct_turns where reply_message_key = 'kapso:default:answer'"
        " and scope = 'human'"
    )
    assert (turn["started_at"], turn["response_seconds"]) == (at(10), 120)


def test_a_status_moves_no_message(built):
    assert built.message("answer")["occurred_at"] == at(130)
    assert built.message("answer")["delivered_at"] == at(500)


def test_a_message_known_by_a_late_status_alone_has_the_time_that_its_statuses_tell(built):
    assert built.message("late")["occurred_at"] is None
    assert built.message("late with times")["occurred_at"] == at(300)
    assert built.message("late")["delivered_at"] == at(777)


def test_a_failure_comes_with_its_code(built):
    row = built.message("gone")
    assert (row["status"], row["error_code"], row["is_window_violation"]) == (
        "failed", "131047", True,
    )  # fmt: skip


def test_a_revoke_that_an_event_tells_takes_the_request_back(built):
    row = built.message("revoked by an event")
    assert (row["is_request"], row["opens_window"]) == (False, True)


def test_what_is_written_in_the_app_is_a_persons_and_imported_history_no_request(built):
    assert built.message("echo")["sender_kind"] == "human"
    old = built.message("old")
    assert (old["is_imported"], old["is_request"], old["direction"]) == (True, False, "inbound")


def test_a_list_that_leaves_it_open_silences_no_webhook(built):
    echo, old = built.message("listed echo"), built.message("listed old")
    assert (echo["sender_kind"], echo["status"], echo["is_reply"]) == ("human", "sent", True)
    assert (old["is_imported"], old["is_request"], old["status"]) == (True, False, "read")


def test_a_conversation_that_one_of_two_tellings_names_is_known(built):
    named = [built.message(f"twice {i}")["conversation_key"] for i in range(6)]
    assert named == [f"kapso:default:twice {i}" for i in range(6)]


def test_a_call_is_one_row_and_webhooks_fill_what_the_list_does_not_say_yet(built):
    known = built.one("select * from marts.fct_calls where call_id = 'call-1'")
    assert (known["duration_seconds"], known["is_answered"]) == (90, True)
    told = built.one("select * from marts.fct_calls where call_id = 'wacid.told'")
    assert (told["started_at"], told["is_missed"]) == (at(20), True)
    assert len(built.rows("select * from marts.fct_calls")) == 2


def test_an_end_within_a_day_of_the_last_message_closes_and_a_later_one_does_not(built):
    outcomes = {
        row["conversation_key"].rpartition(":")[2]: row["outcome"]
        for row in built.rows("select * from marts.fct_turns where scope = 'any'")
        if row["conversation_key"]
    }
    assert (outcomes["closed"], outcomes["ran out"]) == ("closed_unanswered", "waiting")


def test_both_ends_are_told_of_the_conversation(built):
    rows = built.rows(
        "select conversation_id, status, ended_at from marts.fct_conversations"
        " where conversation_id in ('closed', 'ran out') order by 1"
    )
    assert [(row["status"], row["ended_at"]) for row in rows] == [
        ("ended", at(3600)),
        ("ended", at(DAY)),
    ]


def test_nothing_was_rejected(built):
    assert built.rows("select reason from raw_webhooks.rejected") == []
