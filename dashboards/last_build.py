"""What the last build's tests said, from the file that dbt leaves behind; a build that failed
publishes nothing, so the warehouse itself can't tell of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

WELL = {"pass", "success"}


@dataclass(frozen=True)
class Failure:
    """A test that found rows (`warn`, `fail`) or could not run (`error`)."""

    name: str
    status: str
    rows: int | None


@dataclass(frozen=True)
class LastBuild:
    """The tests of a build."""

    ended_at: datetime
    tests: int
    passed: int
    failures: tuple[Failure, ...]


def last_build(data_path: Path) -> LastBuild | None:
    """The last build on this machine; None when it was elsewhere, or its file is not readable.

    Messages are left out: they may quote rows.
    """
    try:
        told = json.loads((data_path / "dbt" / "target" / "run_results.json").read_text("utf-8"))
        results = [r for r in told["results"] if r["unique_id"].split(".")[0] in TESTS]
        return LastBuild(
            ended_at=datetime.fromisoformat(told["metadata"]["generated_at"]),
            tests=len(results),
            passed=sum(r["status"] in WELL for r in results),
            failures=tuple(
                Failure(r["unique_id"].split(".")[2], _status(r["status"]), r["failures"])
                for r in results
                if r["status"] not in WELL
            ),
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


TESTS = {"test", "unit_test"}


def _status(status: str) -> str:
    return status if status in ("warn", "fail", "error") else "skipped"
