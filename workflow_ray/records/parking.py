"""Flow control: how runs are ordered that wait for their step, and which of them may run it."""

from datetime import datetime

import msgspec

from workflow_ray.records.ids import RunId


class Parking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where a run stands among those at its status that flow control orders.

    It is fixed when the run enters the status, and kept until the run leaves it.
    """

    key: str = ""  # runs of one key share its limits; keys get their turns fairly
    priority: int = 0  # among the runs of one key the larger goes first, then the older run


class ParkedQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for a page of the keys of a status that have runs under flow control, by key."""

    workflow: str
    status: int
    after: str | None = None  # the last key of the previous page, exclusive; None: the first page
    keys: int = 100  # the most keys
    per_key: int = 20  # the most parked runs of each key
    # the `change` of an earlier answer: the call waits while nothing has changed since; None: it
    # answers at once
    seen: int | None = None


class ParkedRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run that is parked."""

    run_id: RunId
    priority: int


class ParkedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one key. A key without parked and without admitted runs is left out."""

    key: str
    admitted: int  # runs that hold a slot: admitted to the status, and neither paused nor gone on
    parked: tuple[ParkedRun, ...] = ()  # by priority, the largest first, then by run id


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a ParkedQuery, read in one snapshot."""

    keys: tuple[ParkedKey, ...] = ()
    admitted: int = 0  # runs of the status that hold a slot, of all keys
    more: bool = False  # whether keys follow after the last one
    # stands for the state that was read; it means something only to the store that gave it
    change: int = 0
    now: datetime  # by the store's clock


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """At most `count` runs in any `seconds`."""

    count: int
    seconds: float


class FlowLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limits of a status. None: not limited."""

    concurrency: int | None = None  # runs that hold a slot, in all
    concurrency_per_key: int | None = None
    rate: Rate | None = None  # of admissions, in all
    rate_per_key: Rate | None = None
