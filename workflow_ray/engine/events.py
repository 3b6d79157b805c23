"""The meaning of a step event, given the record of its run."""

from workflow_ray.records import NO_VERSION, Awaits, Event, Message, Record

CASCADE = "cascade"
"""The header of an event that asks for the cancellation of the run's children: with the value ALL
of all of them, otherwise of those that were started with `cascade=True`.
"""
ALL = "all"


def is_current(event: Event, record: Record | None) -> bool:
    """Whether the event asks for the step that the run waits for.

    An event of an earlier request is stale. The step of a parked run is not to run, even if the run
    awaits an event, which is that of a message.
    """
    return (
        record is not None
        and record.awaits is Awaits.EVENT
        and NO_VERSION < record.awaited <= event.version <= record.version
        and not record.parked
    )


def has_messages(record: Record | None) -> bool:
    """Whether any event of the run means that its inbox is to be read."""
    return record is not None and record.messages > 0 and not record.run_state.at_rest


def is_accepted(message: Message, record: Record) -> bool:
    """Whether the run is at a status, and in a visit, that accepts a message that waits."""
    return record.status in message.statuses and message.visit in (None, record.visit)


def is_cascade(event: Event, record: Record | None) -> bool:
    """Whether the event asks for the cancellation of the run's children.

    Its header says so, because the run may have been written again since it was cancelled, for
    example to delete its data.
    """
    return (
        CASCADE in event.headers and record is not None and (record.cascades or cancels_all(event))
    )


def cancels_all(event: Event) -> bool:
    """Whether a cascade cancels all children, however they were started."""
    return event.headers.get(CASCADE) == ALL


def is_awaited(event: Event, record: Record | None) -> bool:
    """Whether the run waits for the event: it asks for the step, or for a look into the inbox."""
    if event.version > NO_VERSION and not (record is not None and record.parked):
        return is_current(event, record)
    return record is not None and record.awaits is Awaits.EVENT and has_messages(record)


def is_ahead(event: Event, record: Record | None) -> bool:
    """Whether the record was read from a snapshot older than the event."""
    return record is None or record.version < event.version
