"""What is there: `status`, `query`, `verify`."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pipelines.cli.context import Json, as_of_moment, end_at_once, exit_unless

app = typer.Typer()

COMMENT = re.compile(r"--[^\s=]*\s")
"""What SQL may begin with, and no option does."""


class Query(TyperCommand):
    """`query`: its SQL may begin with a comment, which looks like an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, SQL told apart."""
        return super().parse_args(ctx, [f"\n{a}" if COMMENT.match(a) else a for a in args])


@app.command()
def status(
    context: typer.Context,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Tell ages as of this ISO time instead of now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How fresh and how complete each resource of each account is."""
    from pipelines.commands import show_status
    from pipelines.commands.status import read
    from pipelines.receiver.log import open_log

    settings = context.obj.settings()
    log = open_log(settings)
    found = read(
        context.obj.warehouse(settings),
        context.obj.rooms,
        log,
        now=as_of_moment(as_of),
        silent_after=timedelta(minutes=settings.alerts.silent_minutes),
    )
    show_status.status(found, as_json=as_json)


@app.command(cls=Query)
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL")],
    format_: Annotated[
        str, typer.Option("--format", help="table, csv, json or parquet.")
    ] = "table",
) -> None:
    """Run read-only SQL on the newest published snapshot."""
    import polars  # noqa: F401 - it takes Ctrl-C for itself

    from pipelines.commands import ask

    end_at_once()
    settings = context.obj.settings()
    ask.answer(context.obj.warehouse(settings), sql, format_=format_, out=sys.stdout.buffer)


@app.command()
def verify(
    as_json: Json = False,
    cases: Annotated[
        Path | None, typer.Option(help="A folder with cases of yours; default: the published ones.")
    ] = None,
) -> None:
    """Compute the published metric cases on this installation.

    In a warehouse of their own, which is gone afterwards.
    """
    from pipelines.commands import show
    from pipelines.commands import verify as cases_of  # reads the models

    found = cases_of.verify(cases)
    show.verified(found, as_json=as_json)
    exit_unless(not found.mismatches)
