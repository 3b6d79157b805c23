"""Questions to a record store."""

from datetime import datetime

import msgspec

from workflow_ray.records.event import Event
from workflow_ray.records.ids import RunId
from workflow_ray.records.run_state import Cause, RunState


class RunQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a workflow's runs, by run id and so by time of creation.

    Filters left out don't filter; all given must hold.
    """

    workflow: str
    statuses: tuple[int, ...] = ()  # any of them
    run_states: tuple[RunState, ...] = ()  # any of them
    foreign_id: str | None = None
    created_from: datetime | None = None  # inclusive
    created_before: datetime | None = None
    causes: tuple[Cause, ...] = ()  # of the last write: any of them
    updated_before: datetime | None = None  # the last write, exclusive
    newest_first: bool = False
    after: RunId | None = None  # the last run of the page before, not itself included
    limit: int = 500


class RunCount(msgspec.Struct, frozen=True):
    """How many runs of a workflow stand at a status in a run_state."""

    status: int
    run_state: RunState
    runs: int


class WaitingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A look at the runs of one partition that await an event and have none in the outbox."""

    workflow: str
    partition: int
    quiet: float  # seconds since the run was last written, at least
    after: RunId | None = None  # where the look before ended; None: from the beginning
    limit: int = 500  # runs that one look goes through at most, whether or not it answers them


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What a look has found, by run id."""

    # those that should have woken the runs: the topic is the status's, the version the record's
    # `awaited`
    events: tuple[Event, ...] = ()
    after: RunId | None = None  # where the next look goes on; None: this one reached the end
