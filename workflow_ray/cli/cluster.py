"""What runs on Ray: bring it there, look at it, take it away. Ray is imported by the commands that need it only: it takes a second."""

import asyncio
import os
from typing import Annotated

import typer

from workflow_ray.cli.options import AsJson, Events, Records, Timeouts
from workflow_ray.cli.views import show
from workflow_ray.definition import load
from workflow_ray.runtime import Runtime
from workflow_ray.runtime.urls import place_of, records_url

References = Annotated[list[str], typer.Argument(metavar="MODULE:ATTRIBUTE...", help="The workflows, e.g. examples.orders:orders.")]


def deploy(references: References, records: Records = None, events: Events = None, timeouts: Timeouts = None) -> None:
    """Have workflows run on Ray. What runs already is brought up to date; other workflows of the same records stay as they are."""
    workflows = [load(reference, [os.getcwd()]) for reference in references]

    runtime = Runtime.ray(*workflows, records=records, events=events, timeouts=timeouts)

    async def deployed() -> None:
        async with runtime:
            pass  # leaving stops nothing

    asyncio.run(deployed())
    typer.echo(f"{', '.join(workflow.name for workflow in workflows)}: running, on {runtime.urls.places}.")


def status(records: Records = None, as_json: AsJson = False) -> None:
    """Show the actors that work on the records, and how they fare."""
    from workflow_ray.runtime.ray.deployment import status

    actors = asyncio.run(status(records))
    if actors or as_json:
        show(actors, ("name", "phase", "pid", "epoch", "failures", "why"), as_json=as_json)
    else:
        typer.echo(f"Nothing runs on {place_of(records_url(records))}.")


def down(records: Records = None) -> None:
    """End what works on the records, once it has finished what it holds. The records stay; `run` or `deploy` goes on with them.

    The Ray that was started for it on this machine ends too, unless something else runs on it.
    """
    from workflow_ray.runtime.ray.cluster import stop_unused_cluster
    from workflow_ray.runtime.ray.deployment import down

    found = asyncio.run(down(records))
    typer.echo(f"{'Ended what ran' if found else 'Nothing ran'} on {place_of(records_url(records))}. The records stay.")
    if stop_unused_cluster():
        typer.echo("Stopped Ray on this machine.")
