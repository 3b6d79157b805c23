"""Starting runs: what is asked for, and what came of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.inputs import checked_data, checked_key, checked_start
from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.runs import first_write
from workflow_ray.records import (
    BATCH_DATA,
    ActiveRun,
    Conflict,
    KeyUsed,
    Stored,
    Write,
    WriteResult,
    new_run_id,
    new_write_id,
)

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

BATCH = 500
"""Runs triggered by one call to the store."""


@dataclass(frozen=True)
class Trigger(Generic[D, S]):
    """A run to start.

    Args:
        foreign_id: The caller's key, 1 to 255 characters; at most one unfinished run has it.
        data: The run's data.
        start_at: The first status; None: the workflow's start.
        idempotency_key: Unique per workflow, for good: whoever triggers with it again gets the
            first run, finished or not.
    """

    foreign_id: str
    data: D
    start_at: S | None = None
    idempotency_key: str | None = None


class TriggerOutcome(Enum):
    STARTED = "started"
    KNOWN = "known"
    """The idempotency key belongs to a run already, maybe a finished one."""
    ACTIVE = "active"
    """The foreign id has an unfinished run already."""


def write_of(workflow: Workflow[D, S], trigger: Trigger[D, S], by: str) -> Write:
    """The first write of a trigger's run. Raises InvalidInput."""
    key = trigger.idempotency_key
    return first_write(
        workflow,
        checked_key("foreign_id", trigger.foreign_id),
        checked_data(workflow, trigger.data),
        checked_start(workflow, trigger.start_at),
        run_id=new_run_id(),
        write_id=new_write_id(),
        by=by,
        idempotency_key=None if key is None else checked_key("idempotency_key", key),
    )


def batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """The writes in order, in batches of bounded number and size."""
    batch: list[Write] = []
    size = 0
    for write in writes:
        batch.append(write)
        size += len(write.data or b"")
        if len(batch) == BATCH or size > BATCH_DATA:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def outcome_of(result: WriteResult) -> tuple[str, TriggerOutcome]:
    """The run that a trigger leads to, and how."""
    match result:
        case Stored(run_id):
            return run_id, TriggerOutcome.STARTED
        case KeyUsed(_, first):
            return first, TriggerOutcome.KNOWN
        case ActiveRun(_, active):
            return active, TriggerOutcome.ACTIVE
        case Conflict(run_id):
            raise AssertionError(f"run id {run_id} was taken: a UUIDv7 can't repeat")
