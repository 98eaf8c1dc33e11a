"""What runs the schedule: asks Prefect what is due, and runs it in this process.

Prefect's own runner starts a process per run, and a new process needs more than ten seconds to
import dlt, dbt and Prefect. Here they are imported once. What is due, and when, Prefect says.

The rules: of the runs that were missed, the newest stands for all; one that comes due while the one
before still runs is skipped; runs that a person asked for are never skipped and wait. A run whose
process is gone is closed.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow, State
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import FlowRunResponse, SetStateStatus
from prefect.exceptions import PrefectException
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Cancelled, Crashed, Pending

from flows.stop import cancelled, stopping

log = logging.getLogger("pipelines.serve")

POLL_SECONDS = 1.0
WATCH_SECONDS = 5.0
BACK_OFF_SECONDS = 30.0
STOP_SECONDS = 60.0
GRACE = timedelta(minutes=10)
"""How long after its timeout a run of a process that we don't know may stay open."""

OPEN = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)


class Agent:
    """Runs what is due of some deployments.

    Args:
        client: of Prefect's API.
        flows: deployment → its flow.
        place: names this installation on this machine: runs that carry it and are not ours are of
            a process that is gone.
        is_alive: whether there is a server to ask.
    """

    def __init__(
        self,
        client: SyncPrefectClient,
        flows: Mapping[UUID, Flow[..., Any]],
        *,
        place: str,
        is_alive: Callable[[], bool],
    ) -> None:
        self._client, self._flows, self._place, self._is_alive = client, flows, place, is_alive
        self._running: dict[UUID, tuple[UUID, threading.Thread]] = {}

    def run(self) -> None:
        """Run what is due until `stopping` is set or the server is gone; then wait for what still
        runs."""
        pause, watched_at = POLL_SECONDS, datetime.min.replace(tzinfo=UTC)
        while not stopping.is_set() and self._is_alive():
            try:
                if datetime.now(UTC) - watched_at > timedelta(seconds=WATCH_SECONDS):
                    self.watch()
                    watched_at = datetime.now(UTC)
                self.turn()
                pause = POLL_SECONDS
            except (httpx.HTTPError, PrefectException) as error:
                log.warning("Prefect does not answer well (%s)", type(error).__name__)
                pause = min(2 * pause, BACK_OFF_SECONDS)
            stopping.wait(pause)
        for _, thread in list(self._running.values()):
            thread.join(STOP_SECONDS)

    def turn(self) -> None:
        """Start what is due now."""
        due = self._client.get_scheduled_flow_runs_for_deployments(
            list(self._flows), scheduled_before=datetime.now(UTC)
        )
        self._running = {run: held for run, held in self._running.items() if held[1].is_alive()}
        busy = {deployment for deployment, _ in self._running.values()}
        by_deployment: dict[UUID, list[FlowRunResponse]] = {}
        for run in due:
            if run.deployment_id and run.id not in self._running:
                by_deployment.setdefault(run.deployment_id, []).append(run)
        for deployment, runs in by_deployment.items():
            chosen = self._chosen(runs, is_busy=deployment in busy)
            if chosen:
                self._start(deployment, chosen)

    def watch(self) -> None:
        """Close runs whose process is gone; notice those that somebody called off."""
        for run in self._open_runs():
            if run.id in self._running:
                if run.state and run.state.is_cancelling():
                    cancelled.add(str(run.id))
            elif self._is_gone(run):
                self._close(run)

    def _chosen(self, runs: Sequence[FlowRunResponse], *, is_busy: bool) -> FlowRunResponse | None:
        """The run to start of those of one deployment that are due; the others are skipped."""
        asked = [run for run in runs if not run.auto_scheduled]
        planned = sorted(
            (run for run in runs if run.auto_scheduled),
            key=lambda run: run.expected_start_time or datetime.min.replace(tzinfo=UTC),
        )
        if is_busy:
            self._skip(planned, "the run before it was still going on")
            return None
        if planned:
            self._skip(planned[:-1], "missed; one run stands for all that were")
        return next(iter(asked or planned[-1:]), None)

    def _skip(self, runs: Iterable[FlowRunResponse], reason: str) -> None:
        for run in runs:
            state: State[Any] = Cancelled(name="Skipped", message=reason)
            self._client.set_flow_run_state(run.id, state, force=True)

    def _start(self, deployment: UUID, run: FlowRunResponse) -> None:
        """Start a run, unless another process was faster or Prefect lets no other begin."""
        pending: State[Any] = Pending()
        answer = self._client.set_flow_run_state(run.id, pending)
        if answer.status != SetStateStatus.ACCEPT:
            return
        self._client.update_flow_run(run.id, infrastructure_pid=self._place)
        thread = threading.Thread(
            target=self._execute,
            args=(self._flows[deployment], self._client.read_flow_run(run.id)),
            name=f"run {run.name}",
            daemon=True,
        )
        self._running[run.id] = (deployment, thread)
        thread.start()

    def _execute(self, flow: Flow[..., Any], run: FlowRun) -> None:
        try:
            # Heartbeats tell that a process is alive, and cost a second at the end of each run. We
            # know which runs are ours.
            with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
                state = run_flow(flow, flow_run=run, return_type="state")
            log.info("%s: %s", flow.name, getattr(state, "name", None))
        except BaseException as error:  # noqa: BLE001 - the thread's last word
            log.warning("%s ended by %s", flow.name, type(error).__name__)

    def _open_runs(self) -> list[FlowRun]:
        return self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(
                {
                    "deployment_id": {"any_": list(self._flows)},
                    "state": {"type": {"any_": list(OPEN)}},
                }
            )
        )

    def _is_gone(self, run: FlowRun) -> bool:
        if run.infrastructure_pid == self._place:
            return True
        flow = self._flows[run.deployment_id] if run.deployment_id else None
        limit = timedelta(seconds=(flow.timeout_seconds if flow else 0) or 0) + GRACE
        since = run.state.timestamp if run.state else run.created
        return since is not None and datetime.now(UTC) - since > limit

    def _close(self, run: FlowRun) -> None:
        state: State[Any] = Crashed(
            message="the process that ran it is gone; the next run goes on from there"
        )
        self._client.set_flow_run_state(run.id, state, force=True)
        tasks = self._client.read_task_runs(
            flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": [run.id]}}),
            task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": list(OPEN)}}}),
        )
        for task in tasks:
            self._client.set_task_run_state(task.id, state, force=True)
        log.warning("closed the run %s, whose process is gone", run.name)


def place(data_dir: Path) -> str:
    """The name of an installation on this machine. One `serve` at a time has it."""
    return f"{socket.gethostname()}:{data_dir}"
