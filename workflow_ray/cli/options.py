"""Arguments and options of several commands."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import typer

Records: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--records",
        metavar="URL",
        help="Where the records are. Default: $WORKFLOW_RAY_RECORDS, else sqlite:///workflow.db.",
    ),
]
Events: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="URL",
        help="Where events travel. Default: $WORKFLOW_RAY_EVENTS, else where the records are.",
    ),
]
Timeouts: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timeouts",
        metavar="URL",
        help="Where timeouts are. Default: $WORKFLOW_RAY_TIMEOUTS, else where the records are.",
    ),
]
Workflows: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="MODULE:ATTRIBUTE", help="The workflows, e.g. examples.orders:orders."),
]
OfWorkflow: TypeAlias = Annotated[
    str | None, typer.Option("--workflow", metavar="NAME", help="Only runs of this workflow.")
]
OneOrAll: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="WORKFLOW", help="The workflow's name, e.g. orders. Default: all workflows."
    ),
]
Workflow: TypeAlias = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="The workflow's name, e.g. orders.")
]
Decode: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--decode",
        help="Load the workflow's definition, and decode with its codecs and their keys.",
    ),
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of text, with stable fields.")
]


Replace: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="Replace another definition of the same name: the workflow was moved or renamed.",
    ),
]


Strand: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--strand",
        help="Deploy although some unfinished runs can't go on with this code: they stay.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class DevOptions:
    """Options of the command that deploys workflows with each change of their code."""

    records: Records = None
    events: Events = None
    timeouts: Timeouts = None
    replace: Replace = False
    strand: Strand = False


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """Options of the commands that deploy workflows."""

    records: Records = None
    events: Events = None
    timeouts: Timeouts = None
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Deploy code again although newer code has replaced it."),
    ] = False
    replace: Replace = False
    strand: Strand = False
