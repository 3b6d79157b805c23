"""Attempts at a step, from the arrival of the event until the result is committed."""

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
    """It waits for its turn. Nothing has happened, so it can be forgotten."""
    COUNTING = auto()
    """It is being counted before it runs."""
    RUNNING = auto()
    DONE = auto()
    """Its result waits for the commit."""
    COMMITTING = auto()
    ABANDONED = auto()
    """Its result is not wanted any more. Its task may still run."""


class Attempt:
    """An attempt, with the event that holds back its partition's position until it is done."""

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
        self.read_at = now  # when the record was read, by the monotonic clock
        # the record after the write that counted the attempt, if it was counted before it began
        self.counted: Record | None = None
        self.refused = False  # the store could not hold its result
        self.is_expired = False  # the time limit of its step has passed
        self._has_ended = False
        self._ended: asyncio.Event | None = None  # made when something waits for it
        # the offset that its partition had reached when its event was last sent again
        self.sent_again_at = item.offset

    @property
    def ended(self) -> asyncio.Event:
        """Set when it has ended, or will never begin."""
        if self._ended is None:
            self._ended = asyncio.Event()
            if self._has_ended:
                self._ended.set()
        return self._ended

    def mark_ended(self) -> None:
        self._has_ended = True
        if self._ended is not None:
            self._ended.set()

    @property
    def key(self) -> Key:
        return self.record.run_id, self.record.awaited

    def repeated(self, item: Received) -> None:
        """Replace its event by a repeat, which came at a later offset and holds back the position
        from now on. The earlier event is finished.
        """
        self.partition.move(self.progress, self.offset, item.offset)
        self.progress = self.partition.progress
        self.offset = self.sent_again_at = item.offset
        if self.phase is not Phase.WAITING:
            self.reserve()  # the row that moves the position past the earlier event must cover it

    def reserve(self) -> bool:
        """Whether its event may be given to user code now. If not, the next commit of its
        partition's row allows it.
        """
        return self.partition.reserve(self.progress, self.offset)

    def finish(self) -> None:
        """Let the position pass its event."""
        self.partition.finish(self.progress, self.offset)

    def is_pinning(self, span: int) -> bool:
        """Whether its partition has moved on by more than `span` offsets since its event came, or
        was last sent again.
        """
        current = self.progress is self.partition.progress
        return (
            current
            and self.phase is not Phase.COMMITTING
            and self.progress.next - self.sent_again_at > span
        )

    def event_again(self) -> Event:
        """Make the event that is sent again, as the run asks for it now."""
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
    """The attempts that a consumer has in hand, and the size of their data."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Attempt] = {}
        self.data = 0  # bytes

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._by_key.values())

    def get(self, record: Record) -> Attempt | None:
        """The attempt that the same write as this record's asked for, if it is in hand."""
        return self._by_key.get((record.run_id, record.awaited))

    def add(self, attempt: Attempt) -> None:
        self._by_key[attempt.key] = attempt
        self.data += len(attempt.record.data)

    def replace(self, attempt: Attempt, record: Record) -> None:
        """Update the size: the attempt has another record now."""
        self.remove(attempt)
        attempt.record = record
        self.add(attempt)

    def remove(self, attempt: Attempt) -> None:
        key = attempt.key
        if self._by_key.get(key) is attempt:
            del self._by_key[key]
            self.data -= len(attempt.record.data)
