"""dbt, run in this process on the project that is shipped in `models/`."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import BuildFailed

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult


TESTS_FILE = "tests.json"
LOG = Path("logs", "dbt.log")


class Dbt:
    """dbt in this process: its files in `data_dir`, its project inside this package.

    Args:
        output: how it connects, as an output of a dbt profile.
        version: of the project; while it is the same, the project is read once per process.
    """

    def __init__(
        self,
        output: Mapping[str, Any],
        data_dir: Path,
        *,
        threads: int | None = None,
        version: str = "",
    ) -> None:
        self._home = data_dir / "dbt"
        (self._home / LOG).parent.mkdir(parents=True, exist_ok=True)
        self._write_profile({**output, "threads": threads or os.cpu_count() or 1})
        self._key = (version, output["type"], _database(output))

    def get_ready(self) -> None:
        """Import dbt and read the project while the database is at work: both take seconds."""
        threading.Thread(target=self._read).start()

    def _read(self) -> None:
        """Read the project, unless this process has. What is wrong with it is told by `run`."""
        with _one_at_a_time:
            if self._key not in _manifests:
                result = self._invoke("parse")
                _manifests.clear()  # of an older version
                if result.success:
                    _manifests[self._key] = result.result

    def run(self, command: str, *arguments: str) -> dbtRunnerResult:
        """Run one command.

        Raises:
            BuildFailed: with the names of what failed.
        """
        self._read()
        result = self._invoke(command, *arguments)
        if command == "build":
            self._note_tests(result)
        if not result.success:
            room = "make room on the disk, nothing is lost; " if _lacked_room(result) else ""
            raise BuildFailed(
                f"dbt {command} failed: {_reason(result)}",
                hint=f"{room}details are in {self._home / LOG}",
            )
        return result

    def _invoke(self, command: str, *arguments: str) -> dbtRunnerResult:
        """Let dbt do it. When that fails, the log holds what it said of it: dbt's own makes a line
        of every event, to drop nearly all of them."""
        said: list[str] = []

        def note(event: Any) -> None:
            if event.info.level == "error":
                said.append(event.info.msg)

        with _one_at_a_time:
            from pipelines.building.dbt_start import load_dbt

            runner = load_dbt()(manifest=_manifests.get(self._key), callbacks=[note])
            result = runner.invoke([*_QUIET, command, *arguments, *self._flags(command)])
        if not result.success:
            (self._home / LOG).write_text("\n".join(said))
        return result

    def _note_tests(self, result: dbtRunnerResult) -> None:
        """Keep what each test said, for the dashboard: a build that fails publishes nothing. Names
        and counts only; dbt's own file would quote rows."""
        told = {
            "ended_at": datetime.now(UTC).isoformat(),
            "tests": [
                {"name": run.node.name, "status": str(run.status), "rows": run.failures}
                for run in _runs(result)
                if run.node.resource_type == "test"
            ],
        }
        (self._home / TESTS_FILE).write_text(json.dumps(told))

    def document(self) -> Path:
        """Write dbt's pages about the models; return the one file that holds them all.

        Raises:
            BuildFailed: dbt could not.
        """
        if not self._invoke("docs", "generate", "--static", "--write-json").success:
            raise BuildFailed("dbt docs failed", hint=f"see {self._home / LOG}")
        return self._home / "target" / "static_index.html"

    def _flags(self, command: str) -> list[str]:
        flags = [
            *("--project-dir", str(resources.files("models"))),
            *("--profiles-dir", str(self._home)),
            *("--target-path", str(self._home / "target")),
            *("--log-path", str(self._home / LOG.parent)),
        ]
        return flags + (["--exclude-resource-type", "unit_test"] if command == "build" else [])

    def _write_profile(self, output: Mapping[str, Any]) -> None:
        profile = {"doblecheck": {"target": "warehouse", "outputs": {"warehouse": output}}}
        (self._home / "profiles.yml").write_text(json.dumps(profile))  # JSON is YAML


_one_at_a_time = threading.RLock()
"""dbt can't do two things at once in a process, and reading may outlast a build that failed."""


_manifests: dict[tuple[str, str, str], Any] = {}
"""What dbt made of the project: reading it takes seconds, on every command."""


def _database(output: Mapping[str, Any]) -> str:
    """The database's name, which stands in every relation of the manifest."""
    return str(output["dbname"]) if "dbname" in output else Path(output["path"]).stem


_QUIET = (
    *("--quiet", "--log-level", "none", "--no-use-colors"),  # stdout is for data
    *("--log-level-file", "none"),
    *("--no-send-anonymous-usage-stats", "--no-version-check", "--no-write-json"),
)


def count(result: dbtRunnerResult, kind: str) -> int:
    """How many models or tests a result tells of."""
    return sum(run.node.resource_type == kind for run in _runs(result))


def names(result: dbtRunnerResult, statuses: Iterable[str]) -> list[str]:
    """The models and tests that ended in one of these statuses."""
    return [run.node.name for run in _runs(result) if run.status in statuses]


def release() -> None:
    """Let go of the warehouse. dbt keeps a DuckDB file open until the process ends: in one that
    lives on, nobody else could write, and the small memory of a sync would be the next build's."""
    connections = sys.modules.get("dbt.adapters.duckdb.connections")
    if connections:
        connections.DuckDBConnectionManager.close_all_connections()


def slowest(results: Iterable[dbtRunnerResult], limit: int = 5) -> list[tuple[str, float]]:
    """The models that took longest, with their seconds."""
    runs = [run for result in results for run in _runs(result)]
    models = [run for run in runs if run.node.resource_type == "model"]
    models.sort(key=lambda run: run.execution_time, reverse=True)
    return [(run.node.name, round(run.execution_time, 3)) for run in models[:limit]]


def _runs(result: dbtRunnerResult) -> list[Any]:
    return list(getattr(result.result, "results", None) or [])


def _lacked_room(result: dbtRunnerResult) -> bool:
    return any("No space left" in str(run.message) for run in _runs(result))


def _reason(result: dbtRunnerResult) -> str:
    """The failing models and tests; without any, the kind of error. Never their messages: rows."""
    failed = sorted(names(result, {"error", "fail"}))
    return ", ".join(failed) or type(result.exception).__name__
