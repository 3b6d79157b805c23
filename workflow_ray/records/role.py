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


class Fence(msgspec.Struct, frozen=True):
    """Proof that its holder took the role last. A write that carries an older epoch than the store's is refused."""

    role: RoleName
    epoch: int


class Taken(msgspec.Struct, frozen=True):
    """A role just taken. `clean` is False where its holder before released nothing: what it had in hand is in doubt."""

    fence: Fence
    clean: bool


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What a heartbeat came to, for a process that shares roles with others."""

    taken: tuple[Taken, ...] = ()  # new: play them
    lost: tuple[RoleName, ...] = ()  # held no more: stop them, none of their writes lands
    surplus: tuple[RoleName, ...] = ()  # others are short of roles: finish these, then release them


class Position(msgspec.Struct, frozen=True):
    """The offset below which a group has finished or parked everything of a partition."""

    group: str
    partition: int
    offset: int
