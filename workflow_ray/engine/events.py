"""The meaning of a step event, given the record of its run."""

from workflow_ray.records import Awaits, Event, Record


def is_current(event: Event, record: Record | None) -> bool:
    """Whether the event asks for the step that the run waits for.

    An event of an earlier request is stale.
    """
    return (
        record is not None
        and record.awaits is Awaits.EVENT
        and record.awaited <= event.version <= record.version
    )


def is_ahead(event: Event, record: Record | None) -> bool:
    """Whether the record was read from a snapshot older than the event."""
    return record is None or record.version < event.version
