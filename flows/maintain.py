"""Every week: everything read again, old files removed, the warehouse without its holes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE

from flows.ingest import take_in_webhooks
from flows.steps import RUNNER, Site, in_our_words, newest, opened
from flows.sync import build_and_publish
from flows.turn import in_turn
from pipelines import run as steps
from pipelines.care import upkeep
from pipelines.errors import DoblecheckError
from pipelines.journal import Entry

KIND = "maintain"
SECONDS = 12 * 3600.0
PATIENCE = 3600.0


@flow(
    name="maintain",
    flow_run_name="weekly upkeep",
    task_runner=RUNNER,
    timeout_seconds=SECONDS + 300,
    persist_result=False,
)
@in_our_words
def maintain(config: Path | None = None) -> State[Any]:
    """Read everything again, which finds changes and deletions that no list tells of; build,
    publish, and remove what is kept no longer.

    Args:
        config: the configuration file; none looks where the command line looks.
    """
    site = opened(config, seconds=SECONDS)
    return in_turn(site, lambda: _run(site), kind=KIND, patience=PATIENCE)


def _run(site: Site) -> Entry:
    try:
        with site.journal.run(KIND) as entry:
            clean_up(site)
            chosen = steps.targets(site.settings, site.rooms)
            entry.read(newest(site.read(chosen, is_full=True)))
            if site.is_stopping():
                entry.ends("stopped", "stopped as asked; the next run goes on from here")
            else:
                entry.ingested(take_in_webhooks(site))
                entry.built(build_and_publish(site))
                compact(site)
    except DoblecheckError:
        pass  # the entry tells it
    return entry


@task(name="remove old files", cache_policy=NO_CACHE, persist_result=False)
@in_our_words
def clean_up(site: Site) -> None:
    """Remove what is older than it is kept."""
    upkeep.clean_up(site.warehouse)


@task(name="write the warehouse anew", cache_policy=NO_CACHE, persist_result=False)
@in_our_words
def compact(site: Site) -> None:
    """Give back the room of rows that were replaced and deleted; publish what is left."""
    upkeep.compact(site.warehouse)
