"""The oracle itself, on histories small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from histories import AS_OF, Step, play, random_threads, thread
from metrics_oracle import Expected, expected
from oracle_compare import compare, compare_rows, story
from oracle_daily import mean, percentile_cont
from oracle_hours import Hours, Rules, Sla, business_seconds
from oracle_identity import phone_key

HOUR, DAY = 3600, 86400
KAPSO, WASPY = 0, 2  # numbers of threads: they decide the room


def history(number, *steps, start=-10 * DAY):
    """The marts of one thread that begins ten days before the build."""
    return play([thread(number, start, [Step(gap, kind) for gap, kind in steps])])


def marts(number, *steps, start=-10 * DAY, rules=None):
    return expected(history(number, *steps, start=start), AS_OF, rules)


def turns(scope, *steps, number=WASPY, **options):
    rows = marts(number, *steps, **options).fct_turns
    return [row for row in rows if row["scope"] == scope]


def windows(*steps, number=WASPY, **options):
    return marts(number, *steps, **options).fct_service_windows


def column(rows, name):
    return [row[name] for row in rows]


def test_a_burst_of_requests_is_one_turn_timed_from_its_first():
    (turn,) = turns("any", (0, "in_text"), (30, "in_text"), (60, "in_image"), (10, "out_human"))
    assert turn["requests"] == 3
    assert turn["response_seconds"] == 100
    assert turn["response_from_last_seconds"] == 10


def test_a_bot_answers_in_one_scope_and_hides_nothing_in_the_other():
    steps = [(0, "in_text"), (2, "out_bot"), (600, "out_human")]
    assert column(turns("any", *steps), "response_seconds") == [2]
    assert column(turns("human", *steps), "response_seconds") == [602]


@pytest.mark.parametrize(
    "kind", ["out_failed", "out_pending", "out_reaction", "out_campaign", "out_broadcast"]
)
def test_what_is_no_reply_leaves_the_customer_waiting(kind):
    (turn,) = turns("any", (0, "in_text"), (60, kind))
    assert turn["outcome"] == "waiting"
    assert turn["waiting_seconds"] == 10 * DAY
    assert turn["response_seconds"] is None


def test_a_failure_after_the_message_was_read_is_no_failure():
    (turn,) = turns("any", (0, "in_text"), (60, "out_failed_after_read"), number=KAPSO)
    assert turn["outcome"] == "answered"


def test_at_one_instant_the_customer_comes_first():
    (turn,) = turns("any", (0, "out_human"), (0, "in_text"))
    assert turn["response_seconds"] == 0


def test_a_revoked_request_waits_for_nothing_and_still_opened_the_window():
    steps = [(0, "in_text"), (9, "in_revoke")]
    assert turns("any", *steps, number=KAPSO) == []
    assert column(windows(*steps, number=KAPSO), "requests") == [0]


def test_a_close_ends_the_wait_without_an_answer_and_a_later_request_begins_anew():
    steps = [(0, "in_text"), (60, "close"), (1, "in_text"), (5, "out_human")]
    first, second = turns("any", *steps)
    assert (first["outcome"], second["outcome"]) == ("closed_unanswered", "answered")
    assert (first["responded_at"], first["response_seconds"]) == (None, None)
    assert (first["session_number"], second["session_number"]) == (1, 2)


def test_a_close_comes_after_everything_of_its_instant():
    rows = turns("any", (0, "in_text"), (60, "close"), (0, "out_human"))
    assert column(rows, "outcome") == ["answered"]


@pytest.mark.parametrize("later", ["reassign", "reopen"])
def test_a_close_stays_where_it_was_first_seen(later):
    steps = [(0, "in_text"), (60, "close"), (60, "in_text"), (60, "out_human"), (60, later)]
    rows = turns("any", *steps)
    assert column(rows, "outcome") == ["closed_unanswered", "answered"]


def test_a_conversation_that_was_reopened_can_close_again():
    steps = [(0, "in_text"), (60, "close"), (60, "reopen"), (0, "in_text"), (60, "close")]
    assert column(turns("any", *steps), "outcome") == ["closed_unanswered"] * 2


def test_the_end_of_a_kapso_session_closes_nothing():
    rows = turns("any", (0, "in_text"), (9, "close"), (9, "in_text"), number=KAPSO)
    assert column(rows, "requests") == [2]


@pytest.mark.parametrize(("gap", "sessions"), [(DAY - 1, [1, 1]), (DAY, [1, 2])])
def test_a_silence_of_exactly_a_day_begins_a_session(gap, sessions):
    rows = turns("any", (0, "in_text"), (0, "out_human"), (gap, "in_text"))
    assert column(rows, "session_number") == sessions
    assert column(rows, "is_first_response") == [True, gap == DAY]


def test_a_session_that_a_campaign_began_has_no_first_response():
    (turn,) = turns("any", (0, "out_campaign"), (60, "in_text"), (5, "out_human"))
    assert turn["session_initiated_by"] == "business"
    assert turn["is_first_in_session"] is True
    assert turn["is_first_response"] is False


def test_a_reply_at_the_very_end_of_the_window_is_too_late():
    early, late = (turns("any", (0, "in_text"), (gap, "out_human"))[0] for gap in (DAY - 1, DAY))
    assert (early["is_answered_in_window"], early["window_seconds_left"]) == (True, 1)
    assert (late["is_answered_in_window"], late["window_seconds_left"]) == (False, None)


def test_a_wait_is_mature_once_its_window_has_closed():
    young, old = (turns("any", (0, "in_text"), start=-s)[0] for s in (DAY - 1, DAY))
    assert (young["is_mature"], old["is_mature"]) == (False, True)


def test_windows_unite_days_that_overlap_and_not_days_that_touch():
    steps = [(0, "in_text"), (DAY - 1, "in_text"), (DAY, "in_reaction"), (0, "in_text")]
    first, second = windows(*steps)
    assert (first["refreshes"], second["refreshes"]) == (1, 0)
    assert first["closes_at"] == second["opened_at"]


def test_a_missed_call_opens_a_window_and_an_accepted_one_does_too():
    (row,) = windows((0, "call_in_missed"), (HOUR, "call_out_answered"), number=KAPSO)
    assert (row["calls"], row["refreshes"], row["requests"]) == (2, 1, 0)
    assert row["closes_at"] - row["opened_at"] == timedelta(seconds=HOUR + 60 + DAY)


def test_a_template_after_the_window_that_brings_the_customer_back_reopens():
    for wait, reopened in ((3 * DAY, True), (3 * DAY + 1, False)):
        steps = [(0, "in_text"), (DAY, "out_campaign"), (wait, "in_text")]
        assert column(windows(*steps), "is_reopened_by_template") == [False, reopened]


def test_a_missed_call_is_returned_by_the_next_reply():
    steps = [(0, "call_in_missed"), (100, "out_pending"), (20, "out_human")]
    assert column(marts(KAPSO, *steps).fct_calls, "callback_seconds") == [60]


def test_accounts_with_the_same_ids_are_strangers():
    played = play([thread(n, -DAY, [Step(0, "in_text"), Step(5, "out_api")]) for n in range(4)])
    rows = expected(played, AS_OF).fct_messages
    assert len({row["thread"] for row in rows}) == 4
    assert len({row["message_key"] for row in rows}) == 8


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        ("+54 9 11 2603-2641", "541126032641"),
        ("+541126032641", "541126032641"),
        ("54 11 15 2603 2641", "541126032641"),
        ("+54 9 351 15 234 5678", "543512345678"),
        ("5215512345678", "525512345678"),
        ("+55 11 8765-4321", "5511987654321"),
        ("+55 11 3265-4321", "551132654321"),  # a landline has no ninth digit
        ("AR.5411260326410", None),
        ("", None),
    ],
)
def test_every_spelling_of_a_phone_has_one_key(spelling, key):
    assert phone_key(spelling) == key


NIGHT = Hours("America/New_York", {"saturday": ["22:00-06:00"]})
ROUND_THE_CLOCK = Hours("Europe/Madrid", {"sunday": ["00:00-24:00"]})


def test_a_night_shift_lasts_as_long_as_the_clock_says():
    spring = datetime(2026, 3, 7, tzinfo=UTC)
    autumn = datetime(2026, 10, 31, tzinfo=UTC)
    assert business_seconds(NIGHT, spring, spring + timedelta(days=3)) == 7 * HOUR
    assert business_seconds(NIGHT, autumn, autumn + timedelta(days=3)) == 9 * HOUR


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 28, 23), (10, 24, 25)])
def test_a_day_of_the_clock_change_has_23_or_25_hours(month, day, hours):
    start = datetime(2026, month, day, tzinfo=UTC)
    found = business_seconds(ROUND_THE_CLOCK, start, start + timedelta(days=3))
    assert found == hours * HOUR


def test_business_time_is_what_walking_every_minute_finds():
    office = Hours(
        "America/Argentina/Buenos_Aires",
        {"monday": ["09:00-13:00", "12:00-14:00", "22:00-02:00"], "tuesday": ["14:00-18:00"]},
        {"2026-03-16": ["10:00-11:00"]},
    )
    zone = ZoneInfo(office.timezone)
    start = datetime(2026, 3, 8, 3, 17, tzinfo=UTC)

    def is_open(at):
        here = at.astimezone(zone)
        clock = (here.weekday(), here.hour, here.date() == date(2026, 3, 16))
        if clock[2]:
            return here.hour == 10
        weekday, hour, _ = clock
        return (weekday == 0 and (9 <= hour < 14 or hour >= 22)) or (
            weekday == 1 and (14 <= hour < 18 or (hour < 2 and here.date() != date(2026, 3, 17)))
        )

    for days in (1, 3, 9, 10):
        minutes = range(days * 24 * 60)
        walked = 60 * sum(is_open(start + timedelta(minutes=minute)) for minute in minutes)
        assert business_seconds(office, start, start + timedelta(days=days)) == walked


def test_without_hours_business_time_is_unknown_and_outside_them_it_is_zero():
    start = datetime(2026, 3, 18, tzinfo=UTC)
    assert business_seconds(None, start, start + timedelta(hours=1)) is None
    assert business_seconds(NIGHT, start, start + timedelta(hours=1)) == 0


@pytest.mark.parametrize(("wait", "verdict"), [(900, "met"), (901, "breached")])
def test_a_response_on_the_dot_is_on_time(wait, verdict):
    rules = Rules(slas={"default": Sla(first_response_seconds=900, response_seconds=1)})
    (turn,) = turns("any", (0, "in_text"), (wait, "out_human"), rules=rules)
    assert turn["sla_status"] == verdict


def test_percentiles_lie_between_neighbours():
    assert percentile_cont([10, 20, 30, 40], 0.5) == 25
    assert percentile_cont([10, 20], 0.9) == pytest.approx(19)
    assert percentile_cont([7], 0.95) == 7
    assert percentile_cont([], 0.5) is None
    assert mean([]) is None


def test_random_histories_repeat_and_contain_every_case():
    first, again = (play(list(random_threads(3, 3000))) for _ in range(2))
    assert first == again
    found = expected(first, AS_OF)
    outcomes = set(column(found.fct_turns, "outcome"))
    assert outcomes == {"answered", "waiting", "closed_unanswered"}
    assert set(column(found.fct_service_windows, "is_reopened_by_template")) == {True, False}
    senders = {"customer", "human", "bot", "campaign", "unknown"}
    assert set(column(found.fct_messages, "sender_kind")) == senders


def as_marts(found: Expected):
    """The oracle's own rows, dressed as mart rows."""
    names = {mart: getattr(found, mart) for mart in found.__dataclass_fields__}
    return {
        mart: [{**row, "thread_key": str(row.get("thread"))} for row in rows]
        for mart, rows in names.items()
    }


@pytest.fixture(scope="module")
def small():
    return expected(play(list(random_threads(5, 400))), AS_OF)


def test_equal_marts_have_no_differences(small):
    comparison = compare(small, as_marts(small))
    assert comparison.differences == []
    assert comparison.rows > 400


def test_one_changed_value_is_reported_with_its_thread(small):
    actual = as_marts(small)
    turn = next(t for t in actual["fct_turns"] if t["response_seconds"])
    turn["response_seconds"] += 1
    comparison = compare(small, actual)
    assert [difference.column for difference in comparison.differences] == ["response_seconds"]
    assert "is_request" in story(comparison, small)


@pytest.mark.parametrize("value", [None, 0, False])
def test_null_zero_and_false_are_three_things(value):
    others = [other for other in (None, 0, False) if other is not value]
    for other in others:
        rows = [{"call_key": "c", "is_answered": value}], [{"call_key": "c", "is_answered": other}]
        assert compare_rows("fct_calls", *rows)


def test_missing_extra_and_merged_rows_are_reported(small):
    actual = as_marts(small)
    lost = actual["fct_turns"].pop()
    actual["fct_service_windows"].append(dict(actual["fct_service_windows"][0]))
    found = compare(small, actual).differences
    assert [(d.mart, d.column, d.expected, d.actual) for d in found] == [
        ("fct_turns", "row", 1, 0),
        ("fct_service_windows", "row", 1, 2),
    ]
    assert lost["scope"] in found[0].key


def test_two_threads_under_one_name_are_reported(small):
    actual = as_marts(small)
    for row in actual["fct_messages"]:
        row["thread_key"] = "one"
    found = compare(replace(small, fct_turns=[]), actual | {"fct_turns": []}).differences
    assert "thread_key" in {difference.column for difference in found}
