"""Every metric of every row, against an oracle that shares no code with the models.

Longer runs: `DOBLECHECK_ORACLE_BUILDS=20 DOBLECHECK_ORACLE_SEED=7 pytest tests/property -s`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from histories import AS_OF, TABLES, Rows, play, random_threads
from history_strategies import pack
from history_weeks import random_hours
from metrics_oracle import Expected, expected
from oracle_compare import columns_without_oracle, compare, doubled_keys, story
from oracle_compare import marts as mart_names
from oracle_hours import ONE_DAY, Hours, Rules, Sla, business_seconds
from place import Place

from pipelines.building import build as building
from pipelines.business_time import BusinessHours, Segment, clock, parse_hours

SEED = int(os.environ.get("DOBLECHECK_ORACLE_SEED", "20261122"))
BUILDS = int(os.environ.get("DOBLECHECK_ORACLE_BUILDS", "2"))
MESSAGES = int(os.environ.get("DOBLECHECK_ORACLE_MESSAGES", "12000"))
SMALL_THREADS = 500

OFFICE = {day: ["09:00-13:00", "14:00-18:00"] for day in ("monday", "wednesday", "friday")}
CONFIGURED = Rules(
    timezone="America/Bogota",
    hours={
        "default": Hours("America/Argentina/Buenos_Aires", OFFICE, {"2026-03-20": []}),
        "tienda": Hours(
            "America/New_York", {"saturday": ["22:00-06:00"], "sunday": ["00:00-24:00"]}
        ),
        "norte/100200301": Hours(
            "Europe/Madrid",
            {"tuesday": ["08:00-12:00", "11:00-16:00"], "thursday": ["09:00-09:00"]},
            {"2026-03-28": ["20:00-04:00"]},  # the night in which the clocks change
        ),
    },
    slas={
        "default": Sla(900, 3600, "business"),
        "tienda": Sla(300, None, "calendar"),
        "norte": Sla(None, 43_200, "business"),
    },
)
BARE = Rules(timezone="Pacific/Fiji")  # where days begin at the hour of `AS_OF`
CHANGES = {"status", "kapso_status", "kapso_statuses", "phone_number", "wa_id"}
MartRows = list[dict[str, Any]]


@pytest.mark.parametrize("number", range(BUILDS))
def test_every_row_of_a_random_history_is_what_the_definitions_say(number, new_place, tmp_path):
    rules = (CONFIGURED, BARE)[number % 2]
    raw = play(list(random_threads(SEED + number, MESSAGES)))
    assert_equal(raw, rules, built(raw, rules, new_place(tmp_path)))


def test_every_row_of_hundreds_of_small_threads_is_what_the_definitions_say(new_place, tmp_path):
    raw = play(pack(SEED, SMALL_THREADS))
    marts = built(raw, CONFIGURED, new_place(tmp_path))
    found = assert_equal(raw, CONFIGURED, marts)
    marts["fct_turns"][0]["requests"] += 1
    assert len(compare(found, marts).differences) == 1  # it would have been noticed


def test_a_second_build_equals_a_first_build_of_everything(new_place, tmp_path):
    raw, place = play(list(random_threads(SEED, 1500))), new_place(tmp_path)
    built(half(raw), CONFIGURED, place, as_of=AS_OF - timedelta(days=1))
    assert_equal(raw, CONFIGURED, built(raw, CONFIGURED, place))


def test_the_business_clock_agrees_with_a_calendar_walked_day_by_day():
    rng = random.Random(SEED)
    for _ in range(100):
        first = date(rng.choice((2024, 2025, 2026)), rng.randint(1, 12), 1)
        hours = random_hours(rng, first, days=40)
        segments = list(clock(parsed(hours), first=first - ONE_DAY, last=first + 50 * ONE_DAY))
        for _ in range(10):
            start = midnight(first) + timedelta(seconds=rng.randrange(40 * 86400))
            end = start + timedelta(
                seconds=rng.choice((0, 1, 900, 86400, rng.randrange(4 * 86400)))
            )
            elapsed = reading(segments, end) - reading(segments, start)
            assert elapsed == business_seconds(hours, start, end), (hours, start, end)


def midnight(day: date) -> datetime:
    """The first instant of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def reading(segments: Sequence[Segment], at: datetime) -> float:
    """The clock at an instant: what it showed before, and what it ran since."""
    (now,) = (segment for segment in segments if segment.starts_at <= at < segment.ends_at)
    return now.open_seconds + (at - now.starts_at).total_seconds() * now.is_open


def assert_equal(raw: Rows, rules: Rules, marts: Mapping[str, MartRows]) -> Expected:
    """Compare every value, say how many there were, and show what differs."""
    found = expected(raw, AS_OF, rules)
    for mart, rows in marts.items():
        columns = rows[0].keys() if rows else ()
        assert not columns_without_oracle(mart, getattr(found, mart), columns), mart
    assert not doubled_keys(marts)
    comparison = compare(found, marts)
    messages = sum(len(rows) for table, rows in raw.items() if table.endswith(".messages"))
    print(f"oracle: {messages} messages, {comparison.rows} rows, {comparison.values} values")
    if comparison.differences:
        pytest.fail(story(comparison, found), pytrace=False)
    return found


def half(raw: Rows) -> Rows:
    """Every other row of every table, and older states of what changes."""
    return {
        table: [row | dict.fromkeys(CHANGES & row.keys()) for row in rows[::2]]
        for table, rows in raw.items()
    }


def built(raw: Rows, rules: Rules, place: Place, *, as_of: datetime = AS_OF) -> dict[str, MartRows]:
    """The marts that a build makes of raw rows."""
    for table, rows in raw.items():
        columns = [*TABLES[table].columns, "account", "payload", "row_hash", "fetched_at"]
        place.run(f"delete from {table}")
        place.add(table, rows, columns)
    place.build(
        as_of=as_of,
        timezone=rules.timezone,
        business_hours={name: parsed(hours) for name, hours in rules.hours.items()},
        sla={name: building.Sla(**vars(sla)) for name, sla in rules.slas.items()},
    )
    return {mart: place.rows(f"select * from marts.{mart}") for mart in mart_names()}


def parsed(hours: Hours) -> BusinessHours:
    """The oracle's hours in the product's own form."""
    return parse_hours(timezone=hours.timezone, exceptions=hours.exceptions, **hours.week)
