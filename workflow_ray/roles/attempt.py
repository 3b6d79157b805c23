"""Runs in hand: each an attempt at a step, from its event's arrival until what came of it is
committed.
"""

import asyncio
from collections.abc import Iterator
from enum import Enum, auto
from typing import TypeAlias

from workflow_ray.engine.progress import Progress
from workflow_ray.records import Event, Received, Record, RunId, Version
from workflow_ray.roles.partition import Partition

Key: TypeAlias = tuple[RunId, Version]
"""A run, and the version whose write asked for the step."""


class Phase(Enum):
    WAITING = auto()
    """For its turn: nothing has happened, and it can be forgotten."""
    COUNTING = auto()
    """It is being counted, and runs after that."""
    RUNNING = auto()
    DONE = auto()
    """What came of it waits for its commit."""
    COMMITTING = auto()
    ABANDONED = auto()
    """Nobody waits for it any more; its task may not have ended yet."""


class Attempt:
    """An attempt, and the event that holds its partition's position back meanwhile."""

    __slots__ = (
        "_ended",
        "_has_ended",
        "counted",
        "event",
        "is_expired",
        "offset",
        "partition",
        "phase",
        "progress",
        "read_at",
        "record",
        "refused",
        "sent_again_at",
    )

    def __init__(self, item: Received, record: Record, partition: Partition, now: float) -> None:
        self.record = record
        self.event = item.event
        self.offset = item.offset
        self.partition = partition
        self.progress: Progress = partition.progress
        self.phase = Phase.WAITING
        self.read_at = now  # when its record was read, by the monotonic clock
        # The record as it stands since the attempt was counted, if it was counted beforehand
        self.counted: Record | None = None
        self.refused = False  # the store could not hold what came of it
        self.is_expired = False  # its step's time limit is over
        self._has_ended = False
        self._ended: asyncio.Event | None = None  # made for who waits for it
        # How far its partition had come when its event was last sent again
        self.sent_again_at = item.offset

    @property
    def ended(self) -> asyncio.Event:
        """Set once it no longer runs, or never will."""
        if self._ended is None:
            self._ended = asyncio.Event()
            if self._has_ended:
                self._ended.set()
        return self._ended

    def tell_ended(self) -> None:
        self._has_ended = True
        if self._ended is not None:
            self._ended.set()

    @property
    def key(self) -> Key:
        return self.record.run_id, self.record.awaited

    def repeated(self, item: Received) -> None:
        """Its event came once more, further on: from now on that one holds the position back, and
        the earlier one is done with.
        """
        self.partition.move(self.progress, self.offset, item.offset)
        self.progress = self.partition.progress
        self.offset = self.sent_again_at = item.offset
        if self.phase is not Phase.WAITING:
            self.reserve()  # by the row that moves the position past the earlier one

    def reserve(self) -> bool:
        """Whether its event may be handed to user code by now; if not, the next commit of its
        partition's row allows it.
        """
        return self.partition.reserve(self.progress, self.offset)

    def finish(self) -> None:
        """The position may pass its event."""
        self.partition.finish(self.progress, self.offset)

    def is_pinning(self, span: int) -> bool:
        """Whether its partition has gone on by more than `span` offsets since its event came, or
        was last sent again.
        """
        current = self.progress is self.partition.progress
        return (
            current
            and self.phase is not Phase.COMMITTING
            and self.progress.next - self.sent_again_at > span
        )

    def event_again(self) -> Event:
        """The event to send again, as the run asks for it now."""
        self.sent_again_at = self.progress.next
        record = self.counted or self.record
        return Event(
            run_id=record.run_id,
            topic=self.event.topic,
            partition=self.event.partition,
            version=record.awaited,
            status=record.status,
            headers=self.event.headers,
        )


class Attempts:
    """All attempts that a consumer has in hand, and how much they hold."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Attempt] = {}
        self.data = 0  # bytes

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._by_key.values())

    def get(self, record: Record) -> Attempt | None:
        """The attempt that was asked for by the same write as this record's, if it is in hand."""
        return self._by_key.get((record.run_id, record.awaited))

    def add(self, attempt: Attempt) -> None:
        self._by_key[attempt.key] = attempt
        self.data += len(attempt.record.data)

    def replace(self, attempt: Attempt, record: Record) -> None:
        """Its record is another one by now."""
        self.remove(attempt)
        attempt.record = record
        self.add(attempt)

    def remove(self, attempt: Attempt) -> None:
        key = attempt.key
        if self._by_key.get(key) is attempt:
            del self._by_key[key]
            self.data -= len(attempt.record.data)
