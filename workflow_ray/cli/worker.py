"""`workflow-ray worker`: a process that runs workflows until a signal stops it."""

import asyncio
import logging
import os
from dataclasses import asdict
from typing import Annotated

import typer

from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.log_lines import configure
from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import DeployOptions, Workflows
from workflow_ray.definition import load
from workflow_ray.runtime import Runtime
from workflow_ray.runtime.logs import WITH_TIME

Deadline = Annotated[
    float,
    typer.Option(
        "--deadline",
        min=0,
        metavar="SECONDS",
        help="Seconds that running steps get to finish after a signal.",
    ),
]


@grouped
def worker(references: Workflows, options: DeployOptions, deadline: Deadline = 25.0) -> None:
    """Run workflows in this process until SIGTERM or SIGINT. Workers on one server share the work.

    After a signal it starts nothing new and finishes the steps that are running. It abandons steps
    that have not finished at the deadline: other workers, or the next one, run them again, and no
    attempt is counted. A second signal does not wait for the deadline.
    """
    configure(logging.INFO, WITH_TIME)
    workflows = [load(reference, [os.getcwd()]) for reference in references]
    runtime = Runtime.local(*workflows, **asdict(options))

    async def serve() -> bool:
        async with runtime:
            return await runtime.serve(deadline=deadline)

    if not asyncio.run(serve()):
        raise typer.Exit(ExitCode.STEPS_ABANDONED)
