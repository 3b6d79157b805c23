"""`workflow-ray diff`: what a deploy would change, and whether it would be refused."""

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.options import AsJson, Records, Workflows
from workflow_ray.cli.output import print_json, say
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.definition import load
from workflow_ray.engine.definition_changes import Change, Sign
from workflow_ray.ports import SystemClock
from workflow_ray.runtime.comparing import Comparison, compare
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.hosting import AnyWorkflow
from workflow_ray.runtime.urls import place_of, records_url

MARKS = {Sign.ADDED: "+", Sign.GONE: "-", Sign.CHANGED: "~"}
WithExitCode = Annotated[
    bool,
    typer.Option(
        "--exit-code",
        help="End with code 9 if a deploy would change something, and 4 if it would be refused.",
    ),
]


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `diff`."""

    records: str
    workflows: Sequence[Comparison]


def diff(
    references: Workflows,
    records: Records = None,
    exit_code: WithExitCode = False,
    as_json: AsJson = False,
) -> None:
    """Show what a deploy of workflows would change, with the unfinished runs that it concerns.

    It also says whether the deploy would be refused, and why. It deploys nothing and writes
    nothing. Runs are counted as they stand now; of each status at which some stand, the data of up
    to 200 is read with the new model. Up to 200 finished runs are looked at for codecs that the new
    code does not have.
    """
    workflows = [load(reference, [os.getcwd()]) for reference in references]
    url = records_url(records)
    found = Diff(records=place_of(url), workflows=asyncio.run(_compared(url, workflows)))
    if as_json:
        print_json(found)
    else:
        for comparison in found.workflows:
            _print(comparison)
    if exit_code:
        _end(found.workflows)


async def _compared(url: str, workflows: Sequence[AnyWorkflow]) -> list[Comparison]:
    clock = SystemClock()
    async with open_beside(url, clock) as opened:
        store = patient(opened, clock, PATIENCE)
        return [await compare(store, workflow) for workflow in workflows]


def _print(comparison: Comparison) -> None:
    name = comparison.workflow
    if not comparison.deployed:
        say(f"{name}: new, a deploy adds it.")
        return
    if not comparison.changes:
        say(f"{name}: no change.")
    else:
        say(f"{name}:")
        for change in comparison.changes:
            say(f"  {MARKS[change.change]} {_text(change)}")
        for setting in comparison.kept:
            say(f"  = {setting}, as an operator has set it")
    if comparison.refused:
        say("A deploy would be refused:")
        for why in comparison.refused:
            say(f"  {why}")


def _text(change: Change) -> str:
    text = f"{change.kind} {change.what}"
    if change.change is Sign.CHANGED and (change.before or change.after):
        text += f": {change.before or 'none'} -> {change.after or 'none'}"
    if change.runs:
        runs = "1 unfinished run" if change.runs == 1 else f"{change.runs:,} unfinished runs"
        text += f" ({runs})"
    if change.finished:
        runs = "1 finished run" if change.read == 1 else f"{change.read:,} finished runs"
        text += f" (of {runs} that were read, {change.finished:,} can't be read without it)"
    return text


def _end(comparisons: Sequence[Comparison]) -> None:
    if any(comparison.refused for comparison in comparisons):
        raise typer.Exit(ExitCode.NOT_ALLOWED)
    if any(comparison.differs for comparison in comparisons):
        raise typer.Exit(ExitCode.DIFFERS)
