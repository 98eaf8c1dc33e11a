"""When something is to be done again, by the stamp of the last time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.times import is_due, past

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(("ago", "due"), [(0.0, False), (0.9, False), (1.0, True), (9.0, True)])
def test_what_is_done_once_a_day_is_due_after_a_day(ago: float, due: bool) -> None:
    assert is_due((NOW - ago * DAY).isoformat(), DAY, NOW) is due


@pytest.mark.parametrize("stamp", [None, "", "no time", (NOW + DAY).isoformat()])
def test_what_was_never_done_or_by_a_clock_that_was_ahead_is_due(stamp: str | None) -> None:
    assert is_due(stamp, DAY, NOW)
    assert past(stamp, NOW) is None
