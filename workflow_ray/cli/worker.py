"""`workflow-ray worker`: a process that runs workflows until it is told to stop."""

import asyncio
import logging
import os
from typing import Annotated

import typer

from workflow_ray.cli.log_lines import configure
from workflow_ray.cli.options import Events, Records, Replace, Rollback, Timeouts
from workflow_ray.definition import load
from workflow_ray.runtime import Runtime
from workflow_ray.runtime.logs import WITH_TIME

ABANDONED = 7
"""The exit code of a worker that has abandoned steps."""

References = Annotated[
    list[str],
    typer.Argument(
        metavar="MODULE:ATTRIBUTE...", help="The workflows, e.g. examples.orders:orders."
    ),
]
Deadline = Annotated[
    float,
    typer.Option(
        "--deadline",
        min=0,
        metavar="SECONDS",
        help="Time for running steps once it is told to stop.",
    ),
]


def worker(
    references: References,
    records: Records = None,
    events: Events = None,
    timeouts: Timeouts = None,
    deadline: Deadline = 25.0,
    rollback: Rollback = False,
    replace: Replace = False,
) -> None:
    """Run workflows in this process until SIGTERM or SIGINT. Workers on one server share the work.

    Told to stop, it takes on nothing new and finishes the steps that are running. Those that are
    not finished at the deadline are abandoned: other workers, or the next one, run them again, and
    no attempt is counted. A second signal does not wait for the deadline.

    Exit 0: all steps were finished; 7: some were abandoned.
    """
    configure(logging.INFO, WITH_TIME)
    workflows = [load(reference, [os.getcwd()]) for reference in references]
    runtime = Runtime.local(
        *workflows,
        records=records,
        events=events,
        timeouts=timeouts,
        rollback=rollback,
        replace=replace,
    )

    async def serve() -> bool:
        async with runtime:
            return await runtime.serve(deadline=deadline)

    if not asyncio.run(serve()):
        raise typer.Exit(ABANDONED)
