"""What the demo found, and what to try next."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.commands.show import as_duration, table, to_json

if TYPE_CHECKING:
    from pipelines.care.reconcile import Reconciled
    from pipelines.commands.demo import Demo


def demo(result: Demo, *, as_json: bool) -> None:
    """Print the demo's numbers and what to try next."""
    if as_json:
        to_json(asdict(result))
        return
    rows = [
        (
            kpi.provider,
            kpi.channel,
            kpi.turns,
            as_duration(kpi.p50_first_any),
            as_duration(kpi.p90_first_any),
            as_duration(kpi.p50_first_human),
            as_duration(kpi.p90_first_human),
            None if kpi.mature == 0 else f"{100 * kpi.answered_in_window / kpi.mature:.1f} %",
            kpi.expired_unanswered,
            kpi.waiting,
        )
        for kpi in result.kpis
    ]
    columns = (
        "provider", "channel", "turns", "p50 first", "p90 first", "p50 human", "p90 human",
        "in window", "expired", "waiting",
    )  # fmt: skip
    sys.stdout.write(table(columns, rows))
    print(
        f"\n{result.messages:,} messages over {result.requests:,} requests, "
        f"{result.webhooks:,} webhooks received, "
        f"as of {result.as_of:%Y-%m-%d %H:%M} UTC, in {result.seconds:.0f} s\n"
        f"{_reconciled(result.reconciled)}\n"
        f"warehouse: {result.snapshot}\n\nnext:\n"
        + "\n".join(f"  {command}" for command in result.next_commands)
    )


def _reconciled(found: Reconciled) -> str:
    """Whether the parts add up, and whether the provider closes its windows when we do."""
    off = ", ".join(found.differing)
    totals = ", ".join(f"{one.total:,} {one.what}" for one in found.sums)
    sums = f"parts that do not add up: {off}" if off else f"parts add up: {totals}"
    return (
        f"{sums}\nlast windows that close when the provider says, 2 s off at most: "
        f"{found.windows_agreeing:,} of {found.windows_compared:,}"
    )
