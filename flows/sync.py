"""The run that is repeated: every account side by side, then webhooks, models and snapshot, once.

python -m flows.sync        one run, here and now
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE

from flows.ingest import take_in_webhooks
from flows.steps import RUNNER, Site, in_our_words, newest, opened
from flows.turn import in_turn
from pipelines import run as steps
from pipelines.building.build import BuildResult
from pipelines.errors import DoblecheckError
from pipelines.journal import Entry

SECONDS = 3600.0
"""How long a run may take. Accounts have a time budget of their own, far below it."""

PATIENCE = 20.0
"""How long a run waits for the warehouse: the webhooks of a minute are taken in sooner. One that
another run holds longer is skipped, the next one comes soon enough."""


@flow(
    name="sync",
    flow_run_name="sync and build",
    task_runner=RUNNER,
    timeout_seconds=SECONDS + 300,
    persist_result=False,
)
@in_our_words
def sync(
    config: Path | None = None, accounts: list[str] | None = None, is_full: bool = False
) -> State[Any]:
    """Sync every account, take in webhooks, build the models, publish a snapshot.

    Args:
        config: the configuration file; none looks where the command line looks.
        accounts: only these, as the command line names them.
        is_full: read everything again, also what is known.
    """
    site = opened(config, seconds=SECONDS)
    chosen = steps.targets(site.settings, site.rooms, accounts=accounts or ())
    kind = "full sync" if is_full else "run"

    def run() -> Entry:
        return _run(site, chosen, kind, is_full=is_full)

    return in_turn(site, run, kind=kind, patience=PATIENCE)


def _run(site: Site, chosen: list[steps.Target], kind: str, *, is_full: bool) -> Entry:
    """The run itself; what went wrong is told in the entry."""
    try:
        with site.journal.run(kind) as entry:
            site.read(chosen, is_full=is_full)
            entry.read(newest(site.reports))
            if not site.is_stopping():
                entry.ingested(take_in_webhooks(site))
            if site.is_stopping():
                entry.ends("stopped", "stopped as asked; the next run goes on from here")
            else:
                entry.built(build_and_publish(site))
    except DoblecheckError:
        pass  # the entry tells it
    return entry


@task(name="build and publish", cache_policy=NO_CACHE, persist_result=False)
@in_our_words
def build_and_publish(site: Site) -> BuildResult:
    """Build and test the models, publish a snapshot.

    Raises:
        BuildFailed: a model or a test failed; the snapshot of before stays.
    """
    result, _ = steps.build(site.warehouse, site.rooms, site.settings)
    return result


if __name__ == "__main__":
    sync()
