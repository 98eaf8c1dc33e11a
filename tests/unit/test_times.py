"""The providers' times, and when something is to be done again, by the stamp of the last time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import duckdb
import pytest

from pipelines.times import is_due, parse_time, past

AT = datetime(2026, 3, 20, 21, 0, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(("ago", "due"), [(0.0, False), (0.9, False), (1.0, True), (9.0, True)])
def test_what_is_done_once_a_day_is_due_after_a_day(ago: float, due: bool) -> None:
    assert is_due((NOW - ago * DAY).isoformat(), DAY, NOW) is due


@pytest.mark.parametrize("stamp", [None, "", "no time", (NOW + DAY).isoformat()])
def test_what_was_never_done_or_by_a_clock_that_was_ahead_is_due(stamp: str | None) -> None:
    assert is_due(stamp, DAY, NOW)
    assert past(stamp, NOW) is None


@pytest.mark.parametrize(
    "told",
    [
        "2026-03-20T21:00:00Z",
        "2026-03-20T21:00:00.000000000Z",
        "2026-03-20T18:00:00-03:00",
        "2026-03-20 21:00:00",
        "1774040400",
        1774040400,
        1774040400.0,
    ],
)
def test_a_time_is_read_from_text_or_a_number(told: object) -> None:
    assert parse_time(told) == AT


@pytest.mark.parametrize(
    "told",
    [None, "", "soon", "²", True, 1774040400000, 10**400, float("nan"), float("inf"), {"at": 1}],
)
def test_what_names_no_time_is_none(told: object) -> None:
    assert parse_time(told) is None


def test_both_engines_clocks_go_by_the_same_rules() -> None:
    """Else a turn's local day and its business time would be of two clocks. Databases bring their
    own: DuckDB's were last newer than a system's by a year and a half."""
    names = {name for name in available_timezones() if name.startswith("America/")}
    moments = [datetime(2024, 1, 1, 3, tzinfo=UTC) + timedelta(days=7 * n) for n in range(208)]
    sql = "select timezone($1, t) from unnest($2::timestamptz[]) as r (t)"
    with duckdb.connect() as connection:
        known = {row[0] for row in connection.execute("from pg_timezone_names()").fetchall()}
        other = {
            name
            for name in names & known
            if [row[0] for row in connection.execute(sql, [name, moments]).fetchall()]
            != [moment.astimezone(ZoneInfo(name)).replace(tzinfo=None) for moment in moments]
        }
    assert len(names & known) > 100
    assert other <= {"America/Havana"}  # whose rules DuckDB 2.0 had not heard of
