"""Every minute: the webhooks that the receiver has logged, into the warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE

from flows.steps import Site, in_our_words, opened, skipped, told
from pipelines import run as steps
from pipelines.errors import WarehouseBusy
from pipelines.webhooks.ingest import Ingested

SECONDS = 600.0


@flow(
    name="ingest",
    flow_run_name="take in webhooks",
    timeout_seconds=SECONDS + 60,
    persist_result=False,
)
@in_our_words
def ingest(config: Path | None = None) -> State[Any]:
    """Take in what the receiver has logged. While a run holds the warehouse there is nothing to
    do: it takes them in itself.

    Args:
        config: the configuration file; none looks where the command line looks.
    """
    site = opened(config, seconds=SECONDS)
    try:
        with site.holding(patience=0), site.journal.run("ingest", only_news=True) as entry:
            entry.ingested(take_in_webhooks(site))
    except WarehouseBusy as error:
        return skipped(str(error))
    return told(entry)


@task(name="take in webhooks", cache_policy=NO_CACHE, persist_result=False)
@in_our_words
def take_in_webhooks(site: Site) -> Ingested:
    """Load new deliveries of the receiver's log."""
    return steps.ingest(site.warehouse, site.rooms, site.settings, is_stopping=site.is_stopping)
