"""The commands that control runs by name or by filters, such as pause and cancel."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import msgspec
import typer

from workflow_ray.cli.asking import confirm, name_of_asker
from workflow_ray.cli.commands import command
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import AsJson, OfWorkflow, Records
from workflow_ray.cli.output import complain, print_json, say
from workflow_ray.cli.run_filters import Filters, Selection
from workflow_ray.cli.run_references import SHORTEST, RunReferences, choose_workflows
from workflow_ray.cli.views import Names
from workflow_ray.client.controls import BATCH, Changed, Missing, Outcome, apply, control, look_up
from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.client.writer import Writer
from workflow_ray.engine.control import Action, Control, Destination, Refused, Unchanged
from workflow_ray.errors import ControlRefused, InvalidInput
from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.records import DeployedWorkflow, Deployment, RunId, RunState, hooks_group
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.hosting import load_deployed
from workflow_ray.runtime.urls import records_url

References = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN", help=f"Run ids, their first characters ({SHORTEST} or more), or foreign ids."
    ),
]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason",
        help="Why; the history keeps it. Pause, cancel and move need a reason; delete-data takes"
        " none.",
    ),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="WHO", help="Who, for the history. Default: the current user."),
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Don't ask for confirmation when filters choose the runs.")
]
Cascade = Annotated[
    bool | None,
    typer.Option(
        "--cascade/--no-cascade",
        help="Cancel all unfinished children too, through any depth, or none of them. Default:"
        " those that were started with cascade=True.",
        show_default=False,
    ),
]
To = Annotated[
    str, typer.Option("--to", metavar="STATUS", help="The name of the status, e.g. CREATED.")
]

HELP = {
    Action.PAUSE: "Pause runs: they take no further step until they are resumed.",
    Action.RESUME: (
        "Let paused runs continue. A run that an error has paused gets all attempts of its step"
        " again."
    ),
    Action.RETRY: "Try the step of failed runs again, at once and with all its attempts.",
    Action.CANCEL: "End runs as CANCELLED. Their foreign ids are free again.",
    Action.DELETE_DATA: (
        "Delete the data of finished runs, for good, from all that is kept of them. Ids, keys,"
        " causes and times stay. A role of the workflow does it, and calls the scrubber."
    ),
    Action.MOVE: (
        "Move runs to a status, as if a transition led there. Their workflows are loaded in this"
        " process."
    ),
}
REFUSALS = (ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED)


@dataclass(frozen=True)
class Chosen:
    """The runs that a command names, or else the filters that choose them."""

    references: Sequence[str]
    filters: Filters


Asked: TypeAlias = Callable[[DeployedWorkflow], Control]
"""Makes the control for the runs of a workflow."""


class ControlReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result for each run. The fields are stable: other programs read them."""

    action: str
    changed: int
    unchanged: int  # runs that were in that state already
    refused: dict[str, str]  # run id -> why
    missing: list[str]  # runs that were deleted meanwhile


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every control."""

    workflow: OfWorkflow = None
    reason: Reason = None
    by: By = None
    yes: Yes = False
    records: Records = None
    as_json: AsJson = False

    def control(
        self, action: Action, *, cascade: bool | None = None, to: Destination | None = None
    ) -> Control:
        """Make the control. Raises InvalidInput."""
        return control(action, name_of_asker(self.by), self.reason, cascade=cascade, to=to)


def add_controls(runs: typer.Typer) -> None:
    """Add a command for each action."""
    for action in (Action.PAUSE, Action.RESUME, Action.RETRY, Action.DELETE_DATA):
        _add(runs, action)
    _add_cancel(runs)
    _add_move(runs)


def _add(runs: typer.Typer, action: Action) -> None:
    name = action.verb.replace("_", "-")

    @command(runs, *REFUSALS, name=name, help_text=HELP[action])
    @grouped
    def apply_to_runs(filters: Filters, common: Common, run: References = None) -> None:
        asked = common.control(action)
        _control(Chosen(run or (), filters), action, lambda _: asked, common)


def _add_cancel(runs: typer.Typer) -> None:
    @command(runs, *REFUSALS, name=Action.CANCEL.verb, help_text=HELP[Action.CANCEL])
    @grouped
    def cancel_runs(
        filters: Filters, common: Common, run: References = None, cascade: Cascade = None
    ) -> None:
        asked = common.control(Action.CANCEL, cascade=cascade)
        _control(Chosen(run or (), filters), Action.CANCEL, lambda _: asked, common)


def _add_move(runs: typer.Typer) -> None:
    @command(runs, *REFUSALS, name=Action.MOVE.verb, help_text=HELP[Action.MOVE])
    @grouped
    def move_runs(filters: Filters, common: Common, to: To, run: References = None) -> None:
        common.control(Action.MOVE)  # so that wrong input is refused before anything is read

        def asked(workflow: DeployedWorkflow) -> Control:
            return common.control(Action.MOVE, to=destination(workflow, to))

        _control(Chosen(run or (), filters), Action.MOVE, asked, common)


def destination(deployed: DeployedWorkflow, status: str) -> Destination:
    """Load the workflow, and find its status.

    Raises InvalidInput, or NotImportable or InvalidDefinition: the workflow can't be loaded.
    """
    workflow = load_deployed(deployed)
    names = workflow.statuses.__members__
    if status not in names:
        raise InvalidInput(
            "--to", f"{deployed.name} has no status {status!r}; it has {', '.join(names)}"
        )
    return Destination(workflow, names[status])


def _control(chosen: Chosen, action: Action, asked: Asked, common: Common) -> None:
    url = records_url(common.records)
    found = asyncio.run(_find(url, chosen, common.workflow, asked))
    if not chosen.references and not common.yes:
        confirm(action, sum(map(len, found.values())))
    _finish(asyncio.run(_apply_all(url, found)), action, as_json=common.as_json)


async def _find(
    url: str, chosen: Chosen, workflow: str | None, asked: Asked
) -> dict[Control, list[RunId]]:
    """Find the runs that a command names, or that its filters let through, and what to do."""
    references, filters = chosen.references, chosen.filters
    if references and not filters.is_empty():
        raise InvalidInput("runs", "name runs or give filters, not both")
    if not references and workflow is None and filters.is_empty():
        raise InvalidInput("runs", "name runs, or choose them by filters, e.g. --failed")
    async with open_beside(url, SystemClock()) as store:
        deployment = await store.deployment()
        names = Names(deployment)
        found: dict[str, list[RunId]] = {}
        if references:
            lookup = RunReferences(store, choose_workflows(list(names.statuses), workflow))
            for reference in references:
                record = await lookup.find(reference)
                found.setdefault(record.workflow, []).append(record.run_id)
        else:
            async for page in Selection(store, names, filters, workflow).pages():
                for record in page:
                    found.setdefault(record.workflow, []).append(record.run_id)
    by_control: dict[Control, list[RunId]] = {}
    for name, run_ids in found.items():
        by_control.setdefault(asked(find_deployed(deployment, name)), []).extend(run_ids)
    return by_control


async def _apply_all(url: str, found: Mapping[Control, Sequence[RunId]]) -> dict[RunId, Outcome]:
    clock = SystemClock()
    async with open_beside(url, clock) as store:
        records = patient(store, clock, PATIENCE)
        announced = _announced(await records.deployment())
        outcomes: dict[RunId, Outcome] = {}
        for asked, run_ids in found.items():
            for start in range(0, len(run_ids), BATCH):
                batch = run_ids[start : start + BATCH]
                outcomes |= await _apply_to(records, asked, batch, announced)
        return outcomes


def _announced(deployment: Deployment) -> dict[str, frozenset[RunState]]:
    """Return the run states that are announced to the hooks of each workflow that has hooks.

    Which of them the hooks ask for is in the definitions, which are not read here. What no hook
    asks for is ignored.
    """
    return {
        workflow.name: frozenset((RunState.PAUSED, RunState.CANCELLED, RunState.COMPLETED))
        for workflow in deployment.workflows
        if hooks_group(workflow.name) in workflow.groups
    }


async def _apply_to(
    store: RecordStore,
    asked: Control,
    run_ids: Sequence[RunId],
    announced: dict[str, frozenset[RunState]],
) -> dict[RunId, Outcome]:
    found = await look_up(store, run_ids)
    missing: dict[RunId, Outcome] = {run_id: Missing() for run_id in run_ids}
    return missing | await apply(Writer(store), asked, found, announced)


def _finish(outcomes: dict[RunId, Outcome], action: Action, *, as_json: bool) -> None:
    """Print the result, and exit with its code."""
    kinds = Counter(type(outcome) for outcome in outcomes.values())
    report = ControlReport(
        action=action.verb,
        changed=kinds[Changed],
        unchanged=kinds[Unchanged],
        refused={
            run_id: outcome.why
            for run_id, outcome in outcomes.items()
            if isinstance(outcome, Refused)
        },
        missing=[run_id for run_id, outcome in outcomes.items() if isinstance(outcome, Missing)],
    )
    if as_json:
        print_json(report)
    else:
        already = f" {report.unchanged} already were." if report.unchanged else ""
        say(
            f"{report.changed} {'run' if report.changed == 1 else 'runs'}"
            f" {action.participle}.{already}"
        )
        for run_id, why in report.refused.items():
            complain(f"workflow-ray: {ControlRefused(run_id, action.verb, why)}")
    if report.refused:
        raise typer.Exit(ControlRefused.exit_code)
