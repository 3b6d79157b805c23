"""All commands."""

from importlib.metadata import version
from typing import Annotated

import typer

from workflow_ray.cli.cluster import deploy, down, scale
from workflow_ray.cli.logs import logs
from workflow_ray.cli.run import run
from workflow_ray.cli.runs import runs
from workflow_ray.cli.status import status
from workflow_ray.cli.undeploy import undeploy
from workflow_ray.cli.worker import worker

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Durable workflows on Ray.",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(version("workflow-ray"))
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Durable, event-driven workflows, run by actors on Ray."""


app.command()(run)
app.command()(worker)
app.command()(deploy)
app.command()(status)
app.command()(logs)
app.command()(scale)
app.command()(undeploy)
app.command()(down)
app.add_typer(runs)
