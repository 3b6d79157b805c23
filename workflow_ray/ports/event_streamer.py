"""Where events travel: topics, each split in partitions, each a sequence of offsets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from workflow_ray.records import Event, Fence, Position, Received, Topic


@runtime_checkable
class EventStreamer(Protocol):
    """Keeps no cursor: whoever receives names its offsets. Every method may raise StoreUnavailable."""

    @property
    def stream_id(self) -> str:
        """Names the log that the offsets count in, without a password: another log's positions mean nothing in this one."""
        ...

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        """Make sure that each topic is there, with that many partitions. Idempotent.

        Raises TopicMismatch: one is there with another number of partitions, and none was made.
        """
        ...

    async def send(self, events: Sequence[Event]) -> None:
        """Append the events, in the order given within each topic and partition. At least once: a repeat appends again.

        Raises SendFailed: of the topics and partitions that it names it is unknown whether they have their events; all others do.
        One that can't be sent to holds up no other: neither these events nor those of the next call.
        """
        ...

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        """Events of the partitions named, each from the offset given on, ascending within a partition.

        At most `limit` in all, and not much more than 8 MiB of data, shared fairly: no partition with events waits for
        another's backlog, or for one that can't be read now. Waits up to `wait` seconds for the first. Offsets follow commit
        order; they may have gaps. Where events at an offset are gone, because they were retained for so long only, it goes on
        from the first that is there, and logs an error: a sweeper sends the events again of those runs that waited for them.
        Raises StreamLost: a partition ends before the offset given, so it isn't the one that was read before.
        """
        ...

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        """How many events stand at or after the offsets, in the partitions named."""
        ...

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        """For each of the partitions the offset that its next event gets: who receives from there gets what is sent from now on."""
        ...


@runtime_checkable
class PositionMirror(Protocol):
    """A streamer that shows the positions to tools of its own, such as Kafka's for consumer groups. Nothing reads them back."""

    def mirror(self, topic: Topic, positions: Sequence[Position]) -> None:
        """Note positions that were committed. Doesn't wait, and may be late or lost."""
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
