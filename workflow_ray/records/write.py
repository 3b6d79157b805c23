"""The writes of a record store, and its answers."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from workflow_ray.records.event import Event, OutgoingEvent, Postponed
from workflow_ray.records.family import Gathering, Link
from workflow_ray.records.ids import NO_VERSION, RoleName, RunId, Topic, Version, WriteId
from workflow_ray.records.message import (
    MessageFailure,
    MessageKey,
    NewMessage,
    OnceAnswer,
    OnceResult,
    PostResult,
)
from workflow_ray.records.parking import Parking
from workflow_ray.records.position import Position
from workflow_ray.records.record import ErrorDetail, Record
from workflow_ray.records.removal import Removal
from workflow_ray.records.role import Fence
from workflow_ray.records.run_state import Awaits, Cause, RunState
from workflow_ray.records.set_aside import NewSetAside, SetAsideKey
from workflow_ray.records.timeout import NewTimeout


class NewRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What only a run's first version has."""

    workflow: str
    foreign_id: str
    partition: int
    idempotency_key: str | None = None
    digest: bytes | None = None  # of what the key is used for, stored with the key


class Write(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Makes the next version of one run: its record, history entry, events and timeouts, all or
    nothing.
    """

    run_id: RunId
    write_id: WriteId
    expected: Version  # the version that it builds on; NO_VERSION: the run is new, `new` is given
    status: int
    run_state: RunState
    visit: Version
    cause: Cause
    by: str
    attempt: int = 0
    reason: str | None = None
    data: bytes | None = None  # None: unchanged; never None in a new run
    new: NewRun | None = None
    events: tuple[OutgoingEvent, ...] = ()
    # timeouts of the visit `visit`; their due times are fixed at the commit
    timeouts: tuple[NewTimeout, ...] = ()
    awaits: Awaits = Awaits.EVENT
    # whether it asks for a step: then the record's `awaited` becomes the version that it makes
    asks: bool = False
    # the record's `awaited` if it does not ask for a step: that of the record that it builds on, if
    # the step that was asked for is still to run
    awaited: Version = NO_VERSION
    takes: tuple[MessageKey, ...] = ()  # messages of the run that it settles as TAKEN
    children: "tuple[NewChild, ...]" = ()
    gatherings: tuple[Gathering, ...] = ()  # of the status that it enters
    error: ErrorDetail | None = None  # only the history keeps it
    # all labels of the run; None: unchanged; in a new run: none
    labels: dict[str, str] | None = None
    data_version: int = 1  # of `data`; without data the record's stays
    # the record's, as they are to be after the write
    parking: Parking | None = None
    parked: bool = False
    # whether what earlier versions hold of the user's is cleared in the same transaction: data,
    # reasons and errors of the history, payloads and errors of the messages, results of `once`
    erases: bool = False

    @property
    def version(self) -> Version:
        """The version that this write makes."""
        return Version(self.expected + 1)

    def onto(self, record: Record) -> Record:
        """Return the record with this write applied. Its times stay as they are."""
        return msgspec.structs.replace(
            record,
            status=self.status,
            run_state=self.run_state,
            version=self.version,
            visit=self.visit,
            attempt=self.attempt,
            cause=self.cause,
            reason=self.reason,
            awaits=self.awaits,
            awaited=self.version if self.asks else self.awaited,
            data=record.data if self.data is None else self.data,
            data_version=record.data_version if self.data is None else self.data_version,
            labels=record.labels if self.labels is None else self.labels,
            parking=self.parking,
            parked=self.parked,
        )

    @property
    def creates(self) -> bool:
        """Whether it is a run's first write."""
        return self.expected == NO_VERSION

    def wakes(self, topic: Topic) -> bool:
        """Whether one of its events goes to the topic without a delay."""
        return any(event.topic == topic and event.delay <= 0 for event in self.events)


class NewChild(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A run that a write starts as a child of its own run: both are written, or neither."""

    write: Write  # the child's first version; it has no children and no idempotency key
    link: Link
    joins: bool = False  # if its foreign id has an unfinished run, that run becomes the child


class WriteGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Writes that are committed together with the positions that they account for.

    A conflict leaves out one write. A lost fence leaves out the whole group.
    """

    writes: tuple[Write, ...] = ()
    positions: tuple[Position, ...] = ()
    fence: Fence | None = None  # None: a client's group
    # events that go into the outbox as they are, because a stream has lost them
    events: tuple[Event, ...] = ()
    # events that go into the outbox as they are, because their runs are held back as before
    postponed: tuple[Postponed, ...] = ()
    # whether another store holds the timeouts: then those of the writes go into the outbox, as
    # entries of their own kind
    timeouts_apart: bool = False
    messages: tuple[NewMessage, ...] = ()
    failures: tuple[MessageFailure, ...] = ()
    results: tuple[OnceResult, ...] = ()
    # workflows of which up to 500 messages that have expired are settled
    expires: tuple[str, ...] = ()
    set_aside: tuple[NewSetAside, ...] = ()
    taken_back: tuple[SetAsideKey, ...] = ()  # entries to remove
    removals: tuple[Removal, ...] = ()


class Stored(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write was committed, now or by an earlier call with the same write."""

    run_id: RunId
    version: Version


class Conflict(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write was left out: the record is at version `found`, not at the one expected.

    NO_VERSION: the run does not exist.
    """

    run_id: RunId
    found: Version


class KeyUsed(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write was left out: the run `first` has its idempotency key. It may be long finished."""

    run_id: RunId
    first: RunId
    digest: bytes | None = None  # as `first` stored it with the key; None: it stored none


class ActiveRun(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write was left out: its foreign id has the unfinished run `active`."""

    run_id: RunId
    active: RunId


class ChildRefused(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write was left out, with all its children: the foreign id of one of them has the
    unfinished run `active`, and that child does not join it, or `active` is its own parent.
    """

    run_id: RunId
    foreign_id: str
    active: RunId


class MessageGone(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The write was left out: the message that it takes does not wait any more."""

    run_id: RunId
    key: MessageKey


WriteResult: TypeAlias = Stored | Conflict | KeyUsed | ActiveRun | ChildRefused | MessageGone


class Committed(msgspec.Struct, frozen=True, tag=True):
    """The group was committed, with its positions. The answers are in the order of what they
    answer.
    """

    results: tuple[WriteResult, ...]  # one for each write
    posts: tuple[PostResult, ...] = ()  # one for each message
    once: tuple[OnceAnswer, ...] = ()  # one for each of the group's `results`
    # for each of the group's removals, how many it has removed: runs, histories that had more than
    # one entry, idempotency keys and messages, added up
    removed: tuple[int, ...] = ()
    # for each of the group's removals, what the next one has as its `keys_after`, so that it does
    # not look again at keys that stay; "": no keys are left to remove. Empty: the store can't tell,
    # so none are left when a removal has removed nothing
    keys_left: tuple[str, ...] = ()


class Fenced(msgspec.Struct, frozen=True, tag=True):
    """The group was refused: the role has a newer holder, with the epoch `current`."""

    role: RoleName
    current: int


GroupResult: TypeAlias = Committed | Fenced


def refuse_child(
    write: Write,
    own: tuple[str, str] | None,
    unfinished: Callable[[tuple[str, str]], RunId | None],
) -> ChildRefused | None:
    """Refuse a write with a child whose foreign id is taken, also by another one of its children,
    or by the run itself. None: all its children can be started or joined.

    Args:
        write: The write, as `check_group` accepts it.
        own: Workflow and foreign id of the run if it is unfinished until the write, or new.
        unfinished: Returns the unfinished run of a workflow and foreign id before the write.
    """
    active: dict[tuple[str, str], RunId | None] = {}
    if own is not None:
        active[own] = None if write.run_state.finished else write.run_id
    for child in write.children:
        new = child.write.new
        assert new, "check_group has refused it"
        key = new.workflow, new.foreign_id
        holder = active[key] if key in active else unfinished(key)
        if holder is not None and (not child.joins or holder == write.run_id):
            return ChildRefused(write.run_id, new.foreign_id, holder)
        active[key] = holder or child.write.run_id
    return None
