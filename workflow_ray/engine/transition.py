"""Transitions: how the outcome of a step changes a record. Pure."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

from workflow_ray.definition import Cancel, Pause, Repeat, RunFunction, Status, Stay
from workflow_ray.definition.durations import seconds_of
from workflow_ray.engine.next_version import AnyWorkflow, Next
from workflow_ray.records import Cause, NewChild, Record, RunState, Write, WriteId

AnyFunction: TypeAlias = RunFunction[Any]

IN_DOUBT = "its process died while this run was tried"
GIVEN_BACK = "its role stopped before the attempt ended"


@dataclass(frozen=True, slots=True)
class Returned:
    """The function has returned a status or a halt of its annotation.

    `data` is None if the data has not changed.
    """

    value: Status | Cancel | Pause | Repeat | Stay
    data: bytes | None
    children: tuple[NewChild, ...] = ()  # the runs that it starts


@dataclass(frozen=True, slots=True)
class Failed:
    """The function has raised, or its result can't be stored. Changes to the data are dropped."""

    error: str
    fatal: bool = False  # no further attempt
    raised: BaseException | None = field(default=None, compare=False, repr=False)  # for the log


Outcome: TypeAlias = Returned | Failed


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
    if isinstance(outcome, Failed):
        return _failed(
            nxt, outcome.error, step, workflow, attempt=record.attempt + 1, fatal=outcome.fatal
        )
    data, children = outcome.data, outcome.children
    match outcome.value:
        case Status() as status:
            return nxt.enter(status, workflow, Cause.STEP, data=data, children=children)
        case Repeat(after):
            again_in = seconds_of("after", after)
            return nxt.stay(Cause.REPEAT, data=data, again_in=again_in, children=children)
        case Stay():
            return nxt.stay(Cause.STAY, data=data, children=children)
        case Pause(reason):
            return nxt.stay(
                Cause.PAUSE,
                run_state=RunState.PAUSED,
                reason=reason,
                data=data,
                awaited=record.awaited,
            )
        case Cancel(reason):
            return nxt.stay(Cause.CANCEL, run_state=RunState.CANCELLED, reason=reason, data=data)
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
        error = used_up(step, record.attempt)
        return _failed(nxt, error, step, workflow, attempt=record.attempt, fatal=True)
    attempt = record.attempt + 1
    return nxt.stay(
        Cause.DOUBT,
        attempt=attempt,
        reason=IN_DOUBT,
        again_in=step.retry.delay(record.run_id, attempt),
    )


def used_up(function: AnyFunction, attempts: int) -> str:
    """Say that a function has killed its process in its last attempt."""
    return f"the process died while {function.name} ran, and its attempts ({attempts}) are used up"


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


def _failed(
    nxt: Next, error: str, step: AnyFunction, workflow: AnyWorkflow, *, attempt: int, fatal: bool
) -> Write:
    if not fatal and attempt < step.retry.attempts:
        delay = step.retry.delay(nxt.record.run_id, attempt)
        return nxt.stay(Cause.RETRY, attempt=attempt, reason=error, again_in=delay)
    if step.on_failure is not None:
        return nxt.enter(step.on_failure, workflow, Cause.FAILED, reason=error)
    return nxt.fail(error, attempt=attempt)
