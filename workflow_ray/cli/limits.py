"""The commands that show and set the limits of flow control."""

from typing import Annotated, TypeVar

import msgspec
import typer

from workflow_ray.cli.commands import command
from workflow_ray.cli.options import AsJson, OneOrAll, Records, Workflow
from workflow_ray.cli.output import print_json, say
from workflow_ray.cli.questions import ask
from workflow_ray.cli.tables import show
from workflow_ray.client import StatusLimits
from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.flow_limits import (
    UNLIMITED,
    LimitChanges,
    Unlimited,
    change_limits,
    read_limits,
    reset_limits,
)
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.definition import Rate
from workflow_ray.definition.durations import spelled
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import RecordStore, SystemClock

T = TypeVar("T")

limits = typer.Typer(
    name="limits", no_args_is_help=True, help="Show the limits of flow control and set them."
)

StatusName = Annotated[
    str, typer.Argument(metavar="STATUS", help="The name of a status with flow control, e.g. PAID.")
]
Concurrency = Annotated[
    str | None,
    typer.Option(metavar="RUNS", help="The most runs that hold a slot, or `unlimited`."),
]
ConcurrencyPerKey = Annotated[
    str | None,
    typer.Option(metavar="RUNS", help="The most runs of one key that hold a slot, or `unlimited`."),
]
RateOption = Annotated[
    str | None,
    typer.Option(
        metavar="RUNS/SECONDS",
        help="The most runs that are admitted in a period, e.g. 100/60, or `unlimited`.",
    ),
]
RatePerKey = Annotated[
    str | None,
    typer.Option(
        metavar="RUNS/SECONDS",
        help="The most runs of one key that are admitted in a period, or `unlimited`.",
    ),
]


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that apply at a status, and the runs that they concern."""

    workflow: str
    status: str
    concurrency: int | None  # null: no limit, as for the other limits
    concurrency_per_key: int | None
    rate: str | None  # e.g. "100 in 1 min"
    rate_per_key: str | None
    set_by_operator: bool  # false: they are those of the code
    admitted: int  # runs that hold a slot
    waiting: int  # runs that wait for one


@command(limits, name="list")
def list_limits(
    workflow: OneOrAll = None, records: Records = None, as_json: AsJson = False
) -> None:
    """List the statuses with flow control, their limits, and how many runs wait there."""
    columns = ("workflow", "status", "concurrency", "concurrency_per_key", "rate", "rate_per_key")
    found = ask(records, lambda store: _views(store, workflow))
    show(found, (*columns, "set_by_operator", "admitted", "waiting"), as_json=as_json)


@command(limits, name="set")
def set_limits(
    workflow: Workflow,
    status: StatusName,
    concurrency: Concurrency = None,
    concurrency_per_key: ConcurrencyPerKey = None,
    rate: RateOption = None,
    rate_per_key: RatePerKey = None,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Set limits of a status while runs go on. Those that are not given stay as they are.

    They apply to the next admissions, and stay when other code is deployed, until `reset`.
    """
    changes = LimitChanges(
        concurrency=_runs("--concurrency", concurrency),
        concurrency_per_key=_runs("--concurrency-per-key", concurrency_per_key),
        rate=_rate("--rate", rate),
        rate_per_key=_rate("--rate-per-key", rate_per_key),
    )
    if changes == LimitChanges():
        raise InvalidInput(
            "limits", "give one at least, e.g. --concurrency 10, or --concurrency unlimited"
        )

    async def changed(store: RecordStore) -> LimitView:
        await change_limits(patient(store, SystemClock(), PATIENCE), workflow, status, changes)
        return await _view_of(store, workflow, status)

    _print(ask(records, changed), as_json=as_json)


@command(limits)
def reset(
    workflow: Workflow, status: StatusName, records: Records = None, as_json: AsJson = False
) -> None:
    """Let the limits of the code apply again at a status."""

    async def changed(store: RecordStore) -> LimitView:
        await reset_limits(patient(store, SystemClock(), PATIENCE), workflow, status)
        return await _view_of(store, workflow, status)

    _print(ask(records, changed), as_json=as_json)


async def _views(store: RecordStore, workflow: str | None) -> list[LimitView]:
    deployment = await store.deployment()
    chosen = deployment.workflows if workflow is None else (find_deployed(deployment, workflow),)
    return [
        _view(deployed.name, each)
        for deployed in chosen
        for each in await read_limits(store, deployed)
    ]


async def _view_of(store: RecordStore, workflow: str, status: str) -> LimitView:
    return next(each for each in await _views(store, workflow) if each.status == status)


def _view(workflow: str, found: StatusLimits) -> LimitView:
    return LimitView(
        workflow=workflow,
        status=found.status,
        concurrency=found.concurrency,
        concurrency_per_key=found.concurrency_per_key,
        rate=_in_words(found.rate),
        rate_per_key=_in_words(found.rate_per_key),
        set_by_operator=found.set_by_operator,
        admitted=found.admitted,
        waiting=found.waiting,
    )


def _print(view: LimitView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    given = {
        "concurrency": view.concurrency,
        "concurrency per key": view.concurrency_per_key,
        "rate": view.rate,
        "rate per key": view.rate_per_key,
    }
    known = [f"{name} {limit}" for name, limit in given.items() if limit is not None]
    by = "an operator" if view.set_by_operator else "the code"
    say(f"{view.workflow}: {view.status} has {', '.join(known) or 'no limit'} (set by {by}).")


def _in_words(rate: Rate | None) -> str | None:
    return None if rate is None else f"{rate.count:,} in {spelled(rate.stored.seconds)}"


def _runs(option: str, given: str | None) -> int | Unlimited | None:
    if given is None or given == UNLIMITED:
        return given
    if not given.isdecimal() or int(given) < 1:
        raise InvalidInput(option, "write a whole number of runs from 1 up, or `unlimited`")
    return int(given)


def _rate(option: str, given: str | None) -> Rate | Unlimited | None:
    if given is None or given == UNLIMITED:
        return given
    count, _, seconds = given.partition("/")
    try:
        return Rate(int(count), per=float(seconds))
    except (ValueError, InvalidInput):
        raise InvalidInput(
            option, "write runs and seconds, e.g. 100/60 for 100 runs in a minute, or `unlimited`"
        ) from None
