"""`workflow-ray run`: a file of data through a workflow."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.follow_ups import list_follow_ups, show_follow_ups
from workflow_ray.cli.input_file import open_input
from workflow_ray.cli.job import Job
from workflow_ray.cli.lines import Refused
from workflow_ray.cli.log_lines import configure
from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import AsJson, DeployOptions
from workflow_ray.cli.output import complain, print_json
from workflow_ray.cli.progress import show_progress
from workflow_ray.cli.report import Report
from workflow_ray.cli.report_file import open_report
from workflow_ray.definition import Workflow, load
from workflow_ray.errors import InvalidInput, WorkflowError
from workflow_ray.runtime import Runtime


class RuntimeKind(StrEnum):
    """Where the steps run."""

    RAY = "ray"
    LOCAL = "local"


AFTERWARDS = {
    RuntimeKind.RAY: "What was triggered goes on without this command",
    RuntimeKind.LOCAL: "What was triggered is in the records",
}

Reference = Annotated[
    str,
    typer.Argument(metavar="MODULE:ATTRIBUTE", help="The workflow, e.g. examples.orders:orders."),
]
Input = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="FILE",
        help='Lines of {"foreign_id": "...", "data": {...}} in UTF-8, which may have "labels":'
        ' {"name": "value"}; - is standard input.',
    ),
]
On = Annotated[
    RuntimeKind,
    typer.Option(
        "--runtime",
        help="Where the steps run: on Ray, which continues after this command, or in its process.",
    ),
]
ReportPath = Annotated[
    Path | None,
    typer.Option("--report", metavar="PATH", help="Also write the report to this file, as JSON."),
]


class Interrupted(WorkflowError):
    """Ctrl-C ended the job."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, runtime: str) -> None:
        super().__init__(runtime)
        self.runtime = runtime

    def __str__(self) -> str:
        afterwards = AFTERWARDS[RuntimeKind(self.runtime)]
        return f"interrupted. {afterwards}; the same command again continues from here."


@grouped
def run(
    context: typer.Context,
    reference: Reference,
    source: Input,
    options: DeployOptions,
    on: On = RuntimeKind.RAY,
    report_path: ReportPath = None,
    as_json: AsJson = False,
) -> None:
    """Run a workflow for each line of FILE, wait until all runs have ended, and report.

    The foreign id of a line is also the idempotency key of its run: the same line again leads to
    the same run, and nothing is done twice. A run that pauses counts as ended. Lines that can't be
    used are refused, and stderr says their numbers and the reasons. A line must be JSON, which has
    no NaN or Infinity, with each key once, and must fit the workflow. A foreign id that was used
    before must have the same data.
    """
    if context.args:
        raise InvalidInput(
            " ".join(context.args),
            "give one workflow. --json takes no path: --report PATH writes the report to a file",
        )
    configure(logging.WARNING, "%(message)s")
    workflow = load(reference, [os.getcwd()])
    create: Callable[..., Runtime] = Runtime.ray if on is RuntimeKind.RAY else Runtime.local
    runtime = create(workflow, **asdict(options))
    with open_report(report_path) as write_report:
        try:
            with open_input(source) as descriptor:
                job = asyncio.run(_run_job(workflow, runtime, on, descriptor))
        except KeyboardInterrupt:
            raise Interrupted(on.value) from None
        report = Report.of(
            job,
            workflow=workflow.name,
            runtime=on.value,
            places=runtime.urls.places,
            source=source,
        )
        try:
            write_report(report)
        finally:
            if as_json:
                print_json(report)
            else:
                report.show()
                show_follow_ups(list_follow_ups(report, job.ends.example, options.records))
    if report.failed:
        raise typer.Exit(ExitCode.RUNS_FAILED)
    if report.refused:
        raise typer.Exit(ExitCode.LINES_REFUSED)


async def _run_job(
    workflow: Workflow[Any, Any], runtime: Runtime, on: RuntimeKind, descriptor: int
) -> Job:
    """Run the job, and show how far it is."""
    takes_time = "; Ray takes some seconds the first time" if on is RuntimeKind.RAY else ""
    complain(f"Starting {workflow.name}{takes_time}.")
    async with runtime:
        job = Job(workflow, runtime.client(workflow), runtime.store, _complain_of, complain)
        with show_progress(workflow.name) as show:
            await job.run(descriptor, show)
    return job


def _complain_of(line: Refused) -> None:
    complain(f"line {line.number} refused: {line.why}")
