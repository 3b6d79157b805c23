"""The application with all commands."""

import os
from importlib.metadata import version
from typing import Annotated

import typer

from workflow_ray.cli.bulk import bulk
from workflow_ray.cli.cluster import deploy, down, scale
from workflow_ray.cli.commands import command
from workflow_ray.cli.dead_letters import dead_letters
from workflow_ray.cli.dev import dev
from workflow_ray.cli.diff import diff
from workflow_ray.cli.exit_codes import ExitCode, describe
from workflow_ray.cli.graph import graph
from workflow_ray.cli.limits import limits
from workflow_ray.cli.logs import logs
from workflow_ray.cli.output import say
from workflow_ray.cli.run import run
from workflow_ray.cli.runs import runs
from workflow_ray.cli.schedules import schedules
from workflow_ray.cli.status import status
from workflow_ray.cli.undeploy import undeploy
from workflow_ray.cli.worker import worker

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Durable workflows on Ray.",
    epilog=describe(*ExitCode),
)


def _print_version(asked: bool) -> None:
    if asked:
        say(version("workflow-ray"))
        raise typer.Exit


def _disable_colour(asked: bool) -> None:
    if asked:
        os.environ["NO_COLOR"] = "1"  # https://no-color.org: rich and the user's own code obey it


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    _no_color: Annotated[
        bool,
        typer.Option(
            "--no-color",
            callback=_disable_colour,
            is_eager=True,
            help="Print no colours, as with NO_COLOR=1. Pipes and files never get any.",
        ),
    ] = False,
) -> None:
    """Durable, event-driven workflows, run by actors on Ray."""


command(
    app,
    ExitCode.NOT_ALLOWED,
    ExitCode.LINES_REFUSED,
    ExitCode.RUNS_FAILED,
    context_settings={"allow_extra_args": True},  # `run` refuses them with a hint
)(run)
command(app, ExitCode.STEPS_ABANDONED, ExitCode.NOT_ALLOWED)(worker)
command(app, ExitCode.NOT_ALLOWED)(dev)
command(app, ExitCode.NOT_ALLOWED)(deploy)
command(app, ExitCode.NOT_ALLOWED, ExitCode.DIFFERS)(diff)
command(app)(status)
command(app)(logs)
command(app)(scale)
command(app, ExitCode.NOT_ALLOWED)(undeploy)
command(app)(down)
command(app)(graph)
app.add_typer(runs)
app.add_typer(bulk)
app.add_typer(schedules)
app.add_typer(limits)
app.add_typer(dead_letters)
