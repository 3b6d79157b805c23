"""Attempts at a function, from the arrival of the event until the result is committed."""

import asyncio
from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING

from workflow_ray.definition import CancelledEvent
from workflow_ray.engine.message_outcomes import was_counted
from workflow_ray.engine.progress import Progress
from workflow_ray.engine.transition import AnyFunction
from workflow_ray.records import Cause, Event, Message, Received, Record, RunId
from workflow_ray.roles.partition import Partition

if TYPE_CHECKING:
    from workflow_ray.roles.time_limit import TimeLimit


class Phase(Enum):
    WAITING = auto()
    """It waits for its turn. Nothing has happened, so it can be forgotten."""
    COUNTING = auto()
    """It is being counted before it runs."""
    RUNNING = auto()
    DONE = auto()
    """Its result waits for the commit."""
    COMMITTING = auto()
    LOOKING = auto()
    """Its result is committed, and its run is looked at again."""
    ABANDONED = auto()
    """Its result is not wanted any more. Its task may still run."""


class Attempt:
    """An attempt, with the event that holds back its partition's position until it is done.

    It runs the step, or the function of a message. Without either, it cancels the children of its
    run.
    """

    # the record after the write that counted the attempt, if that made a version
    counted: Record | None = None
    turn: asyncio.Future[None] | None = None  # done when it has a slot, if something waits for that
    is_counted = False  # before it began
    is_alone = False  # it is in doubt, so it shares no call with other runs
    refused = False  # the store could not hold its result
    is_expired = False  # the time limit of its function has passed
    is_overtaken = False  # its run has moved on: the result is not needed
    is_committed = False  # the step's own transaction has committed its result
    # its event holds back the position until the result is committed, and not only until it is
    # about to be
    is_held = False
    time_limit: "TimeLimit | None" = None  # of its function, if that has one and it began
    cancelled: CancelledEvent | None = None  # made when its function asks for it
    has_passed_message = False  # an event that says that its run has a message was passed over
    is_postponed = False  # its result makes no version: its event comes back later
    is_looked_at = False  # when its result is committed, its run is looked at again
    _has_ended = False
    _ended: asyncio.Event | None = None  # made when something waits for it

    def __init__(
        self,
        item: Received,
        record: Record,
        partition: Partition,
        now: float,
        function: AnyFunction | None,
        message: Message | None = None,
    ) -> None:
        self.record = record
        self.event = item.event
        self.offset = item.offset
        self.partition = partition
        self.progress: Progress = partition.progress
        # what it runs; None: the code has no function for the message, or it is a cascade
        self.function = function
        self.message = message
        self.phase = Phase.WAITING
        self.read_at = now  # when the record was read, by the monotonic clock
        # it was counted before it began, and its process has died since
        self.is_doubted = record.cause is Cause.DOUBT if message is None else was_counted(message)
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

    def cancel(self) -> None:
        """Tell its function, if it asks, that its result will be dropped."""
        if self.cancelled is not None:
            self.cancelled.set()

    def repeated(self, item: Received) -> None:
        """Replace its event by a repeat, which came at a later offset and holds back the position
        from now on. The earlier event is finished.
        """
        self.partition.move(self.progress, self.offset, item.offset)
        self.event = item.event
        self.progress = self.partition.progress
        self.offset = self.sent_again_at = item.offset
        if self.phase is not Phase.WAITING:
            self.reserve()  # the row that moves the position past the earlier event must cover it

    def look_again(self) -> None:
        """Look at the run again when the result is committed. Its event waits until then."""
        self.is_held = True
        self.is_looked_at = True

    def look_again_by(self, other: "Attempt") -> None:
        """Look at the run again, for the event of another attempt. Its own event is finished."""
        self.finish()
        self.event = other.event
        self.partition = other.partition
        self.progress = other.progress
        self.offset = self.sent_again_at = other.offset
        self.look_again()

    def is_behind(self, record: Record) -> bool:
        """Whether the run has moved on, so that the result will be dropped."""
        if record.version <= self.record.version:
            return False
        return self.message is not None or record.awaited != self.record.awaited

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

    @property
    def is_sent_again(self) -> bool:
        """Whether its event was sent again, and another one has not replaced it since."""
        return self.sent_again_at > self.offset

    def event_again(self) -> Event:
        """Make the event that is sent again, as the run asks for it now."""
        self.sent_again_at = self.progress.next
        record = self.counted or self.record
        asks_for_step = self.message is None and self.function is not None
        return Event(
            run_id=record.run_id,
            topic=self.event.topic,
            partition=self.event.partition,
            version=record.awaited if asks_for_step else self.event.version,
            status=record.status,
            headers=self.event.headers,
        )


class Attempts:
    """The attempts that a consumer has in hand, and the size of their data."""

    def __init__(self) -> None:
        self._all: dict[Attempt, None] = {}
        self._newest: dict[RunId, Attempt] = {}
        self.data = 0  # bytes

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._all)

    def of(self, record: Record) -> Attempt | None:
        """The attempt that others for the run wait for, because its result is still needed."""
        attempt = self._newest.get(record.run_id)
        return None if attempt is None or attempt.is_behind(record) else attempt

    def add(self, attempt: Attempt) -> None:
        self._all[attempt] = None
        self._newest[attempt.record.run_id] = attempt
        self.data += len(attempt.record.data) if attempt.message is None else _size(attempt)

    def replace(self, attempt: Attempt, record: Record) -> None:
        """Update the size: the attempt has another record of its run now."""
        self.data -= _size(attempt)
        attempt.record = record
        self.data += _size(attempt)

    def remove(self, attempt: Attempt) -> None:
        if attempt in self._all:
            del self._all[attempt]
            record = attempt.record
            self.data -= len(record.data) if attempt.message is None else _size(attempt)
            if self._newest.get(record.run_id) is attempt:
                del self._newest[record.run_id]


def _size(attempt: Attempt) -> int:
    payload = 0 if attempt.message is None else len(attempt.message.payload)
    return len(attempt.record.data) + payload
