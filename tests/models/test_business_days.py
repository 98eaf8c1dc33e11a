"""Business seconds and local days, where clocks change and nights are worked."""

from datetime import UTC, date, datetime

import pytest

from pipelines.business_time import parse_hours

WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def at(text):
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - T0).total_seconds()


BUENOS_AIRES = "America/Argentina/Buenos_Aires"  # UTC-3
WITH_HOURS = {
    "as_of": datetime(2026, 11, 1, tzinfo=UTC),
    "timezone": "America/Mexico_City",
    "business_hours": {
        "default": parse_hours(
            timezone=BUENOS_AIRES,
            exceptions={"2026-03-10": []},
            **dict.fromkeys(WEEK[:5], ("09:00-13:00", "14:00-18:00")),
        ),
        "default/madrid": parse_hours(
            timezone="Europe/Madrid", **dict.fromkeys(WEEK, ("22:00-06:00",))
        ),
    },
}


@pytest.fixture(scope="module")
def filled(warehouse):
    w = warehouse

    def pair(thread, asked, replied, **row):
        w.asks(thread, at(asked), **row)
        w.person_replies(thread, at(replied), **row)

    madrid = {"kapso_phone_number_id": "madrid"}
    pair("spring night", "2026-03-28T20:00", "2026-03-29T12:00", **madrid)
    pair("autumn night", "2026-10-24T19:00", "2026-10-25T12:00", **madrid)
    pair("wholly outside", "2026-04-06T09:00", "2026-04-06T10:00", **madrid)
    pair("split day", "2026-03-03T15:30", "2026-03-03T18:00")
    pair("over the weekend", "2026-03-06T20:30", "2026-03-09T12:30")
    pair("holiday", "2026-03-10T13:00", "2026-03-11T12:30")
    pair("late evening", "2026-03-05T01:00", "2026-03-05T01:01")
    pair("decades", "2009-06-01T00:00", "2026-03-09T12:30", kapso_phone_number_id="old")
    return w


@pytest.fixture
def built(filled):
    """The shop with its hours, whatever test ran before this one."""
    return built_with(filled, WITH_HOURS)


@pytest.fixture
def without_hours(filled):
    return built_with(filled, {})


def built_with(w, options):
    """Built so, if the last build was another."""
    if getattr(w, "built_with", None) != options:
        w.build(**options)
        w.built_with = options
    return w


def seconds(built, thread):
    [turn] = built.turns(thread)
    return turn["business_response_seconds"]


def test_a_night_shift_has_seven_hours_in_spring_and_nine_in_autumn(built):
    assert seconds(built, "spring night") == 7 * 3600
    assert seconds(built, "autumn night") == 9 * 3600


def test_as_of_an_earlier_time_business_time_is_what_it_is(filled):
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    w = built_with(filled, WITH_HOURS | {"as_of": long_ago})
    assert seconds(w, "split day") == 1.5 * 3600


def test_time_wholly_outside_business_hours_is_zero_and_not_null(built):
    assert seconds(built, "wholly outside") == 0.0


def test_the_lunch_break_does_not_count(built):
    assert seconds(built, "split day") == 1.5 * 3600


def test_weekends_do_not_count(built):
    assert seconds(built, "over the weekend") == 0.5 * 3600 + 0.5 * 3600


def test_a_dated_exception_replaces_its_day(built):
    assert seconds(built, "holiday") == 0.5 * 3600


def test_any_length_can_be_measured(built):
    assert seconds(built, "decades") > 16 * 50 * 5 * 8 * 3600


def test_a_turn_belongs_to_the_local_day_of_its_channel(built):
    [row] = built.rows(
        "select day from marts.mart_daily_response_times where scope = 'any'"
        " and day = date '2026-03-04'"
    )
    assert row["day"] == date(2026, 3, 4)  # one at night in UTC is still the evening before


def test_a_day_is_provisional_while_any_instant_of_it_is(built):
    day = {
        row["day"]: row["is_provisional"]
        for row in built.rows(
            "select distinct day, is_provisional from marts.mart_daily_response_times"
        )
    }
    assert not day[date(2026, 10, 24)]
    built_with(built, {"as_of": datetime(2026, 3, 12, 2, 59, tzinfo=UTC)})
    rows = built.rows(
        "select day, is_provisional from marts.mart_daily_response_times order by day"
    )
    assert {row["is_provisional"] for row in rows if row["day"] >= date(2026, 3, 5)} == {True}
    assert {row["is_provisional"] for row in rows if row["day"] <= date(2026, 3, 4)} == {False}


def test_without_hours_business_time_is_null(without_hours):
    rows = without_hours.rows("select * from marts.fct_turns")
    assert {row["business_response_seconds"] for row in rows} == {None}


def test_percentiles_are_interpolated_and_empty_cells_are_null(without_hours):
    [row] = without_hours.rows(
        "select * from marts.mart_daily_response_times"
        " where scope = 'human' and account = 'default' and day = date '2026-03-03'"
    )
    assert row["p50_response_seconds"] == row["p90_response_seconds"] == 9000.0
    assert row["p50_business_response_seconds"] is None
