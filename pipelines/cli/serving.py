"""What runs until it is stopped: `receive`, `dashboard`, `serve`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


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
    """Serve the dashboard on the newest published snapshot."""
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
    from pipelines.settings.places import find_file

    settings = context.obj.settings()
    steps.targets(settings, context.obj.rooms)  # what is missing is better told now
    # By name: nothing in this package depends on the flows, and only they import Prefect.
    flows = import_module("flows.serve")
    config = find_file(context.obj.config)
    flows.serve(settings, config, say=lambda text: typer.echo(text, err=True))
