"""doblecheck …: parse, call, print. Data goes to stdout, everything else to stderr.

Nothing heavy is imported here: `doblecheck --help` has half a second.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines import logs
from pipelines.errors import DoblecheckError, UsageError

if TYPE_CHECKING:
    from pipelines.provider import Provider
    from pipelines.settings import Settings
    from pipelines.warehouse import Warehouse

app = typer.Typer(
    name="doblecheck",
    help="How fast do we answer on WhatsApp, and how many 24-hour windows expire unanswered?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="Count waiting times up to this ISO time instead of now."),
]

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


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(help="The configuration file [$DOBLECHECK_CONFIG, ./doblecheck.toml]."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", envvar="DOBLECHECK_LOG_JSON", help="Log JSON lines.")
    ] = False,
) -> None:
    """Options that stand before the command."""
    logs.set_up(is_verbose=verbose, as_json=log_json)
    context.obj = Context(config)


@app.command()
def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write a commented doblecheck.toml."""
    from pipelines.commands.starter import write

    path = write(context.obj.config, force=force)
    typer.echo(path)


@app.command()
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check the configuration, each key, and the warehouse; say how to repair what is wrong."""
    from pipelines.commands import doctor as checks
    from pipelines.commands import show

    settings = context.obj.settings()
    found = checks.examine(settings, context.obj.rooms, context.obj.warehouse(settings))
    show.checks(found, as_json=as_json)
    _exit_unless(all(check.problem is None for check in found))


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
    is_stopping = _stop_signal()
    journal = Journal(settings.data_path).run("backfill" if "span" in what else "sync")
    with warehouse.lock(), journal as entry, show.Progress() as progress:
        reports = steps.sync(
            warehouse,
            rooms,
            chosen,
            is_stopping=is_stopping,
            on_page=progress.page,
            on_account=progress.account,
            **what,
        )
        entry.read(reports)
        is_whole = all(report.is_ok for report in reports) and len(reports) == len(chosen)
        if is_stopping() and not is_whole:
            entry.ends("stopped", STOPPED)
            progress.say(STOPPED)
    show.reports(reports, as_json=as_json)
    _exit_unless(is_whole)


@app.command()
def backfill(
    context: typer.Context,
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day, UTC.")],
    end: Annotated[str, typer.Option("--to", metavar="DATE", help="The day after the last.")],
    accounts: Annotated[list[str] | None, typer.Argument(metavar="[ACCOUNT]...")] = None,
    as_json: Json = False,
) -> None:
    """Read a range of messages, conversations and calls again, a day at a time."""
    span = (_required(start, "--from"), _required(end, "--to"))
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
    """Load webhooks from the receiver's log, or from files, into the raw tables."""
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
            stop = _stop_signal()
            done = steps.ingest(warehouse, rooms, settings, is_stopping=stop)
        entry.ingested(done)
    show.ingested(done, as_json=as_json)
    _exit_unless(done.is_ok)


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
    moment = _moment(as_of)
    journal = Journal(settings.data_path).run("build")
    with warehouse.lock(), journal as entry, show.Progress() as progress:
        progress.say("building the models")
        built = steps.build(warehouse, context.obj.rooms, settings, as_of=moment, full=full)
        entry.built(built[0])
    show.built(*built, as_json=as_json)


@app.command()
def run(context: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """Sync, load webhooks, build and publish: what a schedule repeats."""
    from pipelines import run as steps
    from pipelines.commands import show
    from pipelines.journal import Journal

    settings = context.obj.settings()
    rooms = context.obj.rooms
    chosen = steps.targets(settings, rooms)
    warehouse = context.obj.warehouse(settings)
    moment = _moment(as_of)
    is_stopping = _stop_signal()
    journal = Journal(settings.data_path).run("run")
    with warehouse.lock(), journal as entry, show.Progress() as progress:
        reports = steps.sync(
            warehouse,
            rooms,
            chosen,
            is_stopping=is_stopping,
            on_page=progress.page,
            on_account=progress.account,
        )
        entry.read(reports)
        if is_stopping():
            entry.ends("stopped", STOPPED)
            progress.say(STOPPED)
            raise typer.Exit(1)
        webhooks = steps.ingest(warehouse, rooms, settings, is_stopping=is_stopping)
        entry.ingested(webhooks)
        progress.say("building the models")
        result, snapshot = steps.build(warehouse, rooms, settings, as_of=moment)
        entry.built(result)
    show.ran(reports, webhooks, result, snapshot, as_json=as_json)
    _exit_unless(webhooks.is_ok and all(report.is_ok for report in reports))


@app.command()
def receive(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address [receiver.host].")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="[receiver.port].")] = None,
) -> None:
    """Receive webhooks, store them, acknowledge them; until stopped."""
    from pipelines.commands import show
    from pipelines.receiver import serving

    settings = context.obj.settings()
    with (
        show.Progress() as progress,
        serving.prepared(
            settings, context.obj.rooms, host=host, port=port, say=progress.say
        ) as receiving,
    ):
        for line in serving.opening(receiving, settings):
            progress.say(line)
        receiving.run()
        progress.say(f"stopped: {serving.summary(receiving.metrics.totals())}")


@app.command()
def dashboard(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any.")] = None,
) -> None:
    """Serve the dashboard on the newest published snapshot, until stopped."""
    from dashboards.serve import serve

    settings = context.obj.settings()
    given = {"host": host, "port": port}
    changed = {key: value for key, value in given.items() if value is not None}
    chosen = settings.dashboard.model_copy(update=changed)
    settings = settings.model_copy(update={"dashboard": chosen})
    serve(settings, context.obj.warehouse(settings))


@app.command()
def serve(context: typer.Context) -> None:
    """Run the schedules of the settings with Prefect, until stopped."""
    from importlib import import_module

    from pipelines import run as steps
    from pipelines.settings import find_file

    settings = context.obj.settings()
    steps.targets(settings, context.obj.rooms)  # what is missing is better told now
    # By name: nothing in this package depends on the flows, and only they import Prefect.
    flows = import_module("flows.serve")
    config = find_file(context.obj.config)
    flows.serve(settings, config, say=lambda text: typer.echo(text, err=True))


@app.command()
def status(context: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """How fresh and how complete each resource of each account is."""
    from pipelines.commands import show
    from pipelines.commands.status import read
    from pipelines.receiver.log import open_log

    settings = context.obj.settings()
    log = open_log(settings)
    found = read(
        context.obj.warehouse(settings),
        context.obj.rooms,
        log,
        now=_moment(as_of),
        silent_after=timedelta(minutes=settings.alerts.silent_minutes),
    )
    show.status(found, as_json=as_json)


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL")],
    format_: Annotated[
        str, typer.Option("--format", help="table, csv, json or parquet.")
    ] = "table",
) -> None:
    """Run read-only SQL on the newest published snapshot."""
    from pipelines.commands import ask

    settings = context.obj.settings()
    ask.answer(context.obj.warehouse(settings), sql, format_=format_, out=sys.stdout.buffer)


@app.command()
def verify(
    as_json: Json = False,
    cases: Annotated[
        Path | None, typer.Option(help="A folder with cases of yours; default: the published ones.")
    ] = None,
) -> None:
    """Compute the published metric cases on this installation, in a warehouse of their own."""
    from pipelines.commands import show
    from pipelines.commands import verify as cases_of  # reads the models

    found = cases_of.verify(cases)
    show.verified(found, as_json=as_json)
    _exit_unless(not found.mismatches)


@app.command()
def copy(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="postgresql://… or env:NAME")],
    as_json: Json = False,
) -> None:
    """Move a DuckDB warehouse to PostgreSQL: raw rows, positions, cursors, webhooks."""
    from pydantic import SecretStr

    from pipelines.care import moving
    from pipelines.commands import show
    from pipelines.settings import Warehouse as Place
    from pipelines.warehouse.embedded import DuckDBWarehouse
    from pipelines.warehouse.postgres import PostgresWarehouse

    settings = context.obj.settings()
    source = context.obj.warehouse(settings)
    place = Place(url=SecretStr(to))
    target = context.obj.warehouse(settings.model_copy(update={"warehouse": place}))
    if not (isinstance(source, DuckDBWarehouse) and isinstance(target, PostgresWarehouse)):
        raise UsageError(
            "only from DuckDB to PostgreSQL", hint="doblecheck copy --to postgresql://…"
        )
    with source.lock(), target.lock(), show.Progress() as progress:
        found = moving.move(
            source,
            target,
            context.obj.rooms,
            on_table=lambda moved: progress.say(f"{moved.table}: {moved.rows:,} rows"),
        )
    show.moved(found, target.name, as_json=as_json)


@app.command()
def erase(
    context: typer.Context,
    phone: Annotated[str | None, typer.Option(help="With the country code.")] = None,
    contact: Annotated[str | None, typer.Option(help="The contact's id.")] = None,
    as_json: Json = False,
) -> None:
    """Remove one person from raw rows, webhooks, files, marts and snapshots; counts stay."""
    from pipelines import run as steps
    from pipelines.care import erasure
    from pipelines.commands import show
    from pipelines.receiver.log import open_log

    if (phone is None) == (contact is None):
        raise UsageError("one of --phone and --contact", hint="--phone +5491123456789")
    settings = context.obj.settings()
    rooms = context.obj.rooms
    warehouse = context.obj.warehouse(settings)
    with warehouse.lock(), show.Progress() as progress:
        log = open_log(settings)
        try:
            found = erasure.erase(warehouse, rooms, log, phone=phone, contact=contact)
        finally:
            log.close()
        progress.say("building the models from scratch")
        steps.build(warehouse, rooms, settings, full=True)
        progress.say("writing the files anew")
        warehouse.compact()
    show.erased(found, as_json=as_json)


@app.command(name="init-db")
def init_db(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL only.")] = False,
) -> None:
    """Make the roles, schemas and rights of a PostgreSQL warehouse; may be run again."""
    from pipelines.warehouse.postgres import PostgresWarehouse
    from pipelines.warehouse.postgres_roles import ROLES, statements

    if dry_run:
        for sql in statements(context.obj.rooms):
            typer.echo(f"{sql};")
        return
    warehouse = context.obj.warehouse(context.obj.settings())
    if not isinstance(warehouse, PostgresWarehouse):
        raise UsageError(
            "a DuckDB file has no roles", hint="set warehouse.url to postgresql://…, then run again"
        )
    warehouse.make_roles(context.obj.rooms)
    typer.echo(f"{warehouse.name}: {', '.join(ROLES)}")
    typer.echo("hint: give those that log in a password: \\password doblecheck_reader", err=True)


@app.command()
def simulate(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Length of the history.")] = 365,
    port: Annotated[int, typer.Option(min=0, max=65534, help="The first port.")] = 8400,
    seed: int = 7,
) -> None:
    """Serve both providers' APIs with a made-up shop, on loopback, until stopped."""
    from pipelines.commands import demo as stage

    with stage.simulators(days=days, seed=seed, port=port) as environment:
        for name, value in environment.items():
            typer.echo(f"export {name}={value}")
        typer.echo("serving until Ctrl-C", err=True)
        threading.Event().wait()


@app.command()
def demo(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Length of the history.")] = 365,
    port: Annotated[int, typer.Option(min=0, max=65534, help="The first port; 0: any.")] = 0,
    as_json: Json = False,
) -> None:
    """Sync a made-up shop over HTTP, build the metrics and show them. Needs no account."""
    from pipelines.commands import demo as stage
    from pipelines.commands import show

    folder = context.obj.settings().data_path / "demo"
    with show.Progress() as progress:
        result = stage.play(context.obj.rooms, folder, days=days, port=port, progress=progress)
    show.demo(result, as_json=as_json)


def _required(text: str, option: str) -> datetime:
    moment = _moment(text, option)
    assert moment is not None
    return moment


def _moment(text: str | None, option: str = "--as-of") -> datetime | None:
    """The instant an ISO text names, UTC when it has no zone.

    Raises:
        UsageError: it names none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is not an ISO time", hint="such as 2026-11-20T18:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _stop_signal() -> Callable[[], bool]:
    """Whether the process was asked to end: what was read is then loaded before it does."""
    asked = threading.Event()

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it at once
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    return asked.is_set


def _exit_unless(well: bool) -> None:
    if not well:
        raise typer.Exit(1)


def main() -> None:
    """The console script: one line on what failed, one hint, and the exit code."""
    os.umask(0o077)  # the warehouse holds what customers wrote
    try:
        app()
    except DoblecheckError as error:
        sys.exit(_told(str(error), error.hint, error.exit_code))
    except Exception as error:  # noqa: BLE001 - a trace may show rows
        sys.exit(_unexpected(error))


def _told(message: str, hint: str, code: int) -> int:
    typer.echo(f"error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    return code


def _unexpected(error: Exception) -> int:
    if os.environ.get("DOBLECHECK_TRACE"):
        raise error
    return _told(
        f"unexpected {type(error).__name__}",
        "DOBLECHECK_TRACE=1 shows where; the trace may quote your data",
        1,
    )


if __name__ == "__main__":
    main()
