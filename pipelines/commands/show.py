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

from pipelines.times import duration_text

if TYPE_CHECKING:
    from pipelines.building.build import BuildResult
    from pipelines.care.erasure import Report as Erasure
    from pipelines.care.moving import Moved
    from pipelines.commands.doctor import Check
    from pipelines.commands.verify import Verified
    from pipelines.errors import DoblecheckError
    from pipelines.loading.sync import Report
    from pipelines.webhooks.ingest import Ingested

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
    """Seconds as people say them."""
    return None if seconds is None else duration_text(seconds)


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
    made: tuple[BuildResult, Path | str] | None,
    *,
    error: DoblecheckError | None = None,
    as_json: bool,
) -> None:
    """Print what a run did.

    Args:
        made: what was built and where it is published; None when that failed.
        error: of that.
    """
    if as_json:
        is_read = webhooks.is_ok and all(report.is_ok for report in found)
        to_json(
            {
                "ok": made is not None and is_read,
                "accounts": [_report(report) for report in found],
                "webhooks": _ingested(webhooks),
                "build": _built(*made) if made else None,
                **({"error": str(error), "hint": error.hint} if error else {}),
            }
        )
        return
    reports(found, as_json=False)
    ingested(webhooks, as_json=False)
    if made:
        built(*made, as_json=False)


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
    if found.left:
        print(f"not looked into: {', '.join(found.left)}")
        print("hint: remove them, or set warehouse.url to duckdb:///… and erase there too")


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
