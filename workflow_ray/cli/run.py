"""The main job: a file of data through a workflow."""

import asyncio
import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from workflow_ray.cli.job import Job
from workflow_ray.cli.lines import Refused
from workflow_ray.cli.log_lines import configure
from workflow_ray.cli.options import Events, JsonFile, Records, Replace, Rollback, Timeouts
from workflow_ray.cli.progress import shown
from workflow_ray.cli.report import RefusedLine, Report
from workflow_ray.definition import Workflow, load
from workflow_ray.errors import InvalidInput
from workflow_ray.runtime import Runtime

INTERRUPTED = 130
LINES_REFUSED = 6
"""The exit code of a job some of whose lines were refused."""
RUNS_FAILED = 8
"""The exit code of a job some of whose runs an error has paused, whether or not lines were refused.
"""
STANDARD_INPUT = "-"


class Where(StrEnum):
    RAY = "ray"
    LOCAL = "local"


Reference = Annotated[
    str,
    typer.Argument(metavar="MODULE:ATTRIBUTE", help="The workflow, e.g. examples.orders:orders."),
]
Input = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="FILE",
        help='Lines of {"foreign_id": "...", "data": {...}}; - is standard input.',
    ),
]
On = Annotated[
    Where,
    typer.Option(
        "--runtime",
        help="Where the steps run: on Ray, where they go on without this command; or in it.",
    ),
]


def run(
    reference: Reference,
    source: Input,
    records: Records = None,
    events: Events = None,
    timeouts: Timeouts = None,
    json: JsonFile = None,
    on: On = Where.RAY,
    rollback: Rollback = False,
    replace: Replace = False,
) -> None:
    """Put each line of FILE through a workflow, wait for the ends, and report.

    A line's foreign id is its run's idempotency key too: given again with the same data, it leads
    to the run that there is, and nothing is done twice. With other data the line is refused. A run
    that pauses counts as ended. Exit 6: some lines were refused, each with its number and reason on
    stderr; the others went through. Exit 8: an error has paused some runs; `workflow-ray runs list
    --failed` shows them.
    """
    configure(logging.WARNING, "%(message)s")
    workflow = load(reference, [os.getcwd()])
    made: Callable[..., Runtime] = Runtime.ray if on is Where.RAY else Runtime.local
    runtime = made(
        workflow,
        records=records,
        events=events,
        timeouts=timeouts,
        rollback=rollback,
        replace=replace,
    )
    try:
        with _opened(source) as descriptor:
            report = asyncio.run(_report(workflow, runtime, on, source, descriptor))
    except KeyboardInterrupt:
        goes_on = (
            "What was triggered goes on without this command"
            if on is Where.RAY
            else "What was triggered stands in the records"
        )
        typer.echo(
            f"\nInterrupted. {goes_on}; the same command again continues from here.", err=True
        )
        raise typer.Exit(INTERRUPTED) from None
    report.show(Console(soft_wrap=True, highlight=False, markup=False))
    if json is not None:
        report.write(json)
    if report.failed:
        raise typer.Exit(RUNS_FAILED)
    if report.refused:
        raise typer.Exit(LINES_REFUSED)


async def _report(
    workflow: Workflow[Any, Any], runtime: Runtime, on: Where, source: str, descriptor: int
) -> Report:
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    refused: list[RefusedLine] = []

    def refuse(line: Refused) -> None:
        refused.append(RefusedLine(line.number, line.why))
        console.print(f"line {line.number} refused: {line.why}")

    console.print(
        f"Starting {workflow.name}"
        + ("; Ray takes some seconds the first time." if on is Where.RAY else ".")
    )
    async with runtime:
        job = Job(workflow, runtime.client(workflow), runtime.store)
        with shown(console, workflow.name) as show:
            await job.run(descriptor, show, refuse)
    return Report.of(
        job,
        workflow=workflow.name,
        runtime=on.value,
        places=runtime.urls.places,
        source=source,
        refused=refused,
    )


@contextmanager
def _opened(source: str) -> Generator[int]:
    """The input's file descriptor, before anything is started for it."""
    if source == STANDARD_INPUT:
        yield 0
        return
    try:
        descriptor = os.open(source, os.O_RDONLY)
    except OSError as error:
        raise InvalidInput("--input", f"{source} can't be read: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)
