"""What the flows share: the installation, its lock, its accounts, and how an end is told."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import State, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from flows.stop import cancelled, stopping
from pipelines import run as steps
from pipelines.errors import DoblecheckError, Unreachable, WarehouseBusy
from pipelines.journal import Entry, Journal
from pipelines.loading.sync import Report
from pipelines.providers import find
from pipelines.settings import Settings, load
from pipelines.warehouse import Warehouse, open_warehouse

P = ParamSpec("P")
R = TypeVar("R")

POLL_SECONDS = 0.5
RETRY_FACTOR = 30
"""How much longer than before a repeated request we wait before an account that did not answer is
asked once more, 15 s by default: for the moment in which a provider restarts."""

RUNNER: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=64)  # type: ignore[assignment]
"""Accounts wait in threads of their own; the settings say how many are read at once."""


class Site:
    """One installation, opened for a run.

    It is no dataclass on purpose: Prefect looks through those that it hands to a task.
    """

    def __init__(self, settings: Settings, *, seconds: float) -> None:
        self.settings = settings
        self.rooms = find()
        self.warehouse: Warehouse = open_warehouse(settings)
        self.journal = Journal(settings.data_path)
        self.reports: list[Report] = []
        self._ends_at = time.monotonic() + seconds
        self._run_id = flow_run.get_id() or ""
        self._places = threading.Semaphore(settings.schedule.accounts_at_once)
        self._is_over = threading.Event()

    def is_stopping(self) -> bool:
        """Whether the run should end: the process, the run or its time is over."""
        return (
            stopping.is_set()
            or self._is_over.is_set()
            or self._run_id in cancelled
            or time.monotonic() > self._ends_at
        )

    @contextmanager
    def holding(self, *, patience: float) -> Iterator[None]:
        """Hold the warehouse; wait for it as long as `patience` says.

        Raises:
            WarehouseBusy: another run still holds it.
        """
        gives_up_at = time.monotonic() + patience
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(self.warehouse.lock())
                    break
                except WarehouseBusy:
                    if time.monotonic() > gives_up_at or self.is_stopping():
                        raise
                time.sleep(POLL_SECONDS)
            yield

    def read(self, chosen: Sequence[steps.Target], **what: Any) -> list[Report]:
        """Read accounts side by side, each as a task of its own; return the reports.

        One that fails ends no other: its report tells it. All have ended when this returns, also
        when it is left by an error: nothing may be written after the lock is given back.
        """
        before = len(self.reports)
        self.warehouse.ensure_raw_tables(self.rooms)
        with self.warehouse.side_by_side():
            self._read(chosen, what)
        return self.reports[before:]

    def _read(self, chosen: Sequence[steps.Target], what: dict[str, Any]) -> None:
        futures = []
        try:
            for target in chosen:
                delay = RETRY_FACTOR * target.account.retry_seconds
                # Runs have tags, tasks have names: for a tag Prefect would ask its server for a
                # place before each task.
                step = sync_account.with_options(retry_delay_seconds=delay)
                futures.append(step.submit(target.name, self, Sealed(target, what)))
            for future in futures:
                future.wait()
        finally:
            if not all(future.state.is_final() for future in futures):
                self._is_over.set()
                for future in futures:
                    future.wait()

    def read_one(self, target: steps.Target, **what: Any) -> Report:
        """Read one account when there is a place for it."""
        with self._places:
            report = steps.sync_one(self.warehouse, target, is_stopping=self.is_stopping, **what)
        self.reports.append(report)
        return report


class Sealed:
    """A target and what to do with it, closed to Prefect: an account holds its key."""

    def __init__(self, target: steps.Target, what: dict[str, Any]) -> None:
        self.target, self.what = target, what


def opened(config: Path | None, *, seconds: float) -> Site:
    """The installation that a configuration file describes.

    Args:
        config: the file; None looks where the command line looks.
        seconds: how long a run may take.

    Raises:
        ConfigError: it can't be used.
    """
    os.umask(0o077)  # the warehouse holds what customers wrote
    return Site(load(config, find()), seconds=seconds)


def in_our_words(function: Callable[P, R]) -> Callable[P, R]:
    """Tell an error that is not ours by its kind alone: Prefect keeps what it says, and it may
    quote rows."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (DoblecheckError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001
            raise DoblecheckError(f"unexpected {type(error).__name__}") from None

    # Prefect reads the types of the parameters, and would look for their names in this module.
    guarded.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return guarded


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether another try may help: the provider did not answer. A refused key stays refused."""
    return isinstance(state.result(raise_on_failure=False), Unreachable)


@task(
    name="sync account",
    task_run_name="sync {name}",
    retries=1,
    retry_condition_fn=_may_pass,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@in_our_words
def sync_account(name: str, site: Site, sealed: Sealed) -> None:
    """Sync one account.

    Raises:
        DoblecheckError: it was not read whole. Its report is kept all the same.
    """
    report = site.read_one(sealed.target, **sealed.what)
    get_run_logger().info(
        "%s: %d rows new or changed, %d requests, %.1f s",
        name,
        report.changed,
        report.requests,
        report.seconds,
    )
    errors = [report.error, *(outcome.error for outcome in report.outcomes.values())]
    for error in [*errors, *report.problems]:
        if error:
            raise error


def told(entry: Entry) -> State[Any]:
    """The state that tells how a run ended."""
    message = entry.message or f"{entry.rows} rows new or changed, {entry.requests} requests"
    if entry.outcome == "failed":
        return Failed(message=message)
    if entry.outcome == "stopped":
        return Cancelled(message=message)
    return Completed(message=message)


def skipped(reason: str) -> State[Any]:
    """The state of a run that had nothing to do, or no turn."""
    return Completed(name="Skipped", message=reason)


def newest(reports: Sequence[Report]) -> list[Report]:
    """The last report of each account: one that was tried again has several."""
    return list({(r.provider, r.account): r for r in reports}.values())
