"""How a failed attempt is told in the log."""

import logging
from typing import Any

from workflow_ray.definition import Step
from workflow_ray.engine.transition import Failed
from workflow_ray.records import Cause, Record, RoleName, RunState, Write

log = logging.getLogger(__name__)


def log_failure(role: RoleName, step: Step[Any], record: Record, failed: Failed, write: Write) -> None:
    """Say which attempt of which run failed, and what becomes of the run."""
    where = {"run_id": record.run_id, "version": record.version, "role": role}
    attempt = f"attempt {record.attempt + 1} of {step.retry.attempts}"
    text = "%s: step %s failed for run %s at version %d (%s): %s. %s"
    told = record.workflow, step.name, record.run_id, record.version, attempt, failed.error, _next(step, write)
    log.warning(text, *told, exc_info=failed.raised, extra=where)


def _next(step: Step[Any], write: Write) -> str:
    if write.cause is Cause.RETRY:
        return f"Retrying in {write.events[0].delay:.1f} s."
    if write.run_state is RunState.PAUSED:
        return "No attempt is left; the run is paused."
    return f"No attempt is left; the run goes to {step.on_failure}."
