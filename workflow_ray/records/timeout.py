"""Times at which a run is to be woken, unless it has moved on by then."""

from datetime import datetime

import msgspec

from workflow_ray.records.ids import RunId, Version


class TimeoutKey(msgspec.Struct, frozen=True, gc=False):
    """Names a timeout for good: the same visit never has two of one name."""

    run_id: RunId
    visit: Version
    name: str


class Timeout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run's visit to a status is over time at `due_at`. Fields are only added, with a default."""

    key: TimeoutKey
    workflow: str
    status: int  # the stored number
    partition: int  # the run's
    due_at: datetime  # UTC by the store's clock, to the microsecond


class NewTimeout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A timeout as a write asks for it: run, visit and status are the write's.

    Exactly one of `after` and `at` is given.
    """

    name: str
    workflow: str
    partition: int
    after: float | None = None  # seconds from the commit, by the store's clock
    at: datetime | None = None  # UTC, to the microsecond
