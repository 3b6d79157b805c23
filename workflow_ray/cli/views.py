"""Runs and their histories as the command line shows them: with names where the records have
numbers.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from workflow_ray.records import Deployment, HistoryEntry, Record, RunCount

WIDE = 160
"""Columns of text that goes to no terminal."""


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    run_id: str
    workflow: str
    foreign_id: str
    status: str
    run_state: str
    version: int
    attempt: int
    updated_at: datetime
    created_at: datetime
    reason: str | None


class RunWithData(RunView, frozen=True, kw_only=True):
    data: msgspec.Raw


class CountView(msgspec.Struct, frozen=True, kw_only=True):
    workflow: str
    status: str
    run_state: str
    runs: int


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    status: str
    run_state: str
    cause: str
    by: str
    at: datetime
    reason: str | None


class Names:
    """The statuses' names, as deployed."""

    def __init__(self, deployment: Deployment) -> None:
        self.statuses: Mapping[str, Mapping[str, int]] = {
            each.name: each.statuses for each in deployment.workflows
        }
        self.partitions: Mapping[str, int] = {
            each.name: each.partitions for each in deployment.workflows
        }

    def status(self, workflow: str, number: int) -> str:
        """The number itself where the workflow isn't deployed any more."""
        return next(
            (name for name, value in self.statuses.get(workflow, {}).items() if value == number),
            str(number),
        )

    def run(self, record: Record) -> RunView:
        return RunView(**self._shared(record))

    def run_with_data(self, record: Record) -> RunWithData:
        return RunWithData(**self._shared(record), data=msgspec.Raw(record.data))

    def count(self, workflow: str, count: RunCount) -> CountView:
        status = self.status(workflow, count.status)
        return CountView(
            workflow=workflow, status=status, run_state=count.run_state.name, runs=count.runs
        )

    def entry(self, workflow: str, entry: HistoryEntry) -> EntryView:
        return EntryView(
            version=entry.version,
            status=self.status(workflow, entry.status),
            run_state=entry.run_state.name,
            cause=entry.cause.name,
            by=entry.by,
            at=entry.at,
            reason=entry.reason,
        )

    def _shared(self, record: Record) -> dict[str, Any]:
        same = (
            "run_id",
            "workflow",
            "foreign_id",
            "version",
            "attempt",
            "updated_at",
            "created_at",
            "reason",
        )
        return {
            **{field: getattr(record, field) for field in same},
            "status": self.status(record.workflow, record.status),
            "run_state": record.run_state.name,
        }


def show(views: Sequence[msgspec.Struct], columns: Sequence[str], *, as_json: bool) -> None:
    """Print them: a table of some columns, or everything as JSON."""
    if as_json:
        print_json(views)
        return
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for view in views:
        table.add_row(*(_text(getattr(view, column)) for column in columns))
    _console().print(table)


def show_one(view: msgspec.Struct, *, as_json: bool) -> None:
    """Print one thing, all of it: a line for each field, or JSON."""
    if as_json:
        print_json(view)
        return
    table = Table.grid(padding=(0, 2))
    for field in view.__struct_fields__:
        table.add_row(field, _text(getattr(view, field)))
    _console().print(table)


def print_json(value: object) -> None:
    """On standard output, for other programs."""
    _console().out(
        msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), highlight=False
    )


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat(sep=" ", timespec="milliseconds")
        case msgspec.Raw():
            return bytes(value).decode()
        case _:
            return str(value)


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=WIDE)
