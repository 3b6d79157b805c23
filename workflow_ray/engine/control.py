"""Controls of runs: how pause, resume, retry and cancel change a record. Pure."""

from dataclasses import dataclass
from enum import Enum

from workflow_ray.engine.next_version import Next
from workflow_ray.engine.prospects import is_paused_by_error
from workflow_ray.engine.run_states import may_move
from workflow_ray.records import NO_VERSION, Cause, Record, RunState, Write, WriteId


class Action(Enum):
    """What a control does to a run, as a verb and a participle."""

    PAUSE = "pause", "paused"
    RESUME = "resume", "resumed"
    RETRY = "retry", "retried"
    CANCEL = "cancel", "cancelled"

    def __init__(self, verb: str, participle: str) -> None:
        self.verb = verb
        self.participle = participle


@dataclass(frozen=True, slots=True)
class Control:
    """An action, with who asks for it and why."""

    action: Action
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The run does not allow the action."""

    why: str


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The action would change nothing."""


def decide_control(
    record: Record, control: Control, *, write_id: WriteId
) -> Write | Refused | Unchanged:
    """Decide what a control changes.

    A function that is running is not interrupted. If the control commits first, its result is
    dropped. Timeouts and messages stay as they are: the store sends an event for messages that wait
    when the run proceeds.
    """
    nxt = Next(record, control.by, write_id)
    match control.action:
        case Action.PAUSE:
            return _rest(nxt, control, RunState.PAUSED, Cause.PAUSE)
        case Action.CANCEL:
            return _rest(nxt, control, RunState.CANCELLED, Cause.CANCEL)
        case Action.RESUME:
            return _resume(nxt, control)
        case Action.RETRY:
            return _retry(nxt, control)


def _rest(nxt: Next, control: Control, to: RunState, cause: Cause) -> Write | Refused | Unchanged:
    record = nxt.record
    if record.run_state is to:
        return Unchanged()
    if not may_move(record.run_state, to):
        return Refused(f"it is {record.run_state.name}")
    awaited = record.awaited if to is RunState.PAUSED else NO_VERSION
    return nxt.stay(
        cause, run_state=to, attempt=record.attempt, reason=control.reason, awaited=awaited
    )


def _resume(nxt: Next, control: Control) -> Write | Refused | Unchanged:
    """Resume the run, with its step if that was still to run.

    If an error has paused it, the attempts are counted from 0 again.
    """
    record = nxt.record
    if record.run_state is RunState.PAUSED:
        attempt = 0 if is_paused_by_error(record) else record.attempt
        return nxt.stay(
            Cause.RESUMED,
            attempt=attempt,
            reason=control.reason,
            again_in=_at_once(record),
        )
    return Refused(f"it is {record.run_state.name}") if record.run_state.at_rest else Unchanged()


def _retry(nxt: Next, control: Control) -> Write | Refused:
    """Let the step run at once, without the rest of the delay. Attempts are counted from 0.

    A run that an error in another function has paused waits again for what it waited for.
    """
    record = nxt.record
    is_between_attempts = record.attempt > 0 and not record.run_state.at_rest
    if is_paused_by_error(record) or is_between_attempts:
        return nxt.stay(Cause.RETRIED, reason=control.reason, again_in=_at_once(record))
    if record.run_state is RunState.PAUSED:
        return Refused("it was paused by no error. Resume it instead")
    return Refused(f"it is {record.run_state.name}, and no attempt has failed")


def _at_once(record: Record) -> float | None:
    """The delay of the step, if it is still to run."""
    return 0.0 if record.awaited > NO_VERSION else None
