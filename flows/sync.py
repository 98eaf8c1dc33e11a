"""The scheduled run as a Prefect flow: one task per account, then one build for all.

python -m flows.sync        # one run, here and now
"""

from __future__ import annotations

import os
from pathlib import Path

from prefect import flow, get_run_logger, task

from pipelines import run as steps
from pipelines.errors import DoblecheckError
from pipelines.load import Report
from pipelines.providers import find
from pipelines.settings import load
from pipelines.warehouse import Warehouse, open_warehouse


# What may pass is already tried again per request; a second try of a whole account would only
# spend its quota, so tasks have no retries.
@task(name="sync account", task_run_name="sync {name}")
def sync_account(name: str, warehouse: Warehouse, target: steps.Target) -> Report:
    """Sync one account; a failed one is told in its report and fails no other."""
    (report,) = steps.sync(warehouse, find(), [target])
    get_run_logger().info(
        "%s: %d rows new or changed, %d requests", name, report.changed, report.requests
    )
    return report


@flow(name="doblecheck run", log_prints=False)
def run(config: Path | None = None) -> None:
    """Sync every account, build the models, publish a snapshot.

    Args:
        config: the configuration file; None looks where the command line looks.

    Raises:
        DoblecheckError: an account could not be read whole. The others are read, built and
            published all the same.
    """
    os.umask(0o077)  # the warehouse holds what customers wrote
    settings = load(config, find())
    warehouse = open_warehouse(settings)
    with warehouse.lock():
        reports = [
            sync_account(target.name, warehouse, target)
            for target in steps.targets(settings, find())
        ]
        steps.build(warehouse, find(), settings)
    failed = [f"{report.provider}:{report.account}" for report in reports if not report.is_ok]
    if failed:
        raise DoblecheckError(f"not read whole: {', '.join(failed)}", hint="doblecheck status")


if __name__ == "__main__":
    run()
