"""Now and then: `copy`, `erase`, `init-db`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli.context import Json
from pipelines.errors import LogError, UsageError

app = typer.Typer()


@app.command()
def copy(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="postgresql://… or env:NAME")],
    as_json: Json = False,
) -> None:
    """Move a DuckDB warehouse to PostgreSQL.

    Raw rows, positions, cursors, webhooks; the next build makes the marts.
    """
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
    contact: Annotated[
        str | None, typer.Option(help="The contact's id, or its contact_key.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Remove one person from everything; counts stay.

    Raw rows, webhooks, files, marts and snapshots. Neither a sync nor a webhook brings them back.
    """
    from pipelines import run as steps
    from pipelines.care import erasure
    from pipelines.commands import show
    from pipelines.receiver.log import open_log

    if (phone is None) == (contact is None):
        raise UsageError("one of --phone and --contact", hint=f"--phone {erasure.PHONE}")
    if phone is not None:
        erasure.key_of(phone)  # before a build is made for it
    settings = context.obj.settings()
    rooms = context.obj.rooms
    warehouse = context.obj.warehouse(settings)
    with warehouse.lock(), show.Progress() as progress:
        progress.say("building what is new: the marts tell what belongs to a person")
        if problem := steps.ingest(warehouse, rooms, settings).error:
            raise LogError(
                problem, hint="nothing was erased: what only the log holds would be lost"
            )
        steps.build(warehouse, rooms, settings)
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
    """Make the roles and schemas of a PostgreSQL warehouse.

    It may be run again.
    """
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
