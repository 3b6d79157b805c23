"""Transitions: how the outcome of a step changes a record. Pure."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

import msgspec

from workflow_ray.definition import (
    Cancel,
    FlowControl,
    Pause,
    Repeat,
    RunFunction,
    Status,
    Stay,
)
from workflow_ray.definition.durations import seconds_of
from workflow_ray.engine.error_detail import detail_of
from workflow_ray.engine.next_version import AnyWorkflow, Next, kept
from workflow_ray.records import Cause, ErrorDetail, NewChild, Record, RunState, Write, WriteId

AnyFunction: TypeAlias = RunFunction[Any]

FAILURE = "workflow_ray.AttemptFailed"
"""The type of failures that the engine has found, such as a result that is not allowed."""
PROCESS_DIED = "workflow_ray.ProcessDied"
IN_DOUBT = "its process died while this run was tried"
NOT_PARKED = "it waits for its admission by flow control"
GIVEN_BACK = "its role stopped before the attempt ended"


@dataclass(frozen=True, slots=True)
class Park:
    """The run is to be parked first: it entered the status without that."""

    status: Status
    flow: FlowControl[Any, Any]


@dataclass(slots=True)  # it takes twice as long to make a frozen one
class Returned:
    """The function has returned a status or a halt of its annotation, or was not called (Park).

    `data` is None if the data has not changed.
    """

    value: Status | Cancel | Pause | Repeat | Stay | Park
    data: bytes | None
    children: tuple[NewChild, ...] = ()  # the runs that it starts
    labels: dict[str, str] | None = None  # all of them; None: unchanged


@dataclass(frozen=True, slots=True)
class Failed:
    """The function has raised, or its result can't be stored. Changes to the data are dropped."""

    error: str
    fatal: bool = False  # no further attempt
    kind: str = FAILURE  # what the history names as its type, unless an error was raised
    raised: BaseException | None = field(default=None, compare=False, repr=False)  # for the log


@dataclass(frozen=True, slots=True)
class HeldBack:
    """The attempt was not made, and is not counted."""

    reason: str
    again_in: float  # seconds


Outcome: TypeAlias = Returned | Failed | HeldBack


def decide(
    record: Record,
    outcome: Outcome,
    step: AnyFunction,
    workflow: AnyWorkflow,
    *,
    by: str,
    write_id: WriteId,
) -> Write:
    """Decide the write that follows from the outcome of a step.

    It puts an event into the outbox if the run is able to proceed.
    """
    nxt = Next(record, by, write_id)
    if not isinstance(outcome, Returned):
        if isinstance(outcome, Failed):
            return _failed(nxt, outcome, step, workflow, attempt=record.attempt + 1)
        reason, again_in = outcome.reason, outcome.again_in
        return nxt.stay(Cause.PARKED, attempt=record.attempt, reason=reason, again_in=again_in)
    data, children, labels = outcome.data, outcome.children, outcome.labels
    data_version = workflow.data_version
    match outcome.value:
        case Status() as status:
            return nxt.enter(
                status, workflow, Cause.STEP, data=data, children=children, labels=labels
            )
        case Repeat(after):
            again_in = seconds_of("after", after)
            return nxt.stay(
                Cause.REPEAT,
                data=data,
                data_version=data_version,
                again_in=again_in,
                children=children,
                labels=labels,
            )
        case Stay():
            return nxt.stay(
                Cause.STAY,
                data=data,
                data_version=data_version,
                children=children,
                labels=labels,
            )
        case Pause(reason):
            return nxt.stay(
                Cause.PAUSE,
                run_state=RunState.PAUSED,
                reason=reason,
                data=data,
                data_version=data_version,
                awaited=record.awaited,
                labels=labels,
            )
        case Cancel(reason):
            return nxt.stay(
                Cause.CANCEL,
                run_state=RunState.CANCELLED,
                reason=reason,
                data=data,
                data_version=data_version,
                labels=labels,
            )
        case Park(status, flow):
            return nxt.park(status, workflow, flow, NOT_PARKED)
    assert_never(outcome.value)


def count_attempt(
    record: Record, step: AnyFunction, workflow: AnyWorkflow, *, by: str, write_id: WriteId
) -> Write:
    """Count an attempt before it begins, because a process died during the last one.

    The write is that of a failed attempt, with its retry, so that the run goes on if the process
    dies again. If all attempts are used up, the write is that of the last failure (see
    `is_counted`). So a step that kills its process does not loop.
    """
    nxt = Next(record, by, write_id)
    if record.attempt >= step.retry.attempts:
        failed = used_up(step, record.attempt)
        return _failed(nxt, failed, step, workflow, attempt=record.attempt)
    attempt = record.attempt + 1
    write = nxt.stay(
        Cause.DOUBT,
        attempt=attempt,
        reason=IN_DOUBT,
        again_in=step.retry.delay(record.run_id, attempt),
    )
    return with_error(write, Failed(IN_DOUBT, kind=PROCESS_DIED), workflow)


def used_up(function: AnyFunction, attempts: int) -> Failed:
    """Say that a function has killed its process in its last attempt."""
    why = f"the process died while {function.name} ran, and its attempts ({attempts}) are used up"
    return Failed(why, fatal=True, kind=PROCESS_DIED)


def is_counted(write: Write) -> bool:
    """Whether a write of `count_attempt` has counted an attempt, which may begin now."""
    return write.cause is Cause.DOUBT


def give_back(counted: Record, *, by: str, write_id: WriteId) -> Write:
    """Undo `count_attempt`, because the role has stopped in order before the attempt ended.

    Args:
        counted: The record after that write.
    """
    nxt = Next(counted, by, write_id)
    return nxt.stay(Cause.GIVEN_BACK, attempt=counted.attempt - 1, reason=GIVEN_BACK, again_in=0.0)


def with_error(write: Write, failed: Failed, workflow: AnyWorkflow) -> Write:
    """Add the error of a failed attempt, for the history."""
    if failed.raised is None:
        error = ErrorDetail(type=failed.kind, message=kept(failed.error))
    else:
        error = detail_of(failed.error, failed.raised, traces=workflow.traces)
    return msgspec.structs.replace(write, error=error)


def _failed(
    nxt: Next, failed: Failed, step: AnyFunction, workflow: AnyWorkflow, *, attempt: int
) -> Write:
    error = failed.error
    if not failed.fatal and attempt < step.retry.attempts:
        delay = step.retry.delay(nxt.record.run_id, attempt)
        write = nxt.stay(Cause.RETRY, attempt=attempt, reason=error, again_in=delay)
    elif step.on_failure is not None:
        write = nxt.enter(step.on_failure, workflow, Cause.FAILED, reason=error)
    else:
        write = nxt.fail(error, attempt=attempt)
    return with_error(write, failed, workflow)
