"""Queries of a record store, and their answers."""

from datetime import datetime

import msgspec

from workflow_ray.records.event import Event
from workflow_ray.records.ids import NO_VERSION, RunId, Version
from workflow_ray.records.record import Record
from workflow_ray.records.run_state import Cause, RunState


class RunQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a page of a workflow's runs, by run id and so by time of creation.

    A run must pass all filters that are given.
    """

    workflow: str
    statuses: tuple[int, ...] = ()  # any of these; empty: not filtered
    run_states: tuple[RunState, ...] = ()  # any of these; empty: not filtered
    foreign_id: str | None = None
    created_from: datetime | None = None  # inclusive
    created_before: datetime | None = None  # exclusive
    causes: tuple[Cause, ...] = ()  # any of these for the last write; empty: not filtered
    updated_before: datetime | None = None  # of the last write, exclusive
    parent: RunId | None = None  # only children of this run, of any of its visits
    since: Version = (
        NO_VERSION  # with `parent`: those that it started or joined at this version or later
    )
    cascading: bool = False  # with `parent`: only those that are cancelled with it
    child: RunId | None = None  # only parents of this run
    labels: dict[str, str] = {}  # only runs that have all of these labels, with these values
    newest_first: bool = False
    after: RunId | None = None  # the last run of the previous page, exclusive
    limit: int = 500

    def admits(self, record: Record) -> bool:
        """Whether a run passes the filters, but for those by parents and children: a link lasts."""
        return (
            record.workflow == self.workflow
            and (self.foreign_id is None or record.foreign_id == self.foreign_id)
            and (not self.statuses or record.status in self.statuses)
            and (not self.run_states or record.run_state in self.run_states)
            and (not self.causes or record.cause in self.causes)
            and (self.created_from is None or record.created_at >= self.created_from)
            and (self.created_before is None or record.created_at < self.created_before)
            and (self.updated_before is None or record.updated_at < self.updated_before)
            and self.labels.items() <= record.labels.items()
        )


class RunCount(msgspec.Struct, frozen=True):
    """The number of a workflow's runs at a status in a run state."""

    status: int
    run_state: RunState
    runs: int


class WaitingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the runs of one partition that await an event and have none in the outbox."""

    workflow: str
    partition: int
    quiet: float  # the least seconds since the run was last written
    after: RunId | None = None  # where the previous look ended; None: from the beginning
    limit: int = 500  # the most runs that one look goes through, whether or not they are answered


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a WaitingQuery, by run id."""

    # the events that should have woken the runs, with the topic of the status and the version in
    # the record's `awaited`; that is NO_VERSION if only a message waits
    events: tuple[Event, ...] = ()
    after: RunId | None = None  # where the next look begins; None: this one reached the end
