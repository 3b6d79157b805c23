"""Controls of runs: how each of them, such as pause or cancel, changes a record. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import msgspec

from workflow_ray.definition import Status
from workflow_ray.engine.data_deletion import request_deletion
from workflow_ray.engine.delays import delayed_steps
from workflow_ray.engine.next_version import AnyWorkflow, Next, kept
from workflow_ray.engine.prospects import is_paused_by_error
from workflow_ray.engine.run_states import may_move
from workflow_ray.records import Cause, Record, RunId, RunState, Version, Write, WriteId


class Action(Enum):
    """What a control does to a run, as a verb and a participle."""

    PAUSE = "pause", "paused"
    RESUME = "resume", "resumed"
    RETRY = "retry", "retried"
    CANCEL = "cancel", "cancelled"
    MOVE = "move", "moved"
    DELETE_DATA = "delete_data", "marked for data deletion"

    def __init__(self, verb: str, participle: str) -> None:
        self.verb = verb
        self.participle = participle


@dataclass(frozen=True, slots=True)
class Destination:
    """The status that runs of a workflow are moved to."""

    workflow: AnyWorkflow
    status: Status


@dataclass(frozen=True, slots=True)
class Control:
    """An action, with who asks for it and why."""

    action: Action
    by: str
    reason: str | None = None
    # of a cancellation: whether all children are cancelled too; None: those that were started so
    cascade: bool | None = None
    to: Destination | None = None  # of a move


@dataclass(frozen=True, slots=True)
class Refused:
    """The run does not allow the action."""

    why: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The action would change nothing."""


def steps_left_delayed(control: Control, found: Iterable[Record]) -> dict[RunId, Version]:
    """Return the steps whose delays, if they have some, go on after a control: of paused runs."""
    if control.action not in (Action.RESUME, Action.RETRY):
        return {}
    return delayed_steps(record for record in found if record.run_state is RunState.PAUSED)


def decide_control(
    record: Record, control: Control, *, write_id: WriteId, delay: float = 0.0
) -> Write | Refused | Unchanged:
    """Decide what a control changes. The table of run states allows it, or it is refused.

    A function that is running is not interrupted. If the control commits first, its result is
    dropped. Unless the run is moved, timeouts and messages stay as they are: the store sends an
    event for messages that wait when the run proceeds.

    Args:
        record: The run.
        control: What is asked.
        write_id: Of the write.
        delay: The seconds that are left of its step's delay, if it is of `steps_left_delayed`.
    """
    decided = _decide(Next(record, control.by, write_id), control, delay)
    if isinstance(decided, Write) and not may_move(record.run_state, decided.run_state):
        return Refused(f"it is {record.run_state.name}")
    return decided


def _decide(nxt: Next, control: Control, delay: float) -> Write | Refused | Unchanged:
    run_state = nxt.record.run_state
    match control.action:
        case Action.PAUSE:
            return Unchanged() if run_state is RunState.PAUSED else _pause(nxt, control)
        case Action.CANCEL:
            if run_state is RunState.CANCELLED:
                return Unchanged()
            return nxt.cancel(control.reason, cascade=control.cascade)
        case Action.RESUME:
            return _resume(nxt, control, delay) if run_state.at_rest else Unchanged()
        case Action.RETRY:
            return _retry(nxt, control, delay)
        case Action.MOVE:
            return _move(nxt, control)
        case Action.DELETE_DATA:
            return _delete_data(nxt)


def _pause(nxt: Next, control: Control) -> Write:
    record = nxt.record
    return nxt.stay(
        Cause.PAUSE,
        run_state=RunState.PAUSED,
        attempt=record.attempt,
        reason=control.reason,
        awaited=record.awaited,
    )


def _resume(nxt: Next, control: Control, delay: float) -> Write:
    """Resume the run, with its step if that was still to run, when that is due.

    If an error has paused it, the attempts are counted from 0 again.
    """
    record = nxt.record
    attempt = 0 if is_paused_by_error(record) else record.attempt
    return nxt.go_on(Cause.RESUMED, attempt=attempt, reason=control.reason, again_in=delay)


def _retry(nxt: Next, control: Control, delay: float) -> Write | Refused:
    """Let the failed step run at once, without the rest of its backoff, attempts counted from 0.

    A run that flow control orders is admitted again first, if it has lost its slot. A run that an
    error in another function has paused waits again for what it waited for, and so for its delay.
    """
    record = nxt.record
    if is_paused_by_error(record):
        return nxt.go_on(Cause.RETRIED, attempt=0, reason=control.reason, again_in=delay)
    if record.attempt > 0 and not record.run_state.at_rest:
        return nxt.go_on(Cause.RETRIED, attempt=0, reason=control.reason)
    if record.run_state is RunState.PAUSED:
        return Refused("it was paused by no error. Resume it instead")
    return Refused(f"it is {record.run_state.name}, and no attempt has failed")


def _move(nxt: Next, control: Control) -> Write | Refused:
    """Let the run enter a status, wherever it stands, as a transition does.

    A status whose timeouts can't be set is not entered.
    """
    assert control.to is not None, "a move says where to"
    if nxt.record.run_state.finished:  # before the user's functions are asked for times
        return Refused(f"it is {nxt.record.run_state.name}")
    write = nxt.enter(control.to.status, control.to.workflow, Cause.MOVED)
    if write.cause is not Cause.MOVED:
        return Refused(write.reason or "its status can't be entered")
    reason = None if control.reason is None else kept(control.reason)
    return msgspec.structs.replace(write, reason=reason)


def _delete_data(nxt: Next) -> Write | Refused | Unchanged:
    run_state = nxt.record.run_state
    if run_state in (RunState.REQUESTED_DATA_DELETED, RunState.DATA_DELETED):
        return Unchanged()
    if not run_state.finished:
        return Refused(
            f"it is {run_state.name}, not finished. Wait for its end, or cancel it first"
        )
    return request_deletion(nxt)
