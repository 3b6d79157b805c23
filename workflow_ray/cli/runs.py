"""The commands that show runs. They need neither Ray nor, but for --decode, the definitions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import typer

from workflow_ray.cli.commands import command
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import AsJson, Decode, OfWorkflow, Records
from workflow_ray.cli.output import write
from workflow_ray.cli.run_controls import add_controls
from workflow_ray.cli.run_filters import Filters, Selection
from workflow_ray.cli.run_forks import add_fork
from workflow_ray.cli.run_history import (
    WithData,
    WithTrace,
    entry_views,
    last_error,
    print_at_length,
    trace_text,
)
from workflow_ray.cli.run_references import SHORTEST, RunReferences, choose_workflows
from workflow_ray.cli.tables import show, show_one
from workflow_ray.cli.views import CountView, EntryView, Names, RunView, RunWithData
from workflow_ray.client.deployed import find_deployed
from workflow_ray.coding import coded
from workflow_ray.engine.delays import due_steps, due_times
from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.records import Record, RunId
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.hosting import load_deployed
from workflow_ray.runtime.urls import records_url

PAGE = 1000
"""The largest number of runs that a list shows."""
T = TypeVar("T")

runs = typer.Typer(name="runs", no_args_is_help=True, help="Show runs and control them.")
add_controls(runs)
add_fork(runs)

Reference = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help=f"A run id, its first characters ({SHORTEST} or more), or a foreign id."
    ),
]
Name = Annotated[
    str | None,
    typer.Argument(
        metavar="WORKFLOW", help="The workflow's name, e.g. orders. Default: all workflows."
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=PAGE, help="The largest number of runs to show.")]


@command(runs, name="list")
@grouped
def list_runs(
    filters: Filters,
    workflow: Name = None,
    limit: Limit = 20,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first."""

    async def found(store: RecordStore, names: Names) -> list[RunView]:
        selection = Selection(store, names, filters, workflow)
        newest = await selection.newest(limit)
        due = await _due_times(store, newest)
        return [names.run(record, due.get(record.run_id)) for record in newest]

    of_several = () if workflow else ("workflow",)
    show(
        _ask(records, found),
        ("run_id", *of_several, "foreign_id", "status", "run_state", "updated_at", "reason"),
        as_json=as_json,
    )


@command(runs)
def counts(workflow: Name = None, records: Records = None, as_json: AsJson = False) -> None:
    """Count runs by workflow, status and run_state, without zeros."""

    async def found(store: RecordStore, names: Names) -> list[CountView]:
        chosen = choose_workflows(list(names.statuses), workflow)
        return [names.count(name, count) for name in chosen for count in await store.counts(name)]

    show(_ask(records, found), ("workflow", "status", "run_state", "runs"), as_json=as_json)


@command(runs, ExitCode.NOT_FOUND, name="show")
def show_run(
    run: Reference,
    workflow: OfWorkflow = None,
    decode: Decode = False,
    trace: WithTrace = False,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Show a run as it is now, with its data.

    If its last version is that of a failed attempt, also the error.
    """

    async def found(store: RecordStore, names: Names) -> RunWithData:
        record = await _references(store, names, workflow).find(run)
        if decode:
            store = await _decoding(store, record)
            (record,) = [each or record for each in await store.lookup([record.run_id])]
        due = await _due_times(store, [record])
        return names.run_with_data(record, await last_error(store, record), due.get(record.run_id))

    view = _ask(records, found, traces=trace)
    show_one(view, as_json=as_json)
    if not as_json and view.error is not None and view.error.trace:
        write(trace_text(view.error.trace))


@command(runs, ExitCode.NOT_FOUND)
def history(
    run: Reference,
    workflow: OfWorkflow = None,
    data: WithData = False,
    decode: Decode = False,
    trace: WithTrace = False,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Show every version of a run: what wrote it, when and why.

    With --data also the fields that each version has added (+), removed (-) or changed. With --json
    too, each entry has its data as it is stored, or null if the version did not change it. With
    --trace also the traceback of each failed attempt, if the workflow keeps traces.
    """

    async def found(store: RecordStore, names: Names) -> list[EntryView] | None:
        record = await _references(store, names, workflow).find(run)
        if decode:
            store = await _decoding(store, record)
            (record,) = [each or record for each in await store.lookup([record.run_id])]
        if not data and not trace:
            return await entry_views(store, names, record)
        await print_at_length(store, names, record, data=data, as_json=as_json)
        return None

    columns = ("version", "status", "run_state", "cause", "by", "at", "reason")
    if (views := _ask(records, found, traces=trace)) is not None:
        show(views, columns, as_json=as_json)


def _ask(
    url: str | None,
    question: Callable[[RecordStore, Names], Awaitable[T]],
    *,
    traces: bool = False,
) -> T:
    """Ask the store a question, beside the processes that run on it."""

    async def answer() -> T:
        async with open_beside(records_url(url), SystemClock()) as store:
            return await question(store, Names(await store.deployment(), traces=traces))

    return asyncio.run(answer())


async def _due_times(store: RecordStore, found: Sequence[Record]) -> Mapping[RunId, datetime]:
    """Read when the steps of runs are due that are delayed."""
    if not (steps := due_steps(found)):
        return {}
    return due_times(await store.activity(limit=len(steps), steps=steps))


async def _decoding(store: RecordStore, record: Record) -> RecordStore:
    """Return the store as the definition of the record's workflow reads it."""
    deployed = find_deployed(await store.deployment(), record.workflow)
    return coded(store, load_deployed(deployed))


def _references(store: RecordStore, names: Names, workflow: str | None) -> RunReferences:
    return RunReferences(store, choose_workflows(list(names.statuses), workflow))
