"""Events: what a transition sends to the role that it wakes."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from workflow_ray.records.ids import RunId, Topic, Version
from workflow_ray.records.record import Record
from workflow_ray.records.timeout import Timeout


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Says that a run reached a version at a status, or that it has a message. It never carries the
    data.

    New fields have a default, because earlier code reads new events.
    """

    run_id: RunId
    topic: Topic
    partition: int
    # below the record's: stale; above it: the record was read from an old snapshot; NO_VERSION: it
    # asks for no step, the run has a message
    version: Version
    status: int  # the stored number, so that a role can pass on a status that it does not know
    headers: dict[str, str] = {}  # trace context


class OutgoingEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event that a write asks for. Its run, version and status are those of the write."""

    topic: Topic
    partition: int
    delay: float = 0.0  # seconds from the commit, by the store's clock, until it may be published
    headers: dict[str, str] = {}


class Postponed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event that goes back into the outbox, without a version of its run."""

    event: Event
    delay: float  # seconds from the commit, by the store's clock, until it may be published


class OutboxEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event that is committed with its record and not yet published.

    Or a timeout that is not yet created in another store.
    """

    id: int  # names the entry; ids say nothing about the order
    event: Event | None = None
    timeout: Timeout | None = None  # exactly one of `event` and `timeout` is given
    due_at: datetime | None = None  # None: publish it now


def asks_for(entry: OutboxEntry, steps: Mapping[RunId, Version]) -> bool:
    """Whether an entry's event asks for one of these steps, each named by run and version."""
    event = entry.event
    return event is not None and steps.get(event.run_id) == event.version


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event read from a stream.

    `record` is None if the stream's store does not hold the records, or does not have the run.
    """

    event: Event
    offset: int  # in its topic and partition, from 0
    record: Record | None = None


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one `receive`."""

    events: tuple[Received, ...] = ()
    read: dict[int, int] = {}
    """For each partition that was read: the offset to read from next. Everything below it was
    answered here or earlier, is not an event (a foreign message, an aborted transaction), or is
    gone.
    """
    lost: dict[int, int] = {}
    """Partitions whose log ends below the offset asked for, each with that end. The log lost its
    tail, or was made again.
    """
