"""What a run leaves in Prefect to look at: tables, links, and events that automations can wait for.

Counts, names of resources and times; no customer's data. Nothing here fails a run.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.events import emit_event

from flows.steps import Site
from pipelines.commands import alerts, status
from pipelines.commands.alerts import Changes
from pipelines.commands.status import ResourceStatus, Status
from pipelines.journal import Entry

log = logging.getLogger(__name__)

EVENTS = {
    "failure": "doblecheck.account.failed",
    "stale": "doblecheck.freshness.breached",
    "quarantine": "doblecheck.quarantine.grew",
    "silence": "doblecheck.webhooks.silent",
}


def look_back(site: Site) -> None:
    """Tell that the last run was killed, if it was."""
    try:
        _emit(alerts.look_back(site.journal, site.settings))
    except Exception as error:  # noqa: BLE001 - this run is another
        log.warning("nobody was told of the last run (%s)", type(error).__name__)


def tell(site: Site, entry: Entry) -> None:
    """Leave the tables of a run, tell what began or ended to go wrong."""
    try:
        found = status.if_readable(site.warehouse, site.rooms, site.settings)
        _emit(alerts.Watch(site.settings.data_path).look(site.settings, entry, found))
        _tables(site, entry, found)
    except Exception as error:  # noqa: BLE001 - the run is over, and was what it was
        log.warning("the report of the run is not whole (%s)", type(error).__name__)


def _tables(site: Site, entry: Entry, found: Status | None) -> None:
    if entry.accounts:
        table: list[dict[str, Any]] = [{"account": k, **v} for k, v in entry.accounts.items()]
        create_table_artifact(table, key="accounts", description="What was read, and at what cost")
    if found:
        create_table_artifact(
            [_row(resource) for resource in found.resources],
            key="freshness",
            description="How fresh and how complete each resource is",
        )
        create_table_artifact(
            [asdict(budget) for budget in found.budgets],
            key="budget",
            description="What each account may ask a minute, and what is left to ask",
        )
    if entry.build:
        create_table_artifact(
            [{"model": name, "seconds": seconds} for name, seconds in entry.build["slowest"]],
            key="slowest-models",
            description=f"{entry.build['models']} models in {entry.build['seconds']} s",
        )
    dashboard = site.settings.dashboard
    link = site.settings.schedule.dashboard_url or f"http://{dashboard.host}:{dashboard.port}"
    create_link_artifact(link, link_text="Dashboard", key="dashboard")


def _row(found: ResourceStatus) -> dict[str, Any]:
    return {
        "account": found.account,
        "resource": found.resource,
        "rows": found.rows,
        "quarantined": found.rejected,
        "complete": found.is_complete,
        "minutes old": None if found.age_seconds is None else found.age_seconds // 60,
    }


def _emit(changes: Changes) -> None:
    for found in changes.began:
        emit_event(
            EVENTS[found.kind],
            resource={"prefect.resource.id": f"doblecheck.{found.account or 'installation'}"},
            payload={"key": found.key, "text": found.text},
        )
    for text in changes.ended:
        emit_event(
            "doblecheck.condition.ended",
            resource={"prefect.resource.id": "doblecheck.installation"},
            payload={"text": text},
        )
