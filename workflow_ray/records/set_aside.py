"""Entries that a group has set aside, so that the events after them are not held up."""

from datetime import datetime

import msgspec

from workflow_ray.errors import EncodedData
from workflow_ray.records.connector import ConnectorEvent
from workflow_ray.records.encoded import why_unreadable
from workflow_ray.records.event import Event
from workflow_ray.records.role import Fence


class SetAsideKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """Names an entry: an event of a log that a group reads."""

    group: str
    partition: int
    offset: int
    log: str = ""  # the id of the log that the offset counts in
    incarnation: int = 0


class SetAsideEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the `event` of an entry holds, as JSON. New fields have a default."""

    connector: ConnectorEvent | None = None  # of a connector
    # the bytes of its data, which was left out because it is too large to be kept
    left_out: int = 0
    # of the hooks of a workflow: the event, and the names of the hooks
    run: Event | None = None
    hooks: tuple[str, ...] = ()  # those that are still to be called
    given_up: tuple[str, ...] = ()  # those that have failed for good
    # the holder of the role that runs the function for it now; if it is not the current holder, its
    # process may have died of that
    running: Fence | None = None


class NewSetAside(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sets an event aside, or changes an entry that exists."""

    key: SetAsideKey
    event_id: str
    event: bytes  # a SetAsideEvent as JSON
    attempt: int  # failed attempts so far
    error: str = ""  # of the last one
    retry_in: float | None = None  # seconds from the commit; None: a dead letter


_read_event = msgspec.json.Decoder(SetAsideEvent).decode


def read_set_aside(workflow: str, event: bytes) -> SetAsideEvent:
    """Read the `event` of an entry. Raises EncodedData: a codec has encoded it."""
    if why := why_unreadable(event):
        raise EncodedData(workflow, "", why)
    return _read_event(event)


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is stored. New fields have a default."""

    key: SetAsideKey
    event_id: str
    event: bytes
    attempt: int
    error: str = ""
    due_at: datetime | None = None  # of the next attempt, by the store's clock; None: a dead letter
    set_aside_at: datetime  # when the entry was made
    changed_at: datetime


class SetAsideQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a page of a group's entries, by partition, log, incarnation and offset.

    With `due`: those with a due time, by due time; the page begins with the earliest, also if it is
    not due yet.
    """

    group: str
    due: bool = False
    dead: bool = False  # only dead letters
    event_id: str | None = None
    partitions: tuple[int, ...] | None = None  # None: all
    # the last entry of the previous page, exclusive; not with `due`
    after: SetAsideKey | None = None
    limit: int = 500
