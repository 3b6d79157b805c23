"""Runs that are held back again for the same reason: their event comes back later, and they get no
further version. Pure.
"""

from workflow_ray.engine.next_version import kept
from workflow_ray.engine.transition import HeldBack
from workflow_ray.records import Cause, Event, Postponed, Record

HELD = "held"
"""The header of an event that came back so, which says how often."""


def is_held_as_before(record: Record, held: HeldBack) -> bool:
    """Whether the run's last version says already that it is held back, and why."""
    return record.cause is Cause.PARKED and record.reason == kept(held.reason)


def times_postponed(event: Event) -> int:
    """How often the event has come back for a run that was held back as before."""
    return int(event.headers.get(HELD, "0"))


def postponed(record: Record, event: Event, held: HeldBack) -> Postponed:
    """Let the event that asks for a run's step come back later.

    Args:
        record: The run.
        event: The event that has led to the attempt.
        held: For how long it is held back.
    """
    again = Event(
        run_id=record.run_id,
        topic=event.topic,
        partition=event.partition,
        version=record.awaited,
        status=record.status,
        headers={**event.headers, HELD: str(times_postponed(event) + 1)},
    )
    return Postponed(event=again, delay=held.again_in)
