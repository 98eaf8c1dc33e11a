"""`doblecheck serve`: the schedules, until stopped.

One process per data folder serves; another one waits, and takes over when the first is gone.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flows import server
from pipelines.errors import ConfigError, DoblecheckError
from pipelines.settings import Settings
from pipelines.settings.checks import duration

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.schedules import Schedule

EVERY = "5 minutes"
WAIT_SECONDS = 0.5


def serve(settings: Settings, config: Path | None, *, say: Callable[[str], None]) -> None:
    """Run the schedules until SIGTERM or Ctrl-C; a second one ends it at once.

    Args:
        config: the configuration file that runs read.
        say: told, for people, what goes on.

    Raises:
        DoblecheckError: Prefect can't be reached or started, or ended.
        ConfigError: a schedule is none.
    """
    os.umask(0o077)
    is_stopping = _stop_signal()
    with _alone(settings.data_path, say, is_stopping):
        if not is_stopping():
            _serve(settings, config, say)
    say("stopped")


def check(settings: Settings) -> None:
    """Ask Prefect whether it understands the schedules.

    Raises:
        ConfigError: it does not.
    """
    # Prefect makes its home when it is imported: not in the user's.
    home = settings.data_path / "prefect"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ.setdefault("PREFECT_HOME", str(home))
    _run_schedule(settings)
    _cron(settings, settings.schedule.maintain_cron)


def _serve(settings: Settings, config: Path | None, say: Callable[[str], None]) -> None:
    api, is_alive = _api(settings)
    # Prefect reads the environment when it is imported, and takes seconds to import.
    from prefect.client.orchestration import get_client

    from flows.agent import Agent, place

    flows = deploy(settings, config)
    _warm_up()
    say(f"serving; Prefect is at {api}")
    with get_client(sync_client=True) as client:
        Agent(client, flows, place=place(settings.data_path), is_alive=is_alive).run()
    if not is_alive():
        raise DoblecheckError(
            "the Prefect server ended",
            hint=f"it says why in {settings.data_path / 'prefect' / 'server.log'}",
        )


def deploy(settings: Settings, config: Path | None) -> dict[UUID, Flow[..., Any]]:
    """Tell Prefect of the flows and when they run; return deployment → flow.

    Raises:
        ConfigError: a schedule is none.
    """
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

    from flows.backfill import backfill
    from flows.ingest import ingest
    from flows.maintain import maintain
    from flows.sync import sync

    plan: list[tuple[Flow[..., Any], Schedule | None]] = [
        (sync, _run_schedule(settings)),
        (ingest, _interval(settings.schedule.ingest_every)),
        (maintain, _cron(settings, settings.schedule.maintain_cron)),
        (backfill, None),
    ]
    found = {}
    for flow, schedule in plan:
        strategy = (
            ConcurrencyLimitStrategy.CANCEL_NEW if schedule else ConcurrencyLimitStrategy.ENQUEUE
        )
        deployment = flow.to_deployment(
            settings.schedule.name,
            schedule=schedule,
            parameters={"config": str(config) if config else None},
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=strategy),
            tags=["doblecheck"],
        )
        # Coroutines in an event loop only.
        found[cast(Any, deployment).apply()] = flow
    return found


def _run_schedule(settings: Settings) -> Schedule:
    if settings.schedule.cron:
        return _cron(settings, settings.schedule.cron)
    return _interval(settings.schedule.every or EVERY)


def _interval(every: str) -> Schedule:
    from prefect.schedules import Interval

    return Interval(duration(every))


def _cron(settings: Settings, cron: str) -> Schedule:
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.schedules import Cron

    zone = settings.schedule.timezone or settings.timezone
    try:
        CronSchedule(cron=cron, timezone=zone)
    except ValueError:
        raise ConfigError(f"{cron!r} is no cron", hint='such as "*/5 * * * *"') from None
    return Cron(cron, timezone=zone)


def _warm_up() -> None:
    """Import now what the first run would have to wait for."""
    import dlt  # noqa: F401

    import pipelines.building.build  # noqa: F401
    from pipelines.building.dbt_start import load_dbt

    load_dbt()


def _api(settings: Settings) -> tuple[str, Callable[[], bool]]:
    """The address of the Prefect server, and whether it still runs as far as we can tell: the one
    that the environment names, or one of our own."""
    named = os.environ.get("PREFECT_API_URL")
    if named:
        return named, lambda: True
    address, process = server.start(settings.data_path, settings.schedule.port)
    return address, lambda: process.poll() is None


@contextmanager
def _alone(
    data_dir: Path, say: Callable[[str], None], is_stopping: Callable[[], bool]
) -> Iterator[None]:
    """Wait until no other process serves this data folder. The system frees the place of one that
    died."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    has_said = False
    with (data_dir / "serve.lock").open("w") as file:
        while not is_stopping():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not has_said:
                    say("another process serves here; waiting to take over when it ends")
                    has_said = True
                time.sleep(WAIT_SECONDS)
        yield


def _stop_signal() -> Callable[[], bool]:
    """Whether the process was asked to end."""
    from flows.stop import stopping

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping.is_set
