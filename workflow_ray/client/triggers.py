"""Triggers: what a caller asks for, the write that it leads to, and its outcome."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.inputs import checked_data, checked_key, checked_start
from workflow_ray.client.writer import Writer
from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.definition.labels import checked_labels
from workflow_ray.engine.announcements import announcing, asked_states
from workflow_ray.engine.idempotency import digest_of
from workflow_ray.engine.runs import first_write
from workflow_ray.errors import InvalidInput
from workflow_ray.records import (
    BATCH_DATA,
    ActiveRun,
    ChildRefused,
    Conflict,
    KeyUsed,
    MessageGone,
    RunId,
    Stored,
    Version,
    Write,
    WriteResult,
    new_run_id,
    new_write_id,
)

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

BATCH = 500
"""The largest number of runs that one call to the store starts."""


@dataclass(frozen=True)
class Trigger(Generic[D, S]):
    """A run to start.

    Args:
        foreign_id: The caller's key, 1 to 255 characters. At most one unfinished run has it.
        data: The run's data.
        start_at: The first status. None: the workflow's start.
        idempotency_key: 1 to 255 characters, unique per workflow, for good. A trigger that is
            repeated with it gets the first run, finished or not. With another foreign id,
            `start_at` or data it is refused. None: the trigger has no key.
        delay: How long the step of the first status waits, in seconds or as a timedelta.
        labels: Short texts by which the run is found, by name. See `Client.trigger`. None: it has
            none.
    """

    foreign_id: str
    data: D
    start_at: S | None = None
    idempotency_key: str | None = None
    delay: Duration = 0.0
    labels: Mapping[str, str] | None = None


class TriggerOutcome(Enum):
    """What a trigger led to."""

    STARTED = "started"
    """A new run."""
    KNOWN = "known"
    """The run that an earlier trigger with the same idempotency key started. It may be finished."""
    ACTIVE = "active"
    """The unfinished run that has the foreign id. Nothing was started."""
    KEY_REUSED = "key_reused"
    """The run that has the idempotency key. It was triggered with another foreign id, start_at or
    data. Nothing was started.
    """


def write_of(workflow: Workflow[D, S], trigger: Trigger[D, S], writer: Writer) -> Write:
    """Check a trigger and make the first write of its run. Raises InvalidInput."""
    foreign_id = checked_key("foreign_id", trigger.foreign_id)
    data = checked_data(workflow, trigger.data)
    start = checked_start(workflow, trigger.start_at)
    labels = None if trigger.labels is None else checked_labels("labels", trigger.labels)
    key = digest = None
    if (given := writer.key(trigger.idempotency_key, foreign_id)) is not None:
        key = checked_key("idempotency_key", given)
        named = None if trigger.start_at is None else start.value
        digest = digest_of(foreign_id, data, named)
    write = first_write(
        workflow,
        foreign_id,
        data,
        start,
        run_id=new_run_id(),
        write_id=new_write_id(),
        by=writer.by,
        idempotency_key=key,
        digest=digest,
        delay=seconds_of("delay", trigger.delay),
        labels=labels,
    )
    graph = workflow.checked()
    return announcing(asked_states(graph), None, write) if graph.hooks else write


def numbered_write_of(
    workflow: Workflow[D, S], number: int, trigger: Trigger[D, S], writer: Writer
) -> Write:
    """As `write_of`, for one of several triggers. Raises InvalidInput, which names its number."""
    if not isinstance(trigger, Trigger):  # pyright: ignore[reportUnnecessaryIsInstance]  # of a caller without types
        raise InvalidInput(
            f"triggers[{number}]", f"it must be a Trigger, not {type(trigger).__name__}"
        )
    try:
        return write_of(workflow, trigger, writer)
    except InvalidInput as error:
        raise InvalidInput(f"triggers[{number}]: {error.what}", error.why) from None


def batches(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """Split the writes, in order, into batches of bounded number and size."""
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


def outcome_of(result: WriteResult, *, is_reused: bool) -> tuple[RunId, TriggerOutcome]:
    """Return the run that a trigger led to, and the outcome.

    Args:
        result: The store's answer to the trigger's write.
        is_reused: The trigger's key was first used for another trigger.
    """
    match result:
        case Stored(run_id):
            return run_id, TriggerOutcome.STARTED
        case KeyUsed(_, first):
            return first, TriggerOutcome.KEY_REUSED if is_reused else TriggerOutcome.KNOWN
        case ActiveRun(_, active):
            return active, TriggerOutcome.ACTIVE
        case Conflict(run_id):
            raise AssertionError(f"run id {run_id} was taken: a UUIDv7 can't repeat")
        case ChildRefused() | MessageGone():
            raise AssertionError("a trigger has no children and takes no messages")


def key_of(write: Write) -> str | None:
    """Return the idempotency key of a trigger's write."""
    return None if write.new is None else write.new.idempotency_key


def under_way(write: Write, outcome: TriggerOutcome) -> Version | None:
    """Return the version of a run that was started now. None if it is not new, or ended at once."""
    return (
        write.version if outcome is TriggerOutcome.STARTED and not write.run_state.at_rest else None
    )
