"""The conversion of records to runs, and of a trigger to the first write."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from workflow_ray.definition import Effects, Run, Status, Workflow
from workflow_ray.definition.effects import READ_ONLY
from workflow_ray.definition.graph import TERMINAL
from workflow_ray.definition.migrations import NewerVersion, NotMigrated
from workflow_ray.engine.entry import NotEntered, gatherings_of, parking_of, timeouts_of
from workflow_ray.engine.error_text import flaws
from workflow_ray.engine.next_version import parked
from workflow_ray.errors import (
    DataDeleted,
    EncodedData,
    InvalidInput,
    NewerData,
    UnknownStatus,
    UnreadableData,
)
from workflow_ray.records import (
    DELETED,
    NO_VERSION,
    Cause,
    NewRun,
    NewTimeout,
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
from workflow_ray.records.encoded import why_unreadable

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

FIRST = Version(1)


def run_of(workflow: Workflow[D, S], record: Record, effects: Effects = READ_ONLY) -> Run[D, S]:
    """Convert a record to a typed run. Raises UnreadableData or UnknownStatus.

    Args:
        workflow: The run's workflow.
        record: The record.
        effects: Carries out what a function asks of the run.
    """
    data = decoded(workflow, record.run_id, record.data, record.data_version)
    status = status_of(workflow, record.run_id, record.status)
    return Run.stored(record, data, status, effects)


def view_of(workflow: Workflow[D, S], record: Record) -> Run[D, S]:
    """Convert a record to a typed run whose data and status are read at their first use."""
    return Run.unread(
        record,
        partial(decoded, workflow, record.run_id, record.data, record.data_version),
        partial(status_of, workflow, record.run_id, record.status),
    )


def decoded(workflow: Workflow[D, S], run_id: RunId, data: bytes, data_version: int) -> D:
    """Read the data of a run, through the migrations if it is of an earlier version.

    Raises:
        UnreadableData: It can't be migrated, or does not fit the model. The error names the wrong
            fields, and never shows their values.
        NewerData: It is of a later version.
        DataDeleted: It was deleted.
    """
    if data == DELETED:
        raise DataDeleted(workflow.name, run_id)
    try:
        return workflow.decode(data, data_version)
    except (ValidationError, NotMigrated) as error:
        if why := why_unreadable(data):
            raise EncodedData(workflow.name, run_id, why) from None
        text = flaws(error) if isinstance(error, ValidationError) else str(error)
        raise UnreadableData(workflow.name, run_id, text) from None
    except NewerVersion as error:
        raise NewerData(workflow.name, run_id, error.stored, error.known) from None


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
    delay: float = 0.0,
    labels: Mapping[str, str] | None = None,
) -> Write:
    """Make the first write of a run. A run that starts at a status without a function is complete.

    A delay is that of the step, in seconds. Timeouts count from its end. If the status has flow
    control, the step's role parks the run then.

    Raises:
        InvalidInput: A timeout of that status can't be set, its flow control can't park the run, or
            it has no step that could be delayed.
    """
    partition = partition_of(run_id, workflow.partitions)
    entry = workflow.checked().entries.get(start, TERMINAL)
    if delay and not entry.asks:
        raise InvalidInput("delay", f"{start} has no step that could be delayed; leave it out")
    topic = status_topic(workflow.name, start.value)
    event = OutgoingEvent(topic=topic, partition=partition, delay=delay)
    write = Write(
        run_id=run_id,
        write_id=write_id,
        expected=NO_VERSION,
        status=start.value,
        run_state=RunState.COMPLETED if entry.ends else RunState.INITIATED,
        visit=FIRST,
        cause=Cause.TRIGGER,
        by=by,
        data=data,
        data_version=workflow.data_version,
        new=NewRun(
            workflow=workflow.name,
            foreign_id=foreign_id,
            partition=partition,
            idempotency_key=idempotency_key,
            digest=digest,
        ),
        events=(event,) if entry.asks else (),
        awaits=entry.awaits,
        asks=entry.asks,
        labels=dict(labels) if labels else None,
    )
    return _prepared(write, workflow, start, delay) if entry.prepares else write


def _prepared(write: Write, workflow: Workflow[D, S], start: S, delay: float) -> Write:
    """Add the timeouts and gatherings of the status at which the run starts, and park the run."""
    flow = workflow.checked().entries[start].flow
    try:
        entered = _record_of(write)
        timeouts = timeouts_of(workflow, start, entered)
        if flow is not None:
            parking = parking_of(workflow, start, flow, entered)  # a delayed run is checked too
            write = write if delay else parked(write, parking)
    except NotEntered as error:
        raise InvalidInput(f"a run of {workflow.name} that starts at {start}", str(error)) from None
    return msgspec.structs.replace(
        write,
        timeouts=tuple(_delayed(timeout, delay) for timeout in timeouts),
        gatherings=gatherings_of(workflow, start),
    )


def _delayed(timeout: NewTimeout, delay: float) -> NewTimeout:
    """Let a timeout count from the end of the delay."""
    if timeout.after is None:
        return timeout
    return msgspec.structs.replace(timeout, after=timeout.after + delay)


def _record_of(write: Write) -> Record:
    """The record that a first write makes, for functions of users. The store sets its times."""
    assert write.new is not None, "it is a first write"
    assert write.data is not None, "it is a first write"
    now = datetime.now(UTC)
    return Record(
        run_id=write.run_id,
        workflow=write.new.workflow,
        foreign_id=write.new.foreign_id,
        status=write.status,
        run_state=write.run_state,
        version=write.version,
        visit=write.visit,
        cause=write.cause,
        partition=write.new.partition,
        data=write.data,
        data_version=write.data_version,
        idempotency_key=write.new.idempotency_key,
        awaits=write.awaits,
        labels=write.labels or {},
        created_at=now,
        updated_at=now,
    )
