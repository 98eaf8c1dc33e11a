"""dlt with doblecheck's settings and no others.

By itself dlt looks for each of its settings in the environment and in files of the current folder
and of the user's home, under a dozen names each: a variable that was meant for something else
would be taken for one, and the search is a quarter of the CPU of a small sync.
"""

from __future__ import annotations

import threading
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.configuration.utils import TraceLogContext
from dlt.common.runtime.run_context import RunContext

GROUP_ROWS = 2_000
"""Rows that a reader of dlt's files must hold at once: DuckDB takes a column of them in one piece,
and fails when its memory has no room for it, however little it needs of the rest."""

SETTINGS: dict[str, Any] = {
    "runtime": {
        "log_level": "CRITICAL",  # its errors reach us as such; its lines of them quote rows
        "dlthub_telemetry": False,
        "intercept_signals": False,  # the run decides what a signal ends
    },
    # It holds a schema per step, errors that quote rows, and is written anew after each step.
    "enable_runtime_trace": False,
    "normalize": {"parquet_normalizer": {"add_dlt_load_id": True}},
    "data_writer": {"row_group_size": GROUP_ROWS},
    "load": {"delete_completed_jobs": True},  # they hold what customers wrote
    "providers": {"enable_airflow_secrets": False},
}


class Settled(RunContext):
    """dlt's own way to run, with one place for settings."""

    def initial_providers(self) -> list[ConfigProvider]:
        return [CustomLoaderDocProvider("doblecheck", lambda: SETTINGS)]


def settle() -> None:
    """From here on, dlt in this process has these settings."""
    TraceLogContext.logging_enabled = False  # only the end of a trace lets go of this log
    with _one_at_a_time:
        runs = Container()[PluggableRunContext]
        if not isinstance(runs.context, Settled):
            runs.reload(Settled(None))


_one_at_a_time = threading.Lock()
"""Accounts begin side by side."""
