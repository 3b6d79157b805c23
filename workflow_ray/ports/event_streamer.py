"""Where events travel: topics, each split in partitions, each a sequence of offsets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from workflow_ray.ports.methods import not_repeatable
from workflow_ray.records import Arrivals, Event, Fence, Position, Topic


@runtime_checkable
class EventStreamer(Protocol):
    """Keeps no cursor: whoever receives names its offsets.

    Every method may raise StoreUnavailable.
    """

    @property
    def stream_id(self) -> str:
        """Names the log that the offsets count in, without a password: another log's positions mean
        nothing in this one.
        """
        ...

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        """Make sure that each topic is there, with that many partitions. Idempotent.

        Raises TopicMismatch: one is there with another number of partitions, and none was made.
        """
        ...

    @not_repeatable  # it would append the events again
    async def send(self, events: Sequence[Event]) -> None:
        """Append the events, in the order given within each topic and partition. At least once: a
        repeat appends again.

        Raises SendFailed: of the topics and partitions that it names it is unknown whether they
        have their events; all others do. One that can't be sent to holds up no other: neither these
        events nor those of the next call.
        """
        ...

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        """Read the partitions named, each from the offset given on, ascending within a partition.

        At most `limit` events in all, and not much more than BATCH_DATA (8 MiB) of data, shared
        fairly: no partition with events waits for the backlog of another, or for one that can't be
        read now. Waits up to `wait` seconds for the first event, or the first partition that is
        lost; `read` alone ends no wait. Offsets follow commit order; they may have gaps. Where the
        events at an offset are gone, trimmed or retained for only so long, it goes on from the
        first one that is there, and says so in the log where they were not trimmed.

        A partition that ends below the offset given is answered in `lost`, and the others as
        always: whoever reads goes on in a new incarnation of it, from offset 0. It is logged once.

        Args:
            reader: Names who reads, the same on every call: a role's name. An adapter may keep a
                consumer for it; two calls with one name never overlap.
        """
        ...

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        """How many events stand at or after the offsets, in the partitions named; for one that ends
        before its offset, 0.
        """
        ...

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        """For each of the partitions the offset that its next event gets: who receives from there
        gets what is sent from now on.
        """
        ...


@runtime_checkable
class PositionMirror(Protocol):
    """A streamer that shows the positions to tools of its own, such as Kafka's for consumer groups.

    Nothing reads them back.
    """

    def mirror(self, topic: Topic, positions: Sequence[Position]) -> None:
        """Note positions that were committed. Doesn't wait, and may be late or lost."""
        ...


@runtime_checkable
class OutboxMover(Protocol):
    """A store that holds both the outbox and the stream: events move inside it, by statement, and
    no process carries them.
    """

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        """Publish due outbox entries in commit order and remove them; how many.

        A transaction takes `limit` at most. Without a wait there is one; else, for `wait` seconds,
        what gets due meanwhile is published too, as it comes, and a commit that adds entries may
        carry that with it: a standing order, so that nobody is called for each event. Given up, it
        has moved what it has. Raises RoleLost: the fence is old, as each transaction checks again,
        and nothing more was moved.
        """
        ...


@runtime_checkable
class Trimmer(Protocol):
    """A streamer that holds its log itself, and so has to be told which events nobody needs any
    more.
    """

    async def trim(
        self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
    ) -> int:
        """Remove events of the partitions named that stand below the offset given; how many were
        removed.

        At most `limit`: as many as that, and there may be more. Idempotent. An end never changes:
        `ends` and later offsets stay. A store in which the role was never acquired, because it
        holds the events of other records, ignores the fence. Raises RoleLost: the store holds the
        role, and the fence is old; nothing was removed.
        """
        ...
