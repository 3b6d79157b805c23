"""Where events travel: topics, each split in partitions, each a sequence of offsets."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from workflow_ray.records import Event, Fence, Received, Topic


class EventStreamer(Protocol):
    """Keeps no cursor: whoever receives names its offsets. Every method may raise StoreUnavailable."""

    async def send(self, events: Sequence[Event]) -> None:
        """Append the events, in the order given within each topic and partition. At least once: a repeat appends again."""
        ...

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        """Events of the partitions named, each from the offset given on, ascending within a partition.

        At most `limit` in all, and not much more than 8 MiB of data, shared fairly: no partition with events waits for
        another's backlog. Waits up to `wait` seconds for the first. Offsets follow commit order; they may have gaps.
        """
        ...

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        """How many events stand at or after the offsets, in the partitions named."""
        ...


@runtime_checkable
class OutboxMover(Protocol):
    """A store that holds both the outbox and the stream: events move inside it, by statement, and no process carries them."""

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        """Publish due outbox entries in commit order and remove them; how many.

        A transaction takes `limit` at most. Without a wait there is one; else, for `wait` seconds, what gets due meanwhile is
        published too, as it comes, and a commit that adds entries may carry that with it: a standing order, so that nobody is
        called for each event. Given up, it has moved what it has.
        Raises RoleLost: the fence is old, as each transaction makes sure anew, and nothing more was moved.
        """
        ...
