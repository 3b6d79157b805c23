"""The commands that start bulk jobs, show them and control them."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from workflow_ray.cli.asking import confirm, name_of_asker
from workflow_ray.cli.bulk_views import BulkCounts, BulkDropped, BulkView, view_of
from workflow_ray.cli.commands import command
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import AsJson, Records
from workflow_ray.cli.output import complain, print_json, print_json_line, say
from workflow_ray.cli.run_controls import By, Reason, destination
from workflow_ray.cli.run_filters import Selection, StoredFilters
from workflow_ray.cli.tables import show, show_one
from workflow_ray.cli.views import Names
from workflow_ray.client.bulk import BulkJob, BulkJobs
from workflow_ray.client.bulk_controls import check_destination, checked_action
from workflow_ray.client.bulk_progress import BulkPreview, BulkProgress
from workflow_ray.client.controls import control
from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.client.writer import Writer
from workflow_ray.engine.bulk import ACTIONS
from workflow_ray.engine.control import Control, Destination
from workflow_ray.errors import BulkWaitTimeout, WorkflowError
from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.records import BulkState, RunQuery
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.urls import records_url

T = TypeVar("T")
EVERY = 1.0
"""Seconds between two looks at a job that is waited for."""


class WaitInterrupted(WorkflowError):
    """Ctrl-C ended the wait for a job."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, workflow: str, job_id: str) -> None:
        super().__init__(workflow, job_id)
        self.workflow = workflow
        self.job_id = job_id

    def __str__(self) -> str:
        job = f"{self.workflow} {self.job_id}"
        return (
            f"interrupted. The bulk job goes on: `workflow-ray bulk show {job} --wait` waits for"
            f" it, and `workflow-ray bulk abort {job}` ends it."
        )


bulk = typer.Typer(
    name="bulk",
    no_args_is_help=True,
    help="Control all runs that pass filters, as a durable job that a role of the workflow does.",
)

Workflow = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="The workflow's name, e.g. orders.")
]
Verb = Annotated[
    str,
    typer.Argument(
        metavar="ACTION",
        help=f"What to do with each run: {', '.join(ACTIONS).replace('_', '-')}.",
    ),
]
ToStatus = Annotated[
    str | None,
    typer.Option("--to", metavar="STATUS", help="Of a move: the name of the status, e.g. CREATED."),
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="Its id, as `list` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't count the runs and ask first.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing: count what the job would do now.")
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Wait until the job has ended, and show its progress; with --json, as JSON lines.",
    ),
]


@command(bulk)
@grouped
def start(
    workflow: Workflow,
    action: Verb,
    filters: StoredFilters,
    to: ToStatus = None,
    reason: Reason = None,
    by: By = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    wait: Wait = False,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Start a job for all runs of a workflow that pass the filters.

    It pauses, resumes, retries, cancels or moves them, or has the data of finished runs deleted,
    for good. Runs that are triggered later are left alone. Without filters, it concerns every run.
    For a move, the workflow is loaded in this process.
    """
    asked = control(checked_action(action.replace("-", "_")), name_of_asker(by), reason)
    check_destination("--to", asked.action, to)
    url = records_url(records)
    if to is not None:
        asked = dataclasses.replace(asked, to=_ask(url, workflow, _destination(workflow, to)))
    if dry_run or not yes:

        async def counted(jobs: BulkJobs, store: RecordStore) -> BulkPreview:
            return await jobs.preview(asked, await _query(store, workflow, filters))

        counts = _ask(url, workflow, counted)
        if dry_run:
            _print_counts(workflow, asked, counts, as_json=as_json)
            return
        confirm(asked.action, counts.changed)

    async def started(jobs: BulkJobs, store: RecordStore) -> None:
        query = await _query(store, workflow, filters)
        job = await jobs.start(asked, query)
        await _print(job, store, workflow, wait=wait, as_json=as_json)

    _ask(url, workflow, started)


@command(bulk, name="list")
def list_jobs(workflow: Workflow, records: Records = None, as_json: AsJson = False) -> None:
    """List the jobs of a workflow, the oldest first."""

    async def listed(jobs: BulkJobs, store: RecordStore) -> list[BulkView]:
        deployment = await store.deployment()
        find_deployed(deployment, workflow)
        names = Names(deployment)
        return [view_of(names, workflow, progress) for progress in await jobs.listed()]

    views = _ask(records_url(records), workflow, listed)
    columns = ("id", "action", "state", "changed", "unchanged", "refused", "moved_on", "reason")
    show(views, columns, as_json=as_json)


@command(bulk, ExitCode.NOT_FOUND, name="show")
def show_job(
    workflow: Workflow,
    job: Job,
    wait: Wait = False,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a job is."""

    async def shown(jobs: BulkJobs, store: RecordStore) -> None:
        await _print(jobs.job(job), store, workflow, wait=wait, as_json=as_json)

    _ask(records_url(records), workflow, shown)


@command(bulk, ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED)
def pause(workflow: Workflow, job: Job, records: Records = None, as_json: AsJson = False) -> None:
    """Let a job rest after the page in hand."""
    _change(workflow, job, BulkJob.pause, records, as_json=as_json)


@command(bulk, ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED)
def resume(workflow: Workflow, job: Job, records: Records = None, as_json: AsJson = False) -> None:
    """Let a paused job go on after its last page."""
    _change(workflow, job, BulkJob.resume, records, as_json=as_json)


@command(bulk, ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED)
def abort(workflow: Workflow, job: Job, records: Records = None, as_json: AsJson = False) -> None:
    """End a job after the page in hand. Runs that were changed stay so."""
    _change(workflow, job, BulkJob.abort, records, as_json=as_json)


@command(bulk, ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED)
def drop(workflow: Workflow, job: Job, records: Records = None, as_json: AsJson = False) -> None:
    """Remove a job that has ended from the list."""
    _ask(records_url(records), workflow, lambda jobs, _: jobs.job(job).drop())
    if as_json:
        print_json(BulkDropped(workflow=workflow, id=job))
    else:
        say(f"{workflow}: bulk job {job} is dropped.")


def _change(
    workflow: str,
    job_id: str,
    change: Callable[[BulkJob], Awaitable[BulkProgress]],
    records: str | None,
    *,
    as_json: bool,
) -> None:
    async def changed(jobs: BulkJobs, store: RecordStore) -> tuple[BulkProgress, Names]:
        return await change(jobs.job(job_id)), Names(await store.deployment())

    progress, names = _ask(records_url(records), workflow, changed)
    if as_json:
        print_json(view_of(names, workflow, progress))
        return
    asked = "" if progress.asked is None else f" It will be {progress.asked.value} soon."
    say(f"{workflow}: bulk job {job_id} is {progress}.{asked}")


async def _query(store: RecordStore, workflow: str, filters: StoredFilters) -> RunQuery:
    names = Names(await store.deployment())
    (query,) = Selection(store, names, filters, workflow).queries
    return query


def _destination(
    workflow: str, status: str
) -> Callable[[BulkJobs, RecordStore], Awaitable[Destination]]:
    async def found(_: BulkJobs, store: RecordStore) -> Destination:
        return destination(find_deployed(await store.deployment(), workflow), status)

    return found


async def _print(
    job: BulkJob, store: RecordStore, workflow: str, *, wait: bool, as_json: bool
) -> None:
    """Print how far a job is, or with `wait` each change until it has ended."""
    progress, names = await job.progress(), Names(await store.deployment())
    try:
        while wait and not progress.state.ended:
            if as_json:
                print_json_line(view_of(names, workflow, progress))
            else:
                complain(f"{workflow}: bulk job {job.id} is {progress}")
            progress = await _next(job, progress)
    except asyncio.CancelledError:
        raise WaitInterrupted(workflow, job.id) from None
    view = view_of(names, workflow, progress)
    if as_json:
        (print_json_line if wait else print_json)(view)
    else:
        show_one(view, as_json=False)
    if wait and progress.state is BulkState.ABORTED:
        complain(f"workflow-ray: bulk job {job.id} of {workflow} was aborted.")
        raise typer.Exit(ExitCode.FAILED)


async def _next(job: BulkJob, seen: BulkProgress) -> BulkProgress:
    """Wait until a job has changed."""
    progress = seen
    while progress == seen:
        try:
            return await job.wait(timeout=EVERY)
        except BulkWaitTimeout:
            progress = await job.progress()
    return progress


def _print_counts(workflow: str, asked: Control, counts: BulkPreview, *, as_json: bool) -> None:
    if as_json:
        print_json(
            BulkCounts(
                workflow=workflow,
                action=asked.action.verb,
                changed=counts.changed,
                unchanged=counts.unchanged,
                refused=counts.refused,
            )
        )
        return
    runs = "1 run" if counts.changed == 1 else f"{counts.changed} runs"
    say(
        f"{workflow}: {runs} would be {asked.action.participle}, {counts.unchanged} would stay as"
        f" they are, and {counts.refused} would refuse it."
    )


def _ask(url: str, workflow: str, question: Callable[[BulkJobs, RecordStore], Awaitable[T]]) -> T:
    """Ask a question of the workflow's jobs, beside the processes that run on the store."""

    async def asked() -> T:
        clock = SystemClock()
        async with open_beside(url, clock) as store:
            writer = Writer(patient(store, clock, PATIENCE))
            return await question(BulkJobs(workflow, writer, clock), store)

    return asyncio.run(asked())
