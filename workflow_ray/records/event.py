"""What travels between a transition and the role that it wakes."""

from datetime import datetime

import msgspec

from workflow_ray.records.ids import RunId, Topic, Version
from workflow_ray.records.record import Record
from workflow_ray.records.timeout import Timeout


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Run R reached version V at status S; never the data.

    Fields are only added, with a default: old code reads new events.
    """

    run_id: RunId
    topic: Topic
    partition: int
    version: Version  # behind the record's: stale, dropped; ahead of it: look again on the writer
    status: int  # the stored number: a role that doesn't know the status can pass it on
    headers: dict[str, str] = {}  # trace context


class OutgoingEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event as a write asks for it: run, version and status are the write's."""

    topic: Topic
    partition: int
    delay: float = 0.0  # seconds from the commit, by the store's clock, until it may be published
    headers: dict[str, str] = {}


class OutboxEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event committed with its record and not yet published; or a timeout that is still to be
    created in another store.
    """

    id: int  # names the entry; no order is to be read from it
    event: Event | None = None
    timeout: Timeout | None = None  # exactly one of `event` and `timeout` is there
    due_at: datetime | None = None  # None: publish now


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event read from a stream.

    `record` is None where the stream's store doesn't hold the records, or has no such run.
    """

    event: Event
    offset: int  # in its topic and partition, from 0
    record: Record | None = None


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """What one `receive` has found."""

    events: tuple[Received, ...] = ()
    read: dict[int, int] = {}
    """The offset to read from next, for each partition that was read. Everything below it was
    answered here or earlier, is not an event (a foreign message, an aborted transaction), or is
    gone.
    """
    lost: dict[int, int] = {}
    """Partitions whose log ends below the offset asked for, each with that end: it lost its tail,
    or was made again.
    """
