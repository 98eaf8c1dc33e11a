from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.business_time import BusinessHours, clock, open_intervals, parse_hours
from pipelines.errors import ConfigError

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def every_day(*intervals, timezone="UTC", **options):
    return parse_hours(timezone=timezone, **dict.fromkeys(DAYS, intervals), **options)


def open_hours(hours, first, last):
    """Open hours of the UTC days from first to last."""
    return sum(
        (s.ends_at - s.starts_at).total_seconds() / 3600
        for s in clock(hours, first=first, last=last)
        if s.is_open
    )


def test_several_intervals_a_day_are_read():
    hours = parse_hours(timezone="UTC", monday=["09:00-13:00", " 14:00 - 18:30 "])
    assert hours == BusinessHours("UTC", {0: ((540, 780), (840, 1110))}, {})


def test_a_dated_exception_is_read_and_replaces_its_day():
    hours = every_day(
        "09:00-10:00", exceptions={"2026-12-25": [], date(2026, 12, 26): ["00:00-24:00"]}
    )
    assert open_hours(hours, date(2026, 12, 24), date(2026, 12, 26)) == 1 + 0 + 24


@pytest.mark.parametrize(
    "nonsense",
    [
        {"timezone": "Mars/Olympus"},
        {"timezone": "UTC", "monday": ["9-18"]},
        {"timezone": "UTC", "monday": ["09:00-24:01"]},
        {"timezone": "UTC", "monday": ["24:00-06:00"]},
        {"timezone": "UTC", "monday": ["09:60-10:00"]},
        {"timezone": "UTC", "monday": "09:00-18:00"},
        {"timezone": "UTC", "monday": [9]},
        {"timezone": "UTC", "lunes": ["09:00-18:00"]},
        {"timezone": "UTC", "exceptions": {"25/12/2026": []}},
    ],
)
def test_nonsense_is_refused_with_a_hint(nonsense):
    with pytest.raises(ConfigError) as refusal:
        parse_hours(**nonsense)
    assert refusal.value.hint


def test_overlapping_and_touching_intervals_merge():
    hours = every_day("09:00-12:00", "11:00-13:00", "13:00-14:00")
    [first, *_] = [
        i
        for i in open_intervals(hours, first=date(2026, 3, 2), last=date(2026, 3, 2))
        if i[0].day == 2
    ]
    assert first == (datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 14, tzinfo=UTC))


def test_an_interval_past_midnight_belongs_to_the_day_it_starts():
    hours = parse_hours(timezone="UTC", friday=["22:00-06:00"], exceptions={"2026-03-07": []})
    assert open_hours(hours, date(2026, 3, 6), date(2026, 3, 7)) == 8


def test_a_whole_day_has_23_or_25_hours_on_a_clock_change():
    hours = every_day("00:00-24:00", timezone="Europe/Madrid")
    opened = {}
    for segment in open_intervals(
        parse_hours(timezone="Europe/Madrid", sunday=["00:00-24:00"]),
        first=date(2026, 3, 25),
        last=date(2026, 11, 1),
    ):
        opened[segment[1].date()] = (segment[1] - segment[0]).total_seconds() / 3600
    assert opened[date(2026, 3, 29)] == 23
    assert opened[date(2026, 10, 25)] == 25
    assert open_hours(hours, date(2026, 3, 28), date(2026, 3, 29)) == 48


@pytest.mark.parametrize(
    ("night", "length"), [(date(2026, 3, 28), 7), (date(2026, 10, 24), 9), (date(2026, 7, 1), 8)]
)
def test_a_night_shift_is_as_long_as_its_night(night, length):
    hours = BusinessHours("Europe/Madrid", {}, {night: [(22 * 60, 6 * 60)]})
    assert open_hours(hours, night - timedelta(days=1), night + timedelta(days=2)) == length


def test_no_intervals_make_a_clock_that_stands():
    segments = list(
        clock(parse_hours(timezone="UTC"), first=date(2026, 1, 1), last=date(2026, 1, 2))
    )
    assert [(s.open_seconds, s.is_open) for s in segments] == [(0.0, False), (0.0, False)]


minutes = st.tuples(st.integers(0, 1439), st.integers(0, 1440))


@given(
    week=st.dictionaries(st.integers(0, 6), st.lists(minutes, max_size=3)),
    timezone=st.sampled_from(
        [
            "UTC",
            "America/Argentina/Buenos_Aires",
            "Europe/Madrid",
            "Australia/Lord_Howe",
            "Pacific/Apia",
        ]
    ),
    first=st.dates(date(2011, 12, 20), date(2026, 12, 1)),
)
def test_segments_fill_every_instant_once_and_the_clock_never_jumps(week, timezone, first):
    last = first + timedelta(days=4)
    segments = list(clock(BusinessHours(timezone, week), first=first, last=last))
    assert segments[0].starts_at == datetime(first.year, first.month, first.day, tzinfo=UTC)
    assert segments[-1].ends_at.date() == last + timedelta(days=1)
    for before, after in pairwise(segments):
        assert before.starts_at < before.ends_at == after.starts_at
        opened = (before.ends_at - before.starts_at).total_seconds() if before.is_open else 0
        assert after.open_seconds == before.open_seconds + opened
    assert all(s.starts_at.date() == s.utc_day for s in segments)
