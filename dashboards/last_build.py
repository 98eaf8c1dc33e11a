"""What the last build's tests said, from the file that it leaves behind: a build that failed
publishes nothing, so the warehouse itself can't tell of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.building.dbt_runner import TESTS_FILE


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
    """The last build on this machine; None when it was elsewhere, or its file is not readable."""
    try:
        told = json.loads((data_path / "dbt" / TESTS_FILE).read_text("utf-8"))
        failures = tuple(
            Failure(test["name"], _status(test["status"]), test["rows"])
            for test in told["tests"]
            if test["status"] != "pass"
        )
        return LastBuild(
            ended_at=datetime.fromisoformat(told["ended_at"]),
            tests=len(told["tests"]),
            passed=len(told["tests"]) - len(failures),
            failures=failures,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _status(status: str) -> str:
    return status if status in ("warn", "fail", "error") else "skipped"
