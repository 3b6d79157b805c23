"""`workflow-ray graph`: a diagram of a workflow, with its runs if they are asked for."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from workflow_ray.cli.output import OutputFailed, print_text
from workflow_ray.client import Client
from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.definition import Workflow, load
from workflow_ray.diagram import Diagram
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import RecordStore, SystemClock
from workflow_ray.records import Cause, RunQuery, RunState
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.urls import records_url

FAILED = 10_000
"""How many failed runs are read. If there are more, the others are shown as paused."""


class Format(Enum):
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


ENDINGS = {".mmd": Format.MERMAID, ".dot": Format.DOT, ".gv": Format.DOT, ".svg": Format.SVG}
Reference = Annotated[
    str,
    typer.Argument(metavar="MODULE:ATTRIBUTE", help="The workflow, e.g. examples.orders:orders."),
]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="The format. Default: that of the file's ending, else mermaid."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="The file to write, .mmd, .dot or .svg. Default: standard output.",
    ),
]
CountedRecords = Annotated[
    str | None,
    typer.Option(
        "--records",
        metavar="URL",
        help="Also show how many runs these records have at each status. Default: no runs.",
    ),
]


def graph(
    reference: Reference,
    format_: FormatOption = None,
    output: Output = None,
    records: CountedRecords = None,
) -> None:
    """Draw a workflow: its statuses, and the functions that lead from one to the next.

    With --records the runs at each status are counted. At most 10,000 failed runs are told from
    other paused runs.
    """
    chosen = format_ or _format_of(output)
    workflow = load(reference, [os.getcwd()])
    drawn = workflow.graph() if records is None else asyncio.run(_with_runs(workflow, records))
    text = _text(drawn, chosen)
    if output is None:
        print_text(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputFailed(str(output), error.strerror or str(error)) from None


def _format_of(output: Path | None) -> Format:
    if output is None:
        return Format.MERMAID
    if output.suffix not in ENDINGS:
        raise InvalidInput(
            "--output",
            f"the ending of {output} names no format; end it in {', '.join(ENDINGS)}, or add"
            " --format",
        )
    return ENDINGS[output.suffix]


def _text(drawn: Diagram, chosen: Format) -> str:
    match chosen:
        case Format.MERMAID:
            return drawn.mermaid()
        case Format.DOT:
            return drawn.dot()
        case Format.SVG:
            return drawn.svg()


async def _with_runs(workflow: Workflow[Any, Any], records: str) -> Diagram:
    """Draw the workflow with its runs. Raises UnknownWorkflow if the records don't have it."""
    clock = SystemClock()
    async with open_beside(records_url(records), clock) as opened:
        store = patient(opened, clock, PATIENCE)
        find_deployed(await store.deployment(), workflow.name)
        counts = await Client(workflow, store, clock).counts()
        return workflow.graph(counts=counts, failed=await _failed(store, workflow.name))


async def _failed(store: RecordStore, workflow: str) -> Mapping[int, int]:
    """Count the failed runs by status."""
    failed: Counter[int] = Counter()
    query = RunQuery(workflow=workflow, run_states=(RunState.PAUSED,), causes=(Cause.FAILED,))
    while failed.total() < FAILED and (page := await store.runs(query)):
        failed.update(record.status for record in page)
        query = replace(query, after=page[-1].run_id)
    return failed
