"""Converts records to what the command line shows: names in place of numbers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from workflow_ray.cli.output import strict
from workflow_ray.engine.awaited import (
    awaited_when_delayed,
    awaited_when_parked,
    awaited_when_paused,
)
from workflow_ray.records import (
    DELETED,
    Awaits,
    Deployment,
    ErrorDetail,
    HistoryEntry,
    Message,
    Record,
    RunCount,
    RunState,
    timeout_group,
)
from workflow_ray.records.encoded import readable, why_unreadable


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run."""

    run_id: str
    workflow: str
    foreign_id: str
    labels: Mapping[str, str]
    status: str  # its name; its number where the workflow is not deployed any more
    run_state: str
    version: int
    attempt: int  # failed attempts of the current step
    updated_at: datetime
    created_at: datetime
    reason: str | None  # of the last version
    # what moves a run that rests, or when its step is due; null: it goes on now, or is finished
    waits_for: str | None


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """The error of a failed attempt."""

    type: str  # with its module, e.g. httpx.ConnectTimeout
    message: str
    trace: str | None  # only with --trace; null: none is kept

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class RunWithData(RunView, frozen=True, kw_only=True):
    """A run with its data."""

    # as it is stored; NaN and Infinity as strings; null: it was deleted
    data: msgspec.Raw
    error: ErrorView | None  # of the last version, if that is a failed attempt's


class CountView(msgspec.Struct, frozen=True, kw_only=True):
    """A number of runs."""

    workflow: str
    status: str
    run_state: str
    runs: int


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a run, or a callback that has failed for good and made no version."""

    version: int
    status: str
    run_state: str
    cause: str  # what wrote it, e.g. STEP
    by: str  # who wrote it
    at: datetime
    reason: str | None
    error: ErrorView | None  # of a failed attempt
    callback: str | None  # the callback that has failed; null: the entry is a version


class Names:
    """Names the statuses, as they are deployed.

    Args:
        deployment: The workflows.
        traces: Whether the views of errors have their traces.
    """

    def __init__(self, deployment: Deployment, *, traces: bool = False) -> None:
        self._traces = traces
        self._workflows = {each.name: each for each in deployment.workflows}
        self.statuses: Mapping[str, Mapping[str, int]] = {
            each.name: each.statuses for each in deployment.workflows
        }
        self.partitions: Mapping[str, int] = {
            each.name: each.partitions for each in deployment.workflows
        }
        self._groups = {group for each in deployment.workflows for group in each.groups}

    def status(self, workflow: str, number: int) -> str:
        """Return a status's name, or its number where the workflow is not deployed any more."""
        return next(
            (name for name, value in self.statuses.get(workflow, {}).items() if value == number),
            str(number),
        )

    def run(self, record: Record, due_at: datetime | None = None) -> RunView:
        """Convert a run. `due_at`: when its step is due, if that is delayed."""
        return RunView(**self._shared(record, due_at))

    def run_with_data(
        self, record: Record, error: ErrorDetail | None, due_at: datetime | None = None
    ) -> RunWithData:
        data = raw(record.data)
        return RunWithData(**self._shared(record, due_at), data=data, error=self._error(error))

    def count(self, workflow: str, count: RunCount) -> CountView:
        status = self.status(workflow, count.status)
        return CountView(
            workflow=workflow, status=status, run_state=count.run_state.name, runs=count.runs
        )

    def entry(self, workflow: str, entry: HistoryEntry, failed: Message | None = None) -> EntryView:
        return EntryView(
            version=entry.version,
            status=self.status(workflow, entry.status),
            run_state=entry.run_state.name,
            cause=entry.cause.name,
            by=entry.by,
            at=entry.at,
            reason=entry.reason and readable(entry.reason),
            error=self._error(entry.error),
            callback=None if failed is None else failed.name,
        )

    def _error(self, error: ErrorDetail | None) -> ErrorView | None:
        if error is None:
            return None
        trace = readable(error.trace) if self._traces and error.trace else None
        return ErrorView(type=error.type, message=readable(error.message), trace=trace)

    def _shared(self, record: Record, due_at: datetime | None) -> dict[str, Any]:
        same = (
            "run_id",
            "workflow",
            "foreign_id",
            "labels",
            "version",
            "attempt",
            "updated_at",
            "created_at",
        )
        return {
            **{field: getattr(record, field) for field in same},
            "reason": record.reason and readable(record.reason),
            "status": self.status(record.workflow, record.status),
            "run_state": record.run_state.name,
            "waits_for": self._waits_for(record, due_at),
        }

    def _waits_for(self, record: Record, due_at: datetime | None) -> str | None:
        """Say what moves a run that rests, as far as the records tell it."""
        if record.run_state is RunState.PAUSED:
            return awaited_when_paused(record)
        if record.parked:
            workflow = self._workflows.get(record.workflow)
            status = self.status(record.workflow, record.status)
            return awaited_when_parked(None if workflow is None else workflow.limits_at(status))
        if record.awaits is not Awaits.MESSAGE:
            return None if due_at is None else awaited_when_delayed(due_at)
        if timeout_group(record.workflow, record.status) in self._groups:
            return "a callback, a child or a timeout"
        return "a callback or a child"


def raw(data: bytes) -> msgspec.Raw:
    """Prepare stored data for JSON output. Damaged data, which is not JSON, becomes a string. So
    does why encoded data can't be read. Data that was deleted becomes null.
    """
    if data == DELETED:
        return msgspec.Raw(b"null")
    if why := why_unreadable(data):
        return msgspec.Raw(msgspec.json.encode(f"({why})"))
    data = strict(data)
    try:
        msgspec.json.format(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        data = msgspec.json.encode(data.decode(errors="backslashreplace"))
    return msgspec.Raw(data)
