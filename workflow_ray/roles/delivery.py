"""Deliveries: the events that a deliverer has in hand, and what it asks of a log and a handler."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, Protocol, TypeAlias, TypeVar

from workflow_ray.definition import Retry
from workflow_ray.records import Fence, SetAsideEvent, SetAsideKey
from workflow_ray.roles.partition import Partition

E = TypeVar("E")

Lane: TypeAlias = tuple[int, str]
"""A partition and a key, whose events are delivered one after another."""


@dataclass(frozen=True, slots=True)
class Item(Generic[E]):
    """An event of a log."""

    id: str  # unique among the events of the log
    key: str  # "" if it has none
    partition: int
    offset: int
    size: int  # the bytes of its data
    event: E


@dataclass(frozen=True, slots=True)
class Batch(Generic[E]):
    """The answer to one `receive`, ascending within a partition."""

    items: Sequence[Item[E]] = ()
    read: Mapping[int, int] = field(default_factory=dict[int, int])
    """For partitions of which that is known: the offset to read from next."""
    lost: Collection[int] = ()
    """Partitions whose log ends below the offset asked for. They begin again."""


class Log(Protocol[E]):
    """What a deliverer reads. Its calls raise StoreError."""

    @property
    def id(self) -> str: ...

    async def starts(self) -> dict[int, int]:
        """Return where each partition that exists now begins."""
        ...

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Return where partitions end. Those of which that is not known are left out."""
        ...

    async def receive(
        self, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Batch[E]: ...

    def pack(self, event: E, running: Fence | None) -> SetAsideEvent:
        """Convert an event to what is stored when it is set aside."""
        ...

    def unpack(self, key: SetAsideKey, event_id: str, packed: SetAsideEvent) -> Item[E]:
        """Convert what is stored back to an item."""
        ...


@dataclass(frozen=True, slots=True)
class Failure(Generic[E]):
    """Why an event was not delivered, and what is left to do."""

    error: str
    retry: Retry
    rest: E  # what the next attempt delivers
    is_fatal: bool = False  # no further attempt
    raised: BaseException | None = field(default=None, compare=False, repr=False)  # for the log
    is_counted: bool = True  # False: it is tried again, and has not used up an attempt


class Handler(Protocol[E]):
    """What a deliverer calls with each event."""

    @property
    def name(self) -> str: ...

    def retry(self, event: E) -> Retry:
        """Return the policy for an event whose attempt is counted before it begins."""
        ...

    def call(self, delivery: "Delivery[E]") -> Awaitable[Failure[E] | None]:
        """Deliver an event. Raises RoleLost."""
        ...


class Phase(Enum):
    WAITING = auto()
    """It waits for its turn. Nothing has happened, so it can be forgotten."""
    RUNNING = auto()
    DONE = auto()
    """What became of it waits for the commit, or is committed."""
    ABANDONED = auto()


class Delivery(Generic[E]):
    """An event in hand, read from the log or from the entries set aside.

    Args:
        item: The event.
        key: Of the entry that it has, or gets if it fails.
        attempt: The failed attempts so far.
        partition: The partition whose position it holds back. None: it is set aside.
    """

    __slots__ = (
        "_ended",
        "attempt",
        "counted",
        "is_aside",
        "item",
        "key",
        "partition",
        "phase",
        "progress",
    )

    def __init__(
        self, item: Item[E], key: SetAsideKey, attempt: int = 0, partition: Partition | None = None
    ) -> None:
        self.item = item
        self.key = key
        self.attempt = attempt
        self.partition = partition
        self.progress = partition.progress if partition else None
        self.is_aside = partition is None  # whether an entry is stored for it
        self.phase = Phase.WAITING
        self.counted = False  # whether `attempt` includes the one that runs
        self._ended = asyncio.Event()

    @property
    def ended(self) -> asyncio.Event:
        """Set when it has ended, or will never begin."""
        return self._ended

    @property
    def number(self) -> int:
        """The number of the attempt that runs, from 1."""
        return self.attempt if self.counted else self.attempt + 1

    @property
    def lane(self) -> Lane:
        return self.item.partition, self.item.key

    @property
    def place(self) -> tuple[int, int]:
        """Its place in its partition, also among entries of earlier incarnations of the log."""
        return self.key.incarnation, self.key.offset

    def reserve(self) -> bool:
        """Whether it may be given to user code now. If not, the next commit allows it."""
        if self.partition is None or self.progress is None or self.is_aside:
            return True
        return self.partition.reserve(self.progress, self.item.offset)

    def finish(self) -> None:
        """Let the position pass its event."""
        if self.partition is not None and self.progress is not None:
            self.partition.finish(self.progress, self.item.offset)

    def pins(self, span: int) -> bool:
        """Whether its partition has moved on by more than `span` offsets while it runs."""
        return (
            self.partition is not None
            and self.phase is Phase.RUNNING
            and not self.is_aside
            and self.progress is self.partition.progress
            and self.partition.progress.next - self.item.offset > span
        )
