"""A range read again, slice by slice, so that the runs of the schedule go on in between."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import State, flow
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows import report
from flows.steps import RUNNER, Site, in_our_words, newest, opened, told
from flows.sync import build_and_publish
from pipelines import run as steps
from pipelines.errors import DoblecheckError, UsageError
from pipelines.journal import Entry

SECONDS = 24 * 3600.0
PATIENCE = 3600.0
"""How long a slice waits for its turn."""


@flow(
    name="backfill",
    flow_run_name="backfill {start} to {end}",
    task_runner=RUNNER,
    timeout_seconds=SECONDS + 300,
    persist_result=False,
)
@in_our_words
def backfill(
    start: date,
    end: date,
    accounts: list[str] | None = None,
    days_per_slice: int = 7,
    config: Path | None = None,
) -> State[Any]:
    """Read messages, conversations and calls of a range again, then build and publish.

    Args:
        start: the first day, UTC.
        end: the day after the last.
        accounts: only these, as the command line names them.
        days_per_slice: the warehouse is free for other runs after each slice.
        config: the configuration file; none looks where the command line looks.
    """
    if start >= end or days_per_slice < 1:
        raise UsageError("the range is empty", hint="start is before end")
    site = opened(config, seconds=SECONDS)
    chosen = steps.targets(site.settings, site.rooms, accounts=accounts or ())
    return told(_run(site, chosen, slices(start, end, days_per_slice)))


def _run(site: Site, chosen: list[steps.Target], spans: list[tuple[datetime, datetime]]) -> Entry:
    progress = cast(
        UUID, create_progress_artifact(0.0, key="backfill", description=_named(spans[0]))
    )
    try:
        with site.journal.run("backfill") as entry:
            for done, span in enumerate(spans):
                with site.holding(patience=PATIENCE):
                    entry.read(newest(site.read(chosen, span=span)))
                if site.is_stopping():
                    entry.ends("stopped", f"stopped at {_named(span)}; repeat it from there")
                    return entry
                update_progress_artifact(
                    progress, 100 * (done + 1) / len(spans), description=_named(span)
                )
            with site.holding(patience=PATIENCE):
                entry.built(build_and_publish(site))
                report.tell(site, entry)
    except DoblecheckError:
        pass  # the entry tells it
    return entry


def slices(start: date, end: date, days: int) -> list[tuple[datetime, datetime]]:
    """The range in slices of some days, half-open, UTC; the last one may be shorter."""
    found = []
    first, stop = _midnight(start), _midnight(end)
    while first < stop:
        last = min(first + timedelta(days=days), stop)
        found.append((first, last))
        first = last
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _named(span: tuple[datetime, datetime]) -> str:
    return f"{span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}"
