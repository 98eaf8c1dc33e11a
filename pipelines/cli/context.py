"""What every command shares: its options, the settings and the warehouse, how it ends."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import UsageError

if TYPE_CHECKING:
    from pipelines.provider import Provider
    from pipelines.settings import Settings
    from pipelines.warehouse import Warehouse

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Count waiting times up to this ISO time instead of now."),
]

YEARS = range(1970, 3000)
"""Of any time that a command names: at the ends of the calendar, nothing can be counted."""

STOPPED = "stopped as asked; the next run goes on from here"


class Context:
    """What every command shares: the rooms, the settings and the warehouse, made when asked for."""

    def __init__(self, config: Path | None) -> None:
        self.config = config

    @property
    def rooms(self) -> tuple[Provider, ...]:
        """Every room there is."""
        from pipelines.providers import find

        return find()

    def settings(self) -> Settings:
        """The settings.

        Raises:
            ConfigError: they can't be used.
        """
        from pipelines.settings import load

        return load(self.config, self.rooms)

    def warehouse(self, settings: Settings) -> Warehouse:
        """The warehouse that the settings name."""
        from pipelines.warehouse import open_warehouse

        return open_warehouse(settings)


def is_the_last_work() -> None:
    """Say, before a build, that the process ends with it: Python looks for no garbage any more.
    Afterwards it would look through all that dbt has left, which takes half a second."""
    gc.disable()


def moment_of(text: str, option: str) -> datetime:
    """The instant an ISO text names, UTC when it has no zone.

    Raises:
        UsageError: it names none.
    """
    try:
        told = datetime.fromisoformat(text)
        moment = (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: in UTC it is before the first year
        moment = None
    if moment is None or moment.year not in YEARS:
        raise UsageError(
            f"{option} {text!r} is not an ISO time from {YEARS[0]} to {YEARS[-1]}",
            hint="such as 2026-11-20T18:00:00Z",
        )
    return moment


def as_of_moment(text: str | None) -> datetime | None:
    """What `--as-of` names; None: now."""
    return moment_of(text, "--as-of") if text is not None else None


def stop_signal() -> Callable[[], bool]:
    """Whether the process was asked to end, by SIGTERM or Ctrl-C: what was read is then loaded
    before it does."""
    asked = threading.Event()

    def stop(number: int, _: object) -> None:
        end_at_once()  # at a second one
        if number == signal.SIGINT and not asked.is_set():
            os.write(2, b"stopping; Ctrl-C again ends it at once\n")
        asked.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return asked.is_set


def end_at_once() -> None:
    """Let SIGTERM and Ctrl-C end the process as a kill does, which everything here survives.
    Python's own way waits for threads and for what DuckDB is at."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def tell(message: str, hint: str = "") -> None:
    """Say on stderr what went wrong and what to do about it."""
    typer.echo(f"error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)


def exit_unless(well: bool) -> None:
    """End with exit code 1 when something was not well."""
    if not well:
        raise typer.Exit(1)
