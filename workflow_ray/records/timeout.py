"""Timeouts: times at which a run is woken, unless it has left the status by then."""

from datetime import datetime

import msgspec

from workflow_ray.records.ids import RunId, Version


class TimeoutKey(msgspec.Struct, frozen=True, gc=False):
    """Names a timeout for good. A visit never has two timeouts with one name."""

    run_id: RunId
    visit: Version
    name: str


class Timeout(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A timeout that is due at `due_at` if the run's visit lasts until then. New fields have a
    default.
    """

    key: TimeoutKey
    workflow: str
    status: int  # the stored number
    partition: int  # the run's
    due_at: datetime  # UTC by the store's clock, to the microsecond


class NewTimeout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A timeout that a write asks for. Its run, visit and status are those of the write.

    Exactly one of `after` and `at` is given.
    """

    name: str
    workflow: str
    partition: int
    after: float | None = None  # seconds from the commit, by the store's clock
    at: datetime | None = None  # UTC, to the microsecond
