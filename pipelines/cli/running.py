"""From the providers to the marts: `sync`, `backfill`, `ingest`, `build`, `run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.context import (
    STOPPED,
    AsOf,
    Json,
    as_of_moment,
    end_at_once,
    exit_unless,
    is_the_last_work,
    moment_of,
    stop_signal,
    tell,
)
from pipelines.errors import DoblecheckError, UsageError, WarehouseBusy

if TYPE_CHECKING:
    from pipelines.commands.show import Progress
    from pipelines.journal import Entry
    from pipelines.loading.sync import Report
    from pipelines.provider import Provider
    from pipelines.run import Target
    from pipelines.warehouse import Warehouse

app = typer.Typer()


@app.command()
def sync(
    context: typer.Context,
    accounts: Annotated[list[str] | None, typer.Argument(metavar="[ACCOUNT]...")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="Only this; repeatable.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again.")] = False,
    as_json: Json = False,
) -> None:
    """Pull what is new from the providers into the raw tables."""
    _sync(context, accounts or (), resources=resource or (), as_json=as_json, is_full=full)


def _sync(
    context: typer.Context,
    accounts: Sequence[str],
    *,
    as_json: bool,
    resources: Sequence[str] = (),
    **what: Any,
) -> None:
    from pipelines import run as steps
    from pipelines.commands import show
    from pipelines.journal import Journal

    settings = context.obj.settings()
    rooms = context.obj.rooms
    chosen = steps.targets(settings, rooms, accounts=accounts, resources=resources)
    warehouse = context.obj.warehouse(settings)
    is_stopping = stop_signal()
    journal = Journal(settings.data_path).run("backfill" if "span" in what else "sync")
    with warehouse.lock(), journal as entry, show.Progress() as progress:
        reports = _read(warehouse, rooms, chosen, entry, progress, is_stopping=is_stopping, **what)
        is_whole = all(report.is_ok for report in reports) and len(reports) == len(chosen)
        if is_stopping() and not is_whole:
            entry.ends("stopped", STOPPED)
            progress.say(STOPPED)
    show.reports(reports, as_json=as_json)
    exit_unless(is_whole)


@app.command()
def backfill(
    context: typer.Context,
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day, UTC.")],
    end: Annotated[str, typer.Option("--to", metavar="DATE", help="The day after the last.")],
    accounts: Annotated[list[str] | None, typer.Argument(metavar="[ACCOUNT]...")] = None,
    as_json: Json = False,
) -> None:
    """Read a range of messages, conversations and calls again.

    A day at a time, the newest first.
    """
    span = (moment_of(start, "--from"), moment_of(end, "--to"))
    if span[0] >= span[1]:
        raise UsageError("--from is not before --to", hint="--from 2026-11-01 --to 2026-12-01")
    _sync(context, accounts or (), as_json=as_json, span=span)


@app.command()
def ingest(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="An event log of another receiver, JSON lines, gzip or plain; repeatable.",
        ),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Whose the deliveries of the files are.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load webhooks from the receiver's log, or from files."""
    from pipelines import run as steps
    from pipelines.commands import show
    from pipelines.journal import Journal

    settings = context.obj.settings()
    rooms = context.obj.rooms
    warehouse = context.obj.warehouse(settings)
    if account and not files:
        raise UsageError("--account needs --from", hint="the log knows whose its deliveries are")
    with warehouse.lock(), Journal(settings.data_path).run("ingest") as entry:
        if files:
            done = steps.ingest_files(warehouse, rooms, settings, files, account=account)
        else:
            stop = stop_signal()
            done = steps.ingest(warehouse, rooms, settings, is_stopping=stop)
        entry.ingested(done)
        if done.is_stopped:
            entry.ends("stopped", STOPPED)
    show.ingested(done, as_json=as_json)
    exit_unless(done.is_ok and not done.is_stopped)


@app.command()
def build(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Build everything anew.")] = False,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Build and test the models, then publish a snapshot for readers."""
    from pipelines import run as steps
    from pipelines.commands import show
    from pipelines.journal import Journal

    settings = context.obj.settings()
    warehouse = context.obj.warehouse(settings)
    moment = as_of_moment(as_of)
    journal = Journal(settings.data_path).run("build")
    with warehouse.lock(), journal as entry, show.Progress() as progress:
        progress.say("building the models")
        is_the_last_work()
        built = steps.build(warehouse, context.obj.rooms, settings, as_of=moment, full=full)
        entry.built(built[0])
    show.built(*built, as_json=as_json)


@app.command()
def run(context: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """Sync, load webhooks, build and publish.

    What a schedule repeats.
    """
    from pipelines import run as steps
    from pipelines.commands import alerts, show
    from pipelines.journal import Journal

    settings = context.obj.settings()
    rooms = context.obj.rooms
    chosen = steps.targets(settings, rooms)
    warehouse = context.obj.warehouse(settings)
    moment = as_of_moment(as_of)
    is_stopping = stop_signal()
    log = Journal(settings.data_path)
    entry, webhooks = None, None
    alerts.before(log, settings)
    try:
        with warehouse.lock(), log.run("run") as entry, show.Progress() as progress:
            reports = _read(warehouse, rooms, chosen, entry, progress, is_stopping=is_stopping)
            _end_if(is_stopping, entry, progress)
            webhooks = steps.ingest(warehouse, rooms, settings, is_stopping=is_stopping)
            entry.ingested(webhooks)
            _end_if(is_stopping, entry, progress)
            progress.say("building the models")
            is_the_last_work()
            end_at_once()
            built = steps.build(warehouse, rooms, settings, as_of=moment)
            entry.built(built[0])
    except DoblecheckError as error:
        if entry is None and not isinstance(error, WarehouseBusy):
            entry = log.failed("run", error)  # the warehouse is away, or can't be opened
        if webhooks is None:
            raise
        show.ran(reports, webhooks, None, error=error, as_json=as_json)  # what was read is there
        tell(str(error), error.hint)
        raise typer.Exit(error.exit_code) from None
    finally:
        if entry is not None:
            alerts.after(entry, warehouse, rooms, settings)
    show.ran(reports, webhooks, built, as_json=as_json)
    exit_unless(webhooks.is_ok and all(report.is_ok for report in reports))


def _read(
    warehouse: Warehouse,
    rooms: Sequence[Provider],
    chosen: Sequence[Target],
    entry: Entry,
    progress: Progress,
    **what: Any,
) -> list[Report]:
    """Sync accounts; show how it goes, and log what was read."""
    from pipelines import run as steps

    reports = steps.sync(
        warehouse, rooms, chosen, on_page=progress.page, on_account=progress.account, **what
    )
    entry.read(reports)
    return reports


def _end_if(is_stopping: Callable[[], bool], entry: Entry, progress: Progress) -> None:
    """End a run that was asked to, before its next step.

    Raises:
        typer.Exit: it was.
    """
    if is_stopping():
        entry.ends("stopped", STOPPED)
        progress.say(STOPPED)
        raise typer.Exit(1)
