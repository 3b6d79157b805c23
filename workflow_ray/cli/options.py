"""Options that several commands have."""

from pathlib import Path
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
Rollback: TypeAlias = Annotated[
    bool,
    typer.Option("--rollback", help="Deploy code again that was replaced since it was deployed."),
]
Replace: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--replace",
        help="Replace another definition of the same name: the workflow was moved or renamed.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
JsonFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--json", metavar="PATH", help="Also write the report there, as JSON."),
]
