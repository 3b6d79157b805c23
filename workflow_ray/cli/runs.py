"""Looking at runs. Needs neither Ray nor the definitions: the records say it all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from msgspec.structs import replace

from workflow_ray.cli.options import AsJson, Records
from workflow_ray.cli.views import EntryView, Names, RunView, RunWithData, show, show_one
from workflow_ray.errors import InvalidInput, RunNotFound, UnknownWorkflow
from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.records import HistoryEntry, Record, RunId, RunQuery, RunState, Version
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.urls import records_url

PAGE = 1000
"""History entries read at once."""
T = TypeVar("T")

runs = typer.Typer(name="runs", no_args_is_help=True, help="Look at runs: where they stand, and how they got there.")

Id = Annotated[str, typer.Argument(metavar="RUN_ID", help="As `runs list` shows it.")]
Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's name, e.g. orders.")]
Statuses = Annotated[list[str] | None, typer.Option("--status", help="Only runs at this status; may be repeated.")]
States = Annotated[list[str] | None, typer.Option("--state", help="Only runs in this run_state, e.g. PAUSED; may be repeated.")]
Key = Annotated[str | None, typer.Option("--key", help="Only runs with this foreign id.")]
Limit = Annotated[int, typer.Option(min=1, max=PAGE, help="How many at most.")]


@runs.command("list")
def list_runs(
    workflow: Name,
    status: Statuses = None,
    state: States = None,
    key: Key = None,
    limit: Limit = 20,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """List a workflow's runs, newest first. Exit 2: there is no such workflow, status or run_state."""

    async def found(store: RecordStore, names: Names) -> list[RunView]:
        query = RunQuery(
            workflow=workflow,
            statuses=_numbers(names, workflow, status or []),
            run_states=tuple(_run_state(name) for name in state or []),
            foreign_id=key,
            newest_first=True,
        )
        return [names.run(record) for record in await _found(store, query, limit)]

    show(_ask(records, found), ("run_id", "foreign_id", "status", "run_state", "updated_at", "reason"), as_json=as_json)


@runs.command("show")
def show_run(run_id: Id, records: Records = None, as_json: AsJson = False) -> None:
    """Show a run as it stands, with its data. Exit 3: there is no such run."""

    async def found(store: RecordStore, names: Names) -> RunWithData:
        return names.run_with_data(await _record(store, run_id))

    show_one(_ask(records, found), as_json=as_json)


@runs.command()
def history(run_id: Id, records: Records = None, as_json: AsJson = False) -> None:
    """Show every version of a run: what wrote it, when and why. Exit 3: there is no such run."""

    async def found(store: RecordStore, names: Names) -> list[EntryView]:
        record = await _record(store, run_id)
        return [names.entry(record.workflow, entry) for entry in await _entries(store, record.run_id)]

    show(_ask(records, found), ("version", "status", "run_state", "cause", "by", "at", "reason"), as_json=as_json)


def _ask(url: str | None, question: Callable[[RecordStore, Names], Awaitable[T]]) -> T:
    """What the store answers, opened beside whatever runs on it."""

    async def answer() -> T:
        async with open_beside(records_url(url), SystemClock()) as store:
            return await question(store, Names(await store.deployment()))

    return asyncio.run(answer())


async def _found(store: RecordStore, query: RunQuery, limit: int) -> list[Record]:
    found: list[Record] = []
    while len(found) < limit and (page := await store.runs(replace(query, limit=limit - len(found)))):
        found += page
        query = replace(query, after=page[-1].run_id)
    return found


async def _record(store: RecordStore, run_id: str) -> Record:
    (record,) = await store.lookup([RunId(run_id.lower())])
    if record is None:
        raise RunNotFound(None, run_id)
    return record


async def _entries(store: RecordStore, run_id: RunId) -> list[HistoryEntry]:
    entries: list[HistoryEntry] = []
    while page := await store.history(run_id, after=Version(len(entries)), limit=PAGE):  # versions have no gaps
        entries += page
    return entries


def _numbers(names: Names, workflow: str, statuses: list[str]) -> tuple[int, ...]:
    if workflow not in names.statuses:
        raise UnknownWorkflow(workflow, sorted(names.statuses))
    known = names.statuses[workflow]
    for status in statuses:
        if status not in known:
            raise InvalidInput("--status", f"{workflow} has no status {status!r}; it has {', '.join(known)}")
    return tuple(known[status] for status in statuses)


def _run_state(name: str) -> RunState:
    try:
        return RunState[name.upper()]
    except KeyError:
        raise InvalidInput("--state", f"there is no run_state {name!r}; there are {', '.join(RunState.__members__)}") from None
