"""Roles: each must run once, and a fence ensures it."""

import zlib
from collections.abc import Callable, Iterable

import msgspec

from workflow_ray.records.ids import RoleName, Topic

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


def timeout_group(workflow: str, status: int) -> str:
    return f"{workflow}-{status}-timeout-consumer"


def connector_group(workflow: str, connector: str) -> str:
    return f"{workflow}-{connector}-connector"


def scheduler_group(workflow: str, schedule: str) -> str:
    return f"{workflow}-{schedule}-scheduler"


def named_groups(
    groups: Iterable[str], group_of: Callable[[str, str], str], workflow: str
) -> dict[str, str]:
    """Find the groups of a workflow's connectors or schedules.

    Args:
        groups: All groups of the workflow, in any order.
        group_of: `connector_group` or `scheduler_group`.
        workflow: The workflow's name.

    Returns:
        The groups, by the name of the connector or schedule, in the order given.
    """
    before, after = group_of(workflow, "\0").split("\0")
    return {
        group.removeprefix(before).removesuffix(after): group
        for group in groups
        if group.startswith(before) and group.endswith(after)
    }


def hooks_group(workflow: str) -> str:
    return f"{workflow}-hooks"


def paused_retry_group(workflow: str) -> str:
    """Return the group of the role that retries runs which an error has paused."""
    return f"{workflow}-paused-retry"


def admission_group(workflow: str) -> str:
    """Return the group of the role that lets parked runs go on to their step."""
    return f"{workflow}-admission"


def data_group(workflow: str) -> str:
    """Return the group of the role that deletes the data of runs, and runs that are old enough."""
    return f"{workflow}-data"


def bulk_group(workflow: str) -> str:
    return f"{workflow}-bulk"


def readers_group(topic: Topic) -> str:
    """Return the group of the readers of other deployments. What they have not read is kept.

    Their positions are committed without a fence. The partition of a position is
    `reader_partition`.
    """
    return f"{topic}-readers"


def reader_partition(reader: str, partition: int) -> int:
    """Return the partition of a reader's position in the group of a topic's readers.

    Its lowest 12 bits are the partition of the topic, and the others stand for the reader's name.
    """
    name = zlib.crc32(reader.encode()) >> 13  # 19 bits, so that the number has 31
    return name << 12 | partition


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
