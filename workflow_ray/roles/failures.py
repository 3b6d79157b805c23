"""The log entry of a failed attempt."""

import logging

from workflow_ray.definition import Callback, ChildFunction, ChildrenFunction, TimeoutFunction
from workflow_ray.engine.next_version import MAX_REASON
from workflow_ray.engine.transition import AnyFunction, Failed, HeldBack
from workflow_ray.engine.visible import visible
from workflow_ray.records import Cause, RoleName, RunState
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.result import Result

log = logging.getLogger(__name__)


def log_failure(
    role: RoleName, attempt: Attempt, failed: Failed | HeldBack, result: Result
) -> None:
    """Log which attempt of which run failed, and what comes next.

    The last attempt is logged as an error with the traceback, and the earlier ones as warnings
    without it. A run that was held back is logged as information.
    """
    record, function = attempt.record, attempt.function
    where = {
        "run_id": record.run_id,
        "foreign_id": record.foreign_id,
        "version": record.version,
        "role": role,
    }
    if isinstance(failed, HeldBack):
        run = (record.workflow, visible(record.foreign_id), record.run_id)
        log.info("%s: run %s (%s) is held back: %s", *run, visible(failed.reason), extra=where)
        return
    failures = record.attempt if attempt.message is None else attempt.message.attempt
    values = (
        record.workflow,
        visible(record.foreign_id),
        record.run_id,
        _named(function),
        failures + 1,
        1 if function is None else function.retry.attempts,
        visible(failed.error[:MAX_REASON]).removesuffix("."),
        _next(function, result),
    )
    text = "%s: run %s (%s): %s failed (attempt %d of %d): %s. %s"
    if _delay(result) is not None:
        log.warning(text, *values, extra=where)
    else:
        log.error(text, *values, exc_info=failed.raised, extra=where)


def _named(function: AnyFunction | None) -> str:
    match function:
        case None:
            return "a message"
        case Callback():
            kind = "callback"
        case TimeoutFunction():
            kind = "timeout"
        case ChildFunction() | ChildrenFunction():
            kind = "function"
        case _:
            kind = "step"
    return f"{kind} {function.name}"


def _next(function: AnyFunction | None, result: Result) -> str:
    if (delay := _delay(result)) is not None:
        return f"Retrying in {delay:.1f} s."
    if result.write is None:
        return "No attempt follows; the run stays where it is."
    if result.write.run_state is RunState.PAUSED:
        return "No attempt follows; the run is paused."
    return f"No attempt follows; the run goes to {function.on_failure if function else None}."


def _delay(result: Result) -> float | None:
    """The seconds until the next attempt. None: no attempt follows."""
    if result.write is None:
        return result.failure.retry_in if result.failure is not None else None
    return result.write.events[0].delay if result.write.cause is Cause.RETRY else None
