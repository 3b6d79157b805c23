"""The commands that show schedules and control them."""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from workflow_ray.cli.commands import command
from workflow_ray.cli.options import AsJson, OneOrAll, Records, Workflow
from workflow_ray.cli.output import print_json, say
from workflow_ray.cli.questions import ask
from workflow_ray.cli.tables import show
from workflow_ray.client import Client, ScheduleInfo, TriggerOutcome
from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.client.schedule_pauses import pause_schedule, resume_schedule, schedules_in
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.runtime.hosting import load_deployed

T = TypeVar("T")

schedules = typer.Typer(
    name="schedules", no_args_is_help=True, help="Show schedules and control them."
)

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's name, e.g. restock.")]
Start = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="TIME",
        help="The beginning, e.g. 2026-11-01T00:00Z. A tick at this time is included.",
    ),
]
End = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="TIME",
        help="The end, e.g. 2026-11-08T00:00Z, not in the future. A tick at this time is left out.",
    ),
]


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule."""

    workflow: str
    schedule: str
    cron: str | None
    every: float | None  # seconds
    timezone: str  # of `cron`
    paused: bool
    last_tick: datetime | None  # the last one that has started a run
    next_tick: datetime | None  # in the past while the schedule is late; null while it is paused


class SchedulePause(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that was paused or resumed."""

    workflow: str
    schedule: str
    paused: bool  # whether it is paused now
    changed: bool  # false: it was so already


class ScheduleTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """The run that a trigger has started. Both ids are null if the function returned no data."""

    workflow: str
    schedule: str
    run_id: str | None
    foreign_id: str | None


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """The number of runs for the ticks of an interval."""

    workflow: str
    schedule: str
    started: int
    known: int  # ticks that had a run
    active: int  # ticks whose foreign id has another unfinished run


@command(schedules, name="list")
def list_schedules(
    workflow: OneOrAll = None, records: Records = None, as_json: AsJson = False
) -> None:
    """List schedules with their last and next ticks."""

    async def found(store: RecordStore) -> list[ScheduleView]:
        deployment = await store.deployment()
        chosen = (
            deployment.workflows if workflow is None else (find_deployed(deployment, workflow),)
        )
        return [
            _view(deployed.name, info)
            for deployed in chosen
            if schedules_in(deployed)
            for info in await _client(store, load_deployed(deployed)).schedules()
        ]

    columns = ("schedule", "workflow", "cron", "every", "timezone", "paused")
    show(ask(records, found), (*columns, "last_tick", "next_tick"), as_json=as_json)


@command(schedules)
def pause(
    workflow: Workflow, schedule: Name, records: Records = None, as_json: AsJson = False
) -> None:
    """Pause a schedule: its ticks start no runs until it is resumed. Its runs go on."""
    changed = ask(records, lambda store: pause_schedule(_patient(store), workflow, schedule))
    _print_pause(workflow, schedule, paused=True, changed=changed, as_json=as_json)


@command(schedules)
def resume(
    workflow: Workflow, schedule: Name, records: Records = None, as_json: AsJson = False
) -> None:
    """Let a paused schedule continue from now on. `backfill` starts the runs of the pause."""
    changed = ask(records, lambda store: resume_schedule(_patient(store), workflow, schedule))
    _print_pause(workflow, schedule, paused=False, changed=changed, as_json=as_json)


@command(schedules)
def trigger(
    workflow: Workflow, schedule: Name, records: Records = None, as_json: AsJson = False
) -> None:
    """Start a run of a schedule now. Its function is called in this process, with the time."""

    async def triggered(store: RecordStore) -> ScheduleTrigger:
        client = await _client_of(store, workflow)
        handle = await client.trigger_schedule(schedule)
        return ScheduleTrigger(
            workflow=workflow,
            schedule=schedule,
            run_id=None if handle is None else handle.run_id,
            foreign_id=None if handle is None else (await handle.get()).foreign_id,
        )

    done = ask(records, triggered)
    if as_json:
        print_json(done)
    elif done.run_id is None:
        say(f"{workflow}: schedule {schedule} has no data for this time, so no run has started.")
    else:
        say(f"{workflow}: run {done.run_id} ({done.foreign_id}) has started.")


@command(schedules)
def backfill(
    workflow: Workflow,
    schedule: Name,
    start: Start,
    end: End,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Start the runs of a past interval's ticks, those that no run was started for.

    The schedule's function is called in this process, for each of the ticks. The runs start at
    once. A command that is repeated starts no run twice.
    """
    interval = _time("--from", start), _time("--to", end)

    async def filled(store: RecordStore) -> Backfill:
        client = await _client_of(store, workflow)
        started = await client.backfill(schedule, *interval)
        outcomes = Counter(outcome for _, outcome in started)
        return Backfill(
            workflow=workflow,
            schedule=schedule,
            started=outcomes[TriggerOutcome.STARTED],
            known=outcomes[TriggerOutcome.KNOWN],
            active=outcomes[TriggerOutcome.ACTIVE],
        )

    done = ask(records, filled)
    if as_json:
        print_json(done)
        return
    runs = "1 run has started" if done.started == 1 else f"{done.started} runs have started"
    others = f" {done.known} were there already." if done.known else ""
    others += f" {done.active} foreign ids have another unfinished run." if done.active else ""
    say(f"{workflow}: {runs}.{others}")


def _patient(store: RecordStore) -> RecordStore:
    return patient(store, SystemClock(), PATIENCE)


async def _client_of(store: RecordStore, workflow: str) -> Client[Any, Any]:
    """Load the deployed workflow. Raises UnknownWorkflow, NotImportable, InvalidDefinition."""
    deployed = find_deployed(await store.deployment(), workflow)
    return _client(store, load_deployed(deployed))


def _client(store: RecordStore, workflow: Any) -> Client[Any, Any]:
    return Client(workflow, store, SystemClock())


def _view(workflow: str, info: ScheduleInfo) -> ScheduleView:
    return ScheduleView(
        workflow=workflow,
        schedule=info.name,
        cron=info.cron,
        every=None if info.every is None else info.every.total_seconds(),
        timezone=info.timezone,
        paused=info.paused,
        last_tick=None if info.last_tick is None else info.last_tick.astimezone(UTC),
        next_tick=None if info.next_tick is None else info.next_tick.astimezone(UTC),
    )


def _print_pause(
    workflow: str, schedule: str, *, paused: bool, changed: bool, as_json: bool
) -> None:
    if as_json:
        print_json(
            SchedulePause(workflow=workflow, schedule=schedule, paused=paused, changed=changed)
        )
        return
    state = "paused" if paused else "resumed"
    already = "" if changed else " Nothing has changed: it was so already."
    say(f"{workflow}: schedule {schedule} is {state}.{already}")


def _time(what: str, given: str) -> datetime:
    """Read a time. Raises InvalidInput: it can't be read, or has no timezone."""
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        raise InvalidInput(what, "it is not a time; write e.g. 2026-11-01T00:00Z") from None
    if time.tzinfo is None:
        raise InvalidInput(what, "it has no timezone; write e.g. 2026-11-01T00:00Z")
    return time
