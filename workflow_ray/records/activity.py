"""What a store knows about the work in progress, for operators."""

from datetime import datetime

import msgspec

from workflow_ray.records.event import OutboxEntry
from workflow_ray.records.ids import RoleName


class RoleHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The worker that holds a role by a lease."""

    role: RoleName
    epoch: int
    worker: str  # the name that it gives in its heartbeats
    until: datetime  # the end of the lease


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of who works, and of the events that are not due yet."""

    now: datetime  # by the store's clock, like every time here
    is_served: bool = False  # a process has the store exclusively, perhaps the one that answers
    # By role, and only leases that have not ended. A process that acquires roles without a lease,
    # as on Ray, is not listed.
    holders: tuple[RoleHolder, ...] = ()
    # Events that are not due yet, such as retries. The next one comes first.
    delayed: tuple[OutboxEntry, ...] = ()
