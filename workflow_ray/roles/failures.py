"""The log entry of a failed attempt."""

import logging
from typing import Any

from workflow_ray.definition import Step
from workflow_ray.engine.transition import MAX_REASON, Failed
from workflow_ray.engine.visible import visible
from workflow_ray.records import Cause, Record, RoleName, RunState, Write

log = logging.getLogger(__name__)


def log_failure(
    role: RoleName, step: Step[Any], record: Record, failed: Failed, write: Write
) -> None:
    """Log which attempt of which run failed, and what comes next.

    The last attempt is logged as an error with the traceback, and the earlier ones as warnings
    without it.
    """
    where = {
        "run_id": record.run_id,
        "foreign_id": record.foreign_id,
        "version": record.version,
        "role": role,
    }
    text = "%s: run %s (%s): step %s failed (attempt %d of %d): %s. %s"
    attempt = record.attempt + 1, step.retry.attempts
    values = (
        record.workflow,
        visible(record.foreign_id),
        record.run_id,
        step.name,
        *attempt,
        visible(failed.error[:MAX_REASON]).removesuffix("."),
        _next(step, write),
    )
    if write.cause is Cause.RETRY:
        log.warning(text, *values, extra=where)
    else:
        log.error(text, *values, exc_info=failed.raised, extra=where)


def _next(step: Step[Any], write: Write) -> str:
    if write.cause is Cause.RETRY:
        return f"Retrying in {write.events[0].delay:.1f} s."
    if write.run_state is RunState.PAUSED:
        return "No attempt follows; the run is paused."
    return f"No attempt follows; the run goes to {step.on_failure}."
