"""Roles: each must run once, and a fence ensures it."""

import msgspec

from workflow_ray.records.ids import RoleName

CONSUMER = "consumer"
PUBLISHER = "outbox-publisher"
SWEEPER = "sweeper"


class Role(msgspec.Struct, frozen=True):
    """One of the `shards` roles that share a group's work. `shard` is its number, from 1."""

    group: str  # e.g. orders-1-consumer; positions belong to the group
    shard: int = 1
    shards: int = 1

    @property
    def name(self) -> RoleName:
        return RoleName(f"{self.group}-{self.shard}-of-{self.shards}")

    def owned(self, partitions: int) -> tuple[int, ...]:
        """Return the partitions that this shard works on, of `partitions` in all."""
        return tuple(range(self.shard - 1, partitions, self.shards))


def consumer_group(workflow: str, status: int) -> str:
    return f"{workflow}-{status}-{CONSUMER}"


class Fence(msgspec.Struct, frozen=True, gc=False):
    """A fencing token. It proves that its holder was the last to acquire the role.

    A store refuses a write that carries another epoch than the newest.
    """

    role: RoleName
    epoch: int


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a worker's heartbeat."""

    acquired: tuple[Fence, ...] = ()  # new roles; run them
    # Roles that another worker holds by now, or that are retired. Stop them: none of their writes
    # is committed.
    lost: tuple[RoleName, ...] = ()
    # Roles that another worker should have. Finish them, then release them.
    surplus: tuple[RoleName, ...] = ()
