"""Messages: how the outcome of a message's function changes a record, or the message. Pure."""

from dataclasses import dataclass
from typing import assert_never

from workflow_ray.definition import Callback, Cancel, Pause, Repeat, Status, Stay
from workflow_ray.engine.newer_data import holding_message
from workflow_ray.engine.next_version import AnyWorkflow, Next, kept
from workflow_ray.engine.transition import (
    GIVEN_BACK,
    IN_DOUBT,
    AnyFunction,
    Failed,
    HeldBack,
    Outcome,
    Park,
    Returned,
    used_up,
    with_error,
)
from workflow_ray.records import (
    Cause,
    Message,
    MessageFailure,
    MessageKind,
    Record,
    RunState,
    Write,
    WriteId,
)

CAUSES = {
    MessageKind.CALLBACK: Cause.CALLBACK,
    MessageKind.TIMEOUT: Cause.TIMEOUT,
    MessageKind.CHILD: Cause.CHILD,
    MessageKind.CHILDREN: Cause.CHILDREN,
}


@dataclass(frozen=True, slots=True)
class MessageChange:
    """What follows for the run, and for the message if the write does not take it."""

    write: Write | None = None
    failure: MessageFailure | None = None

    @property
    def is_retried(self) -> bool:
        """Whether the function is called again after a while, without a change of the run."""
        return self.write is None and self.failure is not None and self.failure.retry_in is not None


def decide_message(
    record: Record,
    message: Message,
    outcome: Outcome,
    function: AnyFunction,
    workflow: AnyWorkflow,
    *,
    by: str,
    write_id: WriteId,
) -> MessageChange:
    """Decide what follows from the outcome of a message's function.

    A step that is still to run, perhaps after its backoff, stays so if the run stays.
    """
    nxt = Next(record, by, write_id)
    if isinstance(outcome, Returned):
        return MessageChange(_taking(nxt, message, outcome, workflow))
    if isinstance(outcome, HeldBack):
        return _held_back(message, outcome)
    return _failed(nxt, message, outcome, function, workflow, attempt=message.attempt + 1)


def _taking(nxt: Next, message: Message, outcome: Returned, workflow: AnyWorkflow) -> Write:
    record, cause, takes = nxt.record, CAUSES[message.key.kind], (message.key,)
    match outcome.value:
        case Status() as status:
            return nxt.enter(
                status,
                workflow,
                cause,
                data=outcome.data,
                takes=takes,
                children=outcome.children,
                labels=outcome.labels,
            )
        case Stay():
            return nxt.stay(
                cause,
                attempt=record.attempt,
                reason=record.reason if record.attempt else None,
                data=outcome.data,
                data_version=workflow.data_version,
                awaited=record.awaited,
                takes=takes,
                children=outcome.children,
                labels=outcome.labels,
            )
        case Pause(reason):
            return nxt.stay(
                Cause.PAUSE,
                run_state=RunState.PAUSED,
                attempt=record.attempt,
                reason=reason,
                data=outcome.data,
                data_version=workflow.data_version,
                awaited=record.awaited,
                takes=takes,
                labels=outcome.labels,
            )
        case Cancel(reason):
            return nxt.stay(
                Cause.CANCEL,
                run_state=RunState.CANCELLED,
                reason=reason,
                data=outcome.data,
                data_version=workflow.data_version,
                takes=takes,
                labels=outcome.labels,
            )
        case Repeat() | Park():
            raise AssertionError("only a step may lead to it, as the definition checks")
    assert_never(outcome.value)


def count_message(
    record: Record,
    message: Message,
    function: AnyFunction,
    workflow: AnyWorkflow,
    *,
    by: str,
    write_id: WriteId,
) -> MessageChange:
    """Count an attempt before it begins, as `count_attempt` does: on the message.

    If all attempts are used up, the change is that of the last failure.
    """
    if message.attempt >= function.retry.attempts:
        failed = used_up(function, message.attempt)
        nxt = Next(record, by, write_id)
        return _failed(nxt, message, failed, function, workflow, attempt=message.attempt)
    attempt = message.attempt + 1
    delay = function.retry.delay(record.run_id, attempt)
    return MessageChange(failure=_failure(message, attempt, IN_DOUBT, delay))


def was_counted(message: Message) -> bool:
    """Whether the last attempt was counted before it began, and its process has died since."""
    return message.reason == IN_DOUBT


def give_back_message(message: Message) -> MessageChange:
    """Undo `count_message`. `message` is as it was before that."""
    return MessageChange(failure=_failure(message, message.attempt, GIVEN_BACK, 0.0))


def missing_function(
    record: Record, message: Message, workflow: AnyWorkflow, *, by: str, write_id: WriteId
) -> MessageChange:
    """Decide what follows if the code has no function for a message.

    If the run's data is of a later version than the code, newer code may have the function, so the
    message waits for it. Otherwise the caller of a callback gets the error. Nobody waits for the
    other messages, so they pause their run: it is resumed when the code has the function again.
    """
    if record.data_version > workflow.data_version:
        return _held_back(message, holding_message(record, message, workflow.data_version))
    kind = message.key.kind.name.lower()
    error = f"the code has no function for the {kind} message {message.name!r} at this status"
    if message.key.kind is MessageKind.CALLBACK:
        return MessageChange(failure=_failure(message, message.attempt, error, None))
    write = Next(record, by, write_id).fail(error)
    return MessageChange(write, _failure_of_paused(message, error))


def _failed(
    nxt: Next,
    message: Message,
    failed: Failed,
    function: AnyFunction,
    workflow: AnyWorkflow,
    *,
    attempt: int,
) -> MessageChange:
    error = failed.error
    if not failed.fatal and attempt < function.retry.attempts:
        delay = function.retry.delay(nxt.record.run_id, attempt)
        return MessageChange(failure=_failure(message, attempt, error, delay))
    if function.on_failure is not None:
        write = nxt.enter(
            function.on_failure, workflow, Cause.FAILED, reason=error, takes=(message.key,)
        )
        return MessageChange(with_error(write, failed, workflow))
    if isinstance(function, Callback):
        return MessageChange(failure=_failure(message, attempt, error, None))
    paused = with_error(nxt.fail(error), failed, workflow)
    return MessageChange(paused, _failure_of_paused(message, error))


def _failure_of_paused(message: Message, error: str) -> MessageFailure:
    """Keep the message of a function that has paused its run.

    Its attempts are counted from 0, so that its function is called again when the run is resumed.
    Nothing else would move the run then.
    """
    return _failure(message, 0, error, 0.0)


def _held_back(message: Message, held: HeldBack) -> MessageChange:
    """Try the message again later. No attempt is counted."""
    return MessageChange(failure=_failure(message, message.attempt, held.reason, held.again_in))


def _failure(message: Message, attempt: int, reason: str, retry_in: float | None) -> MessageFailure:
    return MessageFailure(
        key=message.key,
        run_id=message.run_id,
        attempt=attempt,
        reason=kept(reason),
        retry_in=retry_in,
    )
