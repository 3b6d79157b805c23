"""Roles: what must run once, and the fence that makes sure of it."""

import msgspec

from workflow_ray.records.ids import RoleName

CONSUMER = "consumer"
PUBLISHER = "outbox-publisher"
SWEEPER = "sweeper"


class Role(msgspec.Struct, frozen=True):
    """Shard `shard` (from 1) of the `shards` roles that share a group's work."""

    group: str  # e.g. orders-1-consumer; positions belong to it
    shard: int = 1
    shards: int = 1

    @property
    def name(self) -> RoleName:
        return RoleName(f"{self.group}-{self.shard}-of-{self.shards}")

    def owned(self, partitions: int) -> tuple[int, ...]:
        """The partitions, of that many in all, that this shard works on."""
        return tuple(range(self.shard - 1, partitions, self.shards))


def consumer_group(workflow: str, status: int) -> str:
    return f"{workflow}-{status}-{CONSUMER}"


class Fence(msgspec.Struct, frozen=True, gc=False):
    """A fencing token: proof that its holder acquired the role last.

    A write that carries another epoch than the store's newest is refused.
    """

    role: RoleName
    epoch: int


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a worker's heartbeat."""

    acquired: tuple[Fence, ...] = ()  # new roles: run them
    # held by another worker by now, or retired: stop them, none of their writes is committed
    lost: tuple[RoleName, ...] = ()
    # another worker should have these: finish them, then release them
    surplus: tuple[RoleName, ...] = ()
