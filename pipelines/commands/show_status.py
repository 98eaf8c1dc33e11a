"""How fresh the warehouse is, as tables for people or JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.commands.show import as_duration, table, to_json

if TYPE_CHECKING:
    from pipelines.commands.status import BudgetStatus, LogStatus, Status
    from pipelines.journal import Entry
    from pipelines.webhooks.status import HookStatus


def status(found: Status, *, as_json: bool) -> None:
    """Print how fresh the warehouse is."""
    if as_json:
        to_json(asdict(found))
        return
    rows = [
        (
            r.account,
            r.resource,
            r.rows,
            r.rejected,
            r.is_complete,
            r.last_synced_at,
            as_duration(r.age_seconds),
            r.last_error,
        )
        for r in found.resources
    ]
    columns = (
        "account", "resource", "rows", "rejected", "complete", "last synced (UTC)", "age",
        "last error",
    )  # fmt: skip
    sys.stdout.write(table(columns, rows))
    if found.budgets:
        print()
        _budgets(found.budgets)
    snapshot = (
        f"{found.snapshot} ({found.published_at:%Y-%m-%d %H:%M} UTC)"
        if found.published_at
        else "none"
    )
    print(f"\nwarehouse  {found.warehouse}\nsnapshot   {snapshot}\nwebhooks   {_log(found.log)}")
    for hook in found.webhooks:
        print(f"           {hook.account}: {hook.deliveries:,} loaded, {_received(hook)}")
        for problem in hook.problems:
            print(f"           {hook.account}: {problem}")
    if found.runs:
        print()
        _runs(found.runs)


def _received(hook: HookStatus) -> str:
    age = as_duration(hook.age_seconds)
    return f"the last one {age} ago" if age else "none received"


def _budgets(budgets: Sequence[BudgetStatus]) -> None:
    """Print what each account may still ask, and has to."""
    rows = [
        (
            budget.account,
            f"{budget.last_minute:,} of {budget.per_minute:,}",
            "unknown" if budget.left is None else budget.left,
            as_duration(budget.left_seconds),
        )
        for budget in budgets
    ]
    sys.stdout.write(table(("account", "requests in the last minute", "left", "at best"), rows))


def _runs(entries: Sequence[Entry]) -> None:
    """Print the last runs."""
    rows = [
        (
            entry.started_at,
            entry.kind,
            as_duration(entry.seconds),
            entry.outcome,
            entry.rows,
            entry.requests,
            entry.message,
        )
        for entry in entries
    ]
    columns = ("run (UTC)", "kind", "took", "outcome", "rows", "requests", "what happened")
    sys.stdout.write(table(columns, rows))


def _log(log: LogStatus) -> str:
    if log.problem:
        return log.problem
    if not log.not_ingested:
        return f"{log.deliveries:,} received, all ingested" if log.deliveries else "none received"
    waits = as_duration(log.age_seconds)
    return f"{log.deliveries:,} received, {log.not_ingested:,} not ingested, the oldest for {waits}"
