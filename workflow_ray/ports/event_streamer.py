"""Streams of events: topics, split into partitions, each a sequence of offsets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from workflow_ray.ports.methods import not_repeatable
from workflow_ray.records import Arrivals, Event, Fence, Position, Topic


@runtime_checkable
class EventStreamer(Protocol):
    """Carries events in topics. It keeps no cursor: each call names its offsets.

    Every method may raise StoreUnavailable.
    """

    @property
    def stream_id(self) -> str:
        """The name of the log that the offsets count in, without a password. Positions of another
        log mean nothing in this one.
        """
        ...

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        """Make each topic, with its number of partitions, if it does not exist. Idempotent.

        Raises TopicMismatch: a topic exists with another number of partitions. None was made.
        """
        ...

    @not_repeatable  # it would append the events again
    async def send(self, events: Sequence[Event]) -> None:
        """Append events, in the given order within each topic-partition.

        A repeat appends them again. A topic-partition that can't be sent to does not delay the
        others, neither in this call nor in the next one.

        Raises:
            SendFailed: It names the topic-partitions that may lack their events. All others have
                theirs.
        """
        ...

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        """Read events of partitions, each from the given offset, ascending within a partition.

        Offsets follow commit order, and may have gaps. If events at an offset are gone, because
        they were trimmed or their retention is over, it goes on from the first one that exists. It
        logs that unless they were trimmed.

        A partition that ends below the given offset is answered in `lost`, and logged once. The
        reader goes on in a new incarnation of it, from offset 0. The other partitions are answered
        as usual.

        Args:
            topic: The topic.
            offsets: For each partition to read, the offset to read from.
            reader: The name of the reader, the same on every call: a role's name. An adapter may
                keep a consumer for it. Two calls with one name never overlap.
            limit: The most events in all. They also have not much more than BATCH_DATA (8 MiB) of
                data. The partitions share both limits fairly: none with events waits for the
                backlog of another, or for one that can't be read now.
            wait: The most seconds to wait for the first event or the first lost partition. `read`
                alone does not end the wait.
        """
        ...

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        """Count the events at or after the given offset of each partition. A partition that ends
        before its offset counts 0.
        """
        ...

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        """Return the offset that the next event of each partition will have. Who receives from
        there gets what is sent from now on.
        """
        ...


@runtime_checkable
class PositionMirror(Protocol):
    """A streamer that shows positions to its own tools, such as Kafka's for consumer groups.

    The engine never reads them back.
    """

    def mirror(self, topic: Topic, positions: Sequence[Position]) -> None:
        """Show positions that were committed. It does not wait, and may be late or lost."""
        ...


@runtime_checkable
class OutboxMover(Protocol):
    """A store that holds both the outbox and the stream. Events move inside it by statements, and
    no process carries them.
    """

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        """Publish due outbox entries in commit order, remove them, and return how many.

        With a `wait`, entries that get due meanwhile are published as well, so that one call serves
        many events. A commit that adds entries may publish them in its own transaction. A call that
        is cancelled has moved what it has moved.

        Args:
            fence: The publisher's. Each transaction checks it.
            limit: The most entries of one transaction.
            wait: Seconds to go on. 0: one transaction.

        Raises:
            RoleLost: The fence is old. Nothing more was moved.
        """
        ...


@runtime_checkable
class Trimmer(Protocol):
    """A streamer that holds its log itself, so that somebody has to remove old events."""

    async def trim(
        self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
    ) -> int:
        """Remove the events below the given offset of each partition, and return how many.

        Idempotent. The ends of the partitions and the offsets of later events stay as they are.

        Args:
            fence: The role's. A store in which the role was never acquired, because it holds the
                events of other records, ignores it.
            topic: The topic.
            offsets: For each partition, the offset below which events are removed.
            limit: The most events to remove. If as many were removed, there may be more.

        Raises:
            RoleLost: The store holds the role, and the fence is old. Nothing was removed.
        """
        ...
