"""The first hour: `init`, `doctor`, `simulate`, `demo`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.context import Json, exit_unless

if TYPE_CHECKING:
    from pipelines.settings import Settings

app = typer.Typer()


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
    """Check the configuration, each key and the warehouse.

    Says how to repair what is wrong.
    """
    from pipelines.commands import doctor as checks
    from pipelines.commands import show

    settings = context.obj.settings()
    warehouse = context.obj.warehouse(settings)
    found = checks.examine(settings, context.obj.rooms, warehouse, beside=_served(settings))
    show.checks(found, as_json=as_json)
    exit_unless(all(check.problem is None for check in found))


def _served(settings: Settings) -> dict[str, Callable[[], object]]:
    """The settings that only their programs understand. Prefect, which takes a second to import,
    is asked when somebody set a cron."""
    modules = {}
    if settings.schedule.model_fields_set & {"cron", "maintain_cron"}:
        modules["schedule"] = "flows.serve"
    if "dashboard" in settings.model_fields_set:
        modules["dashboard"] = "dashboards.serve"
    return {
        name: partial(import_module(module).check, settings) for name, module in modules.items()
    }


@app.command()
def simulate(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Length of the history.")] = 365,
    port: Annotated[int, typer.Option(min=0, max=65534, help="The first port.")] = 8400,
    seed: int = 7,
) -> None:
    """Serve both providers' APIs with a made-up shop.

    On loopback, until stopped.
    """
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
    from pipelines.commands import show, show_demo

    folder = context.obj.settings().data_path / "demo"
    with show.Progress() as progress:
        result = stage.play(context.obj.rooms, folder, days=days, port=port, progress=progress)
    show_demo.demo(result, as_json=as_json)
