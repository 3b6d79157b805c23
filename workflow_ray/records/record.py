"""Records: runs as they are stored, and their history."""

from datetime import datetime

import msgspec

from workflow_ray.records.ids import RunId, Version, WriteId
from workflow_ray.records.parking import Parking
from workflow_ray.records.run_state import Awaits, Cause, RunState

DELETED = b""
"""Takes the place of data that was deleted. No data is empty: it is JSON."""


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The error of a failed attempt, as the history keeps it."""

    type: str  # the class, such as "httpx.ConnectTimeout"
    message: str
    trace: str | None = None  # the newest lines of the traceback; None: not kept


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A run as it is stored. New fields have a default."""

    run_id: RunId
    workflow: str
    foreign_id: str
    status: int  # the stored number
    run_state: RunState
    version: Version
    visit: Version  # the version at which the run entered its status
    # failed attempts since the run entered its status or its step last returned, as with Repeat
    attempt: int = 0
    cause: Cause  # of the last write
    reason: str | None = None  # of a halt or a control, or the error of the last failed attempt
    partition: int
    data: bytes  # JSON, UTF-8; DELETED: it was deleted, and nothing of it is kept
    idempotency_key: str | None = None
    awaits: Awaits = Awaits.EVENT
    # the version whose write asked for the step; a step event of an earlier version is stale;
    # NO_VERSION: no step is to run
    awaited: Version = Version(0)
    messages: int = 0  # that wait in its inbox; raised and lowered without a version
    has_results: bool = False  # results of `once` are stored for its visit
    has_parents: bool = False  # another run has started it, or joined it
    cascades: bool = False  # it has children that are cancelled with it
    labels: dict[str, str] = {}
    data_version: int = 1  # of the model that wrote the data
    parking: Parking | None = None  # None: flow control does not order it at its status
    parked: bool = False  # its step is not to run until it is admitted
    created_at: datetime  # UTC by the store's clock, like every time here
    updated_at: datetime


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version of a run. Entries never change.

    A run has one entry for each version, from 1 to the version of its record.
    """

    run_id: RunId
    version: Version
    status: int
    run_state: RunState
    cause: Cause
    by: str  # the name of the role or the client that wrote it
    reason: str | None = None  # of a halt or a control, or the error of a failed attempt
    at: datetime
    write_id: WriteId
    data: bytes | None = None  # None: as in the previous version; DELETED: it was deleted
    data_version: int = 1  # of the data, if it has some
    error: ErrorDetail | None = None  # of a failed attempt
