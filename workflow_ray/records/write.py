"""What roles and clients ask a record store to write, and its answers."""

from typing import TypeAlias

import msgspec

from workflow_ray.records.event import Event, OutgoingEvent
from workflow_ray.records.ids import NO_VERSION, RoleName, RunId, Version, WriteId
from workflow_ray.records.position import Position
from workflow_ray.records.record import Record
from workflow_ray.records.role import Fence
from workflow_ray.records.run_state import Awaits, Cause, RunState
from workflow_ray.records.timeout import NewTimeout


class NewRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is written once, with a run's first version."""

    workflow: str
    foreign_id: str
    partition: int
    idempotency_key: str | None = None
    digest: bytes | None = None  # of what the key is used for; stored with the key


class Write(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The next version of one run: its record, its history entry, its events and its timeouts, all
    or nothing.
    """

    run_id: RunId
    write_id: WriteId
    expected: Version  # the version it builds on; NO_VERSION: the run is new, and `new` is set
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
    # of the visit `visit`; their due times are fixed at the commit
    timeouts: tuple[NewTimeout, ...] = ()
    awaits: Awaits = Awaits.EVENT
    # this write asks for a step: the record's `awaited` becomes the version that it makes
    asks: bool = False

    @property
    def version(self) -> Version:
        """The version that this write makes."""
        return Version(self.expected + 1)

    def onto(self, record: Record) -> Record:
        """The record once this has landed on it; its times stay as they were."""
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
            awaited=self.version if self.asks else record.awaited,
            data=record.data if self.data is None else self.data,
        )

    @property
    def creates(self) -> bool:
        return self.expected == NO_VERSION


class WriteGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Writes that commit with the positions that they account for.

    Conflicts leave single writes out; a lost fence all of it.
    """

    writes: tuple[Write, ...] = ()
    positions: tuple[Position, ...] = ()
    fence: Fence | None = None  # None: a client's
    # put into the outbox as they are, at once: what a stream lost is sent again
    events: tuple[Event, ...] = ()
    # another store holds the timeouts: those of the writes go into the outbox, as entries of their
    # own kind
    timeouts_apart: bool = False


class Stored(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Committed; or had been, by an earlier send of the same write."""

    run_id: RunId
    version: Version


class Conflict(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Left out: the record is at version `found`, not at the one expected.

    NO_VERSION: the run does not exist.
    """

    run_id: RunId
    found: Version


class KeyUsed(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Left out: the idempotency key belongs to the run `first`, which may be long finished."""

    run_id: RunId
    first: RunId
    digest: bytes | None = None  # stored with the key by that run; None: it stored none


class ActiveRun(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Left out: the foreign id has the unfinished run `active`."""

    run_id: RunId
    active: RunId


WriteResult: TypeAlias = Stored | Conflict | KeyUsed | ActiveRun


class Committed(msgspec.Struct, frozen=True, tag=True):
    """One result for each write of the group, in order; the group's positions stand."""

    results: tuple[WriteResult, ...]


class Fenced(msgspec.Struct, frozen=True, tag=True):
    """Nothing of the group was written: the role has a newer holder, at epoch `current`."""

    role: RoleName
    current: int


GroupResult: TypeAlias = Committed | Fenced
