"""Runs whose data newer code has written: they are held back until such code goes on with them."""

from workflow_ray.definition import Retry
from workflow_ray.engine.error_text import leaves_of
from workflow_ray.engine.held_back import times_postponed
from workflow_ray.engine.transition import HeldBack
from workflow_ray.errors import NewerData
from workflow_ray.errors.data import newer_text
from workflow_ray.records import Event, Message, Record

HOLD = Retry(backoff=1.0, factor=2.0, max_backoff=30.0)
"""When a run that was held back is tried again."""

HOLD_EVENT = Retry(backoff=30.0, factor=1.0)
"""When the event of a hook or of a connector is delivered again, if it was held back."""


def newer_data_in(error: BaseException) -> NewerData | None:
    """Return the error that says that data is of a later version, alone or in a group of errors."""
    return next((one for one in leaves_of(error) if isinstance(one, NewerData)), None)


def holding(error: NewerData, record: Record, event: Event, message: Message | None) -> HeldBack:
    """Hold a run back, or a message to it, because its data can't be read here.

    Args:
        error: Why not.
        record: The run.
        event: The event that has led to the attempt.
        message: The message whose function was to be called. None: it was the step.
    """
    times = _times(record, event) if message is None else _times_of(message)
    return HeldBack(error.why, HOLD.delay(record.run_id, times))


def holding_message(record: Record, message: Message, known: int) -> HeldBack:
    """Hold back a message for which the code has no function. Newer code may have it.

    Args:
        record: The run.
        message: The message.
        known: The data version of the code, which is lower than the run's.
    """
    why = newer_text(record.data_version, known)
    return HeldBack(why, HOLD.delay(record.run_id, _times_of(message)))


def _times(record: Record, event: Event) -> int:
    """The number of this time, from 1. Each was a version of the visit, or the event came back."""
    return record.version - record.visit + 1 + times_postponed(event)


def _times_of(message: Message) -> int:
    """Nothing counts how often a message was held back, so the time that it has waited tells it."""
    waited = (message.due_at or message.posted_at) - message.posted_at
    return int(waited.total_seconds()).bit_length() + 1
