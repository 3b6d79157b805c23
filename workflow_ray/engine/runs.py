"""The conversion of records to runs, and of a trigger to the first write."""

from functools import partial
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from workflow_ray.definition import Run, Status, Workflow
from workflow_ray.errors import UnknownStatus, UnreadableData
from workflow_ray.records import (
    NO_VERSION,
    Awaits,
    Cause,
    NewRun,
    OutgoingEvent,
    Record,
    RunId,
    RunState,
    Version,
    Write,
    WriteId,
    partition_of,
    status_topic,
)

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

FIRST = Version(1)


def run_of(workflow: Workflow[D, S], record: Record) -> Run[D, S]:
    """Convert a record to a typed run. Raises UnreadableData or UnknownStatus."""
    data = decoded(workflow, record.run_id, record.data)
    status = status_of(workflow, record.run_id, record.status)
    return Run.stored(record, data, status)


def view_of(workflow: Workflow[D, S], record: Record) -> Run[D, S]:
    """Convert a record to a typed run whose data and status are read at their first use."""
    return Run.unread(
        record,
        partial(decoded, workflow, record.run_id, record.data),
        partial(status_of, workflow, record.run_id, record.status),
    )


def decoded(workflow: Workflow[D, S], run_id: RunId, data: bytes) -> D:
    """Read the data of a run. An error names the wrong fields, and never shows their values."""
    try:
        return workflow.decode(data)
    except ValidationError as error:
        fields = (
            f"{'.'.join(map(str, e['loc'])) or 'the whole'}: {e['msg']}"
            for e in error.errors(include_input=False)
        )
        raise UnreadableData(workflow.name, run_id, "; ".join(fields)) from None


def status_name(workflow: Workflow[D, S], number: int) -> str:
    """The name of a status, or for example "status 7" if the code has no such number."""
    try:
        return workflow.status_of(number).name
    except KeyError:
        return f"status {number}"


def status_of(workflow: Workflow[D, S], run_id: RunId, number: int) -> S:
    try:
        return workflow.status_of(number)
    except KeyError:
        raise UnknownStatus(workflow.name, run_id, number) from None


def first_write(
    workflow: Workflow[D, S],
    foreign_id: str,
    data: bytes,
    start: S,
    *,
    run_id: RunId,
    write_id: WriteId,
    by: str,
    idempotency_key: str | None = None,
    digest: bytes | None = None,
) -> Write:
    """Make the first write of a run. A run that starts at a status without a step is complete."""
    partition = partition_of(run_id, workflow.partitions)
    ends = workflow.checked().is_terminal(start)
    event = OutgoingEvent(topic=status_topic(workflow.name, start.value), partition=partition)
    return Write(
        run_id=run_id,
        write_id=write_id,
        expected=NO_VERSION,
        status=start.value,
        run_state=RunState.COMPLETED if ends else RunState.INITIATED,
        visit=FIRST,
        cause=Cause.TRIGGER,
        by=by,
        data=data,
        new=NewRun(
            workflow=workflow.name,
            foreign_id=foreign_id,
            partition=partition,
            idempotency_key=idempotency_key,
            digest=digest,
        ),
        events=() if ends else (event,),
        awaits=Awaits.NOBODY if ends else Awaits.EVENT,
        asks=not ends,
    )
