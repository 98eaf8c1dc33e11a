"""How results look: tables for people, JSON for machines, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.building.build import BuildResult
    from pipelines.care.erasure import Report as Erasure
    from pipelines.care.moving import Moved
    from pipelines.care.reconcile import Reconciled
    from pipelines.commands.demo import Demo
    from pipelines.commands.status import BudgetStatus, LogStatus, Status
    from pipelines.commands.verify import Verified
    from pipelines.journal import Entry
    from pipelines.loading.sync import Report
    from pipelines.provider import Check
    from pipelines.webhooks.ingest import Ingested
    from pipelines.webhooks.status import HookStatus

PROGRESS_SECONDS = 5.0


class Progress:
    """What a long command is doing, on stderr: one line that changes on a terminal, a line every
    few seconds elsewhere."""

    def __init__(self) -> None:
        self._is_live = sys.stderr.isatty()
        self._rows: dict[tuple[str, str], int] = {}
        self._told = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def say(self, text: str) -> None:
        """Tell of a step."""
        self._clear()
        print(text, file=sys.stderr, flush=True)

    def page(self, account: str, resource: str, rows: int) -> None:
        """Count a page."""
        self._rows[account, resource] = self._rows.get((account, resource), 0) + rows
        pause = 0.1 if self._is_live else PROGRESS_SECONDS
        if time.monotonic() - self._told >= pause:
            self._told = time.monotonic()
            self._line(account)

    def account(self, report: Report) -> None:
        """Tell what became of an account."""
        name = f"{report.provider}:{report.account}"
        self.say(
            f"{name}: {report.changed:,} rows new or changed, "
            f"{report.requests:,} requests, {report.seconds:.1f} s"
        )
        if report.has_more:
            self.say(f"{name}: {_left(report)}")
        for problem, hint in _problems(report):
            self.say(f"{name}: {problem}")
            if hint:
                self.say(f"hint: {hint}")

    def _line(self, account: str) -> None:
        counts = [f"{r} {n:,}" for (a, r), n in self._rows.items() if a == account]
        text = f"{account}: {', '.join(counts)}"
        if self._is_live:
            print(f"\r\x1b[2K{text[:200]}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._is_live:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An aligned table; numbers stand to the right, nothing is cut."""
    values = list(rows)
    cells = [[_cell(value) for value in row] for row in (columns, *values)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    right = [
        all(isinstance(row[i], int | float | None) for row in values) for i in range(len(columns))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    rule = "  ".join("─" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    # Text from outside must not move the cursor or colour the terminal.
    return "".join(c if c.isprintable() else "�" for c in str(value))


def as_duration(seconds: float | None) -> str | None:
    """Seconds as people say them: `45 s`, `12 min`, `2 h 05 min`, `3 d 04 h`."""
    if seconds is None:
        return None
    minutes, hours = round(seconds / 60), int(seconds // 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def to_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, default=str, ensure_ascii=False, indent=2))


def _left(report: Report) -> str:
    if report.left is None:
        return "more is left than fits into this run; the next one goes on"
    minutes = as_duration(60 * report.left / max(1, report.per_minute))
    return (
        f"about {report.left:,} requests are left, {minutes} at {report.per_minute} a minute; "
        "the next run goes on"
    )


def _problems(report: Report) -> list[tuple[str, str]]:
    """What went wrong and the hint for it; what ended the account is told once."""
    told = [(f"error: {problem}", problem.hint) for problem in report.problems]
    if report.error:
        return [*told, (f"error: {report.error}", report.error.hint)]
    return told + [
        (f"{name}: {outcome.error or outcome.note}", outcome.error.hint if outcome.error else "")
        for name, outcome in report.outcomes.items()
        if outcome.error or outcome.note
    ]


def _report(report: Report) -> dict[str, Any]:
    return {
        "provider": report.provider,
        "account": report.account,
        "ok": report.is_ok,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "has_more": report.has_more,
        "left_requests": report.left,
        "error": str(report.error) if report.error else None,
        "problems": [str(problem) for problem in report.problems],
        "stopped": report.is_stopped,
        "resources": {
            name: {**asdict(outcome), "error": str(outcome.error) if outcome.error else None}
            for name, outcome in report.outcomes.items()
        },
    }


def reports(found: Sequence[Report], *, as_json: bool) -> None:
    """Print what a sync did."""
    if as_json:
        to_json({"ok": all(r.is_ok for r in found), "accounts": [_report(r) for r in found]})
        return
    rows = [
        (f"{r.provider}:{r.account}", name, o.read, o.changed, o.rejected, o.is_complete)
        for r in found
        for name, o in r.outcomes.items()
    ]
    columns = ("account", "resource", "read", "changed", "rejected", "complete")
    sys.stdout.write(table(columns, rows))


def _ingested(done: Ingested) -> dict[str, Any]:
    return {**asdict(done), "ok": done.is_ok, "seconds": round(done.seconds, 3)}


def ingested(done: Ingested, *, as_json: bool) -> None:
    """Print what an ingest did."""
    if as_json:
        to_json(_ingested(done))
        return
    said = done.understood
    print(
        f"webhooks: {done.read:,} read, {done.stored:,} new; "
        f"{said.events:,} events, {said.rejected:,} rejected"
    )
    if done.error:
        print(f"error: {done.error}")
    if done.unplaced:
        print(f"{done.unplaced:,} belong to no account: say whose they are with --account")


def _built(result: BuildResult, snapshot: Path | str) -> dict[str, Any]:
    return {**asdict(result), "published": str(snapshot)}


def built(result: BuildResult, snapshot: Path | str, *, as_json: bool) -> None:
    """Print what a build did."""
    if as_json:
        to_json({"ok": True, "build": _built(result, snapshot)})
        return
    print(
        f"{result.models} models and {result.tests} tests in {result.seconds:.1f} s; "
        f"published {snapshot}"
    )


def ran(
    found: Sequence[Report],
    webhooks: Ingested,
    result: BuildResult,
    snapshot: Path | str,
    *,
    as_json: bool,
) -> None:
    """Print what a run did."""
    if as_json:
        to_json(
            {
                "ok": webhooks.is_ok and all(report.is_ok for report in found),
                "accounts": [_report(report) for report in found],
                "webhooks": _ingested(webhooks),
                "build": _built(result, snapshot),
            }
        )
        return
    reports(found, as_json=False)
    ingested(webhooks, as_json=False)
    built(result, snapshot, as_json=False)


def moved(found: Sequence[Moved], target: str, *, as_json: bool) -> None:
    """Print what went over."""
    if as_json:
        to_json({"target": target, "tables": [asdict(each) for each in found]})
        return
    rows = sum(each.rows for each in found)
    print(f"{rows:,} rows of {len(found)} tables are in {target}")
    print("next: set warehouse.url to it, then: doblecheck run")


def erased(found: Erasure, *, as_json: bool) -> None:
    """Print what an erasure did."""
    if as_json:
        to_json(asdict(found))
        return
    print(
        f"{found.rows:,} rows and {found.deliveries:,} webhooks rewritten, "
        f"{found.conversations:,} conversations; the marts are built anew"
    )


def checks(found: Sequence[Check], *, as_json: bool) -> None:
    """Print what a doctor found."""
    if as_json:
        to_json([asdict(check) for check in found])
        return
    for check in found:
        print(f"{'ok  ' if check.problem is None else 'FAIL'}  {check.name}")
        if check.problem is not None:
            print(f"      {check.problem}\n      hint: {check.hint}")


def verified(found: Verified, *, as_json: bool) -> None:
    """Print how many of the published cases came out as they must."""
    if as_json:
        to_json({"matched": found.matched, **asdict(found)})
        return
    for mismatch in found.mismatches:
        print(f"FAIL  {mismatch.case}: {mismatch.rule}")
        print(f"      {mismatch.mart} must have")
        for row in mismatch.expected:
            print(f"        {row}")
        print("      and has")
        for row in mismatch.actual:
            print(f"        {row}")
    print(f"{found.matched}/{found.total} cases match ({found.values} values)")


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


def _reconciled(found: Reconciled) -> str:
    """Whether the parts add up, and whether the provider closes its windows when we do."""
    off = ", ".join(found.differing)
    totals = ", ".join(f"{one.total:,} {one.what}" for one in found.sums)
    sums = f"parts that do not add up: {off}" if off else f"parts add up: {totals}"
    return (
        f"{sums}\nlast windows that close when the provider says, 2 s off at most: "
        f"{found.windows_agreeing:,} of {found.windows_compared:,}"
    )


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
