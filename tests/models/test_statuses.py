"""Statuses and fields as staging reads them: whatever arrives, nothing stops a build."""

from datetime import UTC, datetime, timedelta

import pytest

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
UNIX = int(T0.timestamp())


def events(*pairs):
    return [{"status": status, "timestamp": str(UNIX + at)} for status, at in pairs]


@pytest.fixture(scope="module")
def built(warehouse):
    w = warehouse

    def sent(message_id, status, statuses, **row):
        w.person_replies(
            "statuses", 0, id=message_id, kapso_status=status, kapso_statuses=statuses, **row
        )

    sent("row ahead", "read", events(("sent", 0), ("delivered", 2)))
    sent(
        "events ahead", "sent", events(("sent", 0), ("read", 9), ("delivered", 5), ("delivered", 3))
    )
    sent("played", "delivered", events(("played", 20)))
    sent("failed first", "failed", events(("failed", 1), ("delivered", 2)))
    sent("failed", "sent", events(("sent", 0), ("failed", 1)))
    sent("upper case", "READ", [])
    sent("unheard of", "teleported", [])
    sent("skewed", "delivered", events(("sent", 0), ("delivered", -5)))
    sent(
        "priced",
        "delivered",
        [
            {
                "status": "sent",
                "timestamp": "x",
                "pricing": {"category": "UTILITY", "type": "regular"},
            }
        ],
    )
    for number, broken in enumerate(
        ("{", "[1, 2", '["a", 3, null]', "null", "", '{"status": "read"}')
    ):
        w.person_replies(
            "broken",
            number,
            id=f"broken {number}",
            kapso_statuses=broken,
            text=broken,
            template=broken,
            interactive=broken,
            errors=broken,
            type="template",
        )
    w.asks("inbound", 0, id="inbound", kapso_status="received")
    w.asks("iso", 0, id="offset", timestamp="2026-03-02T08:00:00.123456-04:00")
    w.asks("iso", 0, id="far", timestamp="99999999999")
    w.asks("iso", 0, id="impossible", timestamp="2026-02-30T00:00:00Z")
    w.asks("iso", 0, id="infinite", timestamp="infinity")
    w.asks("odd", 0, id="sideways", kapso_direction="sideways")
    w.add(
        "raw_kapso.calls",
        id="odd call",
        direction="inbound",
        duration_seconds="-5",
        started_at="nan",
    )
    w.asks("odd", 0, id="empty", kapso_direction="", kapso_status="", type="", kapso_origin="")
    w.asks("copied", 0, id="twice", fetched_at="2026-03-03T00:00:00Z", kapso_status="sent")
    w.asks("copied", 0, id="twice", fetched_at="2026-03-04T00:00:00Z", kapso_status="read")
    w.waspy_thread("unread", status="REOPENED")
    w.waspy("unread", 0, id="odd waspy", position="first", sent_by_ai="maybe", content="not json")
    w.waspy_was(w.waspy("unread", 9, "outbound", id="went back", status="failed"), "DELIVERED")
    w.waspy_was(w.waspy("unread", 9, "outbound", id="never came", status="failed"), "sent", "")
    w.waspy_was(w.waspy("unread", 9, "outbound", id="read once", status="sent"), "failed", "read")
    w.result = w.build()
    return w


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("row ahead", "read"),
        ("events ahead", "read"),
        ("played", "played"),
        ("failed first", "delivered"),
        ("failed", "failed"),
        ("upper case", "read"),
        ("unheard of", "teleported"),
        ("inbound", "received"),
        ("empty", None),
        ("twice", "read"),
    ],
)
def test_the_furthest_status_wins_and_failed_only_over_sent(built, message, status):
    assert built.message(message)["status"] == status


@pytest.mark.parametrize(
    ("message", "status"),
    [("went back", "delivered"), ("never came", "failed"), ("read once", "read")],
)
def test_a_waspy_message_that_was_delivered_stays_so(built, message, status):
    row = built.message(message)
    assert (row["status"], row["delivered_at"]) == (status, None)


def test_each_status_keeps_its_earliest_time(built):
    row = built.message("events ahead")
    assert row["delivered_at"] == T0 + timedelta(seconds=3)
    assert row["read_at"] == T0 + timedelta(seconds=9)
    assert built.message("upper case")["read_at"] is None


def test_times_that_run_backwards_are_flagged(built):
    assert built.message("skewed")["is_clock_skewed"]
    assert not built.message("row ahead")["is_clock_skewed"]


def test_pricing_is_read_from_status_events(built):
    row = built.message("priced")
    assert (row["pricing_category"], row["pricing_type"], row["sent_at"]) == (
        "utility",
        "regular",
        None,
    )


def test_offsets_and_fractions_are_read_and_impossible_dates_are_null(built):
    assert built.message("offset")["occurred_at"] == T0 + timedelta(microseconds=123456)
    assert built.message("impossible")["occurred_at"] is None
    assert built.message("infinite")["occurred_at"] is None


def test_json_that_is_broken_leaves_nulls_and_a_message(built):
    rows = built.rows("select * from marts.fct_messages where message_id like 'broken%'")
    assert len(rows) == 6
    assert {row["status"] for row in rows} == {"delivered"}


def test_a_direction_nobody_knew_is_told_and_stops_nothing(built):
    row = built.message("sideways")
    assert (row["direction"], row["is_request"], row["is_reply"]) == ("sideways", False, False)
    assert any("fct_messages_direction" in name for name in built.result.warnings)


def test_fields_that_make_no_sense_are_missing_not_fatal(built):
    row = built.message("odd waspy")
    assert (row["is_request"], row["text_length"]) == (True, None)
    assert built.message("empty")["is_request"] is False
