"""The open source of an iterator."""

import asyncio
import logging
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias, cast

from workflow_ray.errors import InvalidInput, StoreUnavailable
from workflow_ray.ports import Clock, SourceReader
from workflow_ray.records import BATCH_DATA, ConnectorEvent

log = logging.getLogger(__name__)

AHEAD = 1000
"""The most messages of a partition that are read ahead."""
AGAIN = 1.0
"""The seconds after which an iterator that has ended is asked again."""
CLOSING = 2.0
"""The seconds, by the machine's clock, after which an iterator that does not end is left alone."""
TURNS = 10
"""The turns of the event loop that an iterator gets for a message that is there already."""

Messages: TypeAlias = Callable[[int, int], AsyncIterator[Any]]
End: TypeAlias = Callable[[int], Awaitable[int]]


@asynccontextmanager
async def open_reader(
    source_id: str, messages: Messages, end: End | None, partitions: Collection[int], clock: Clock
) -> AsyncGenerator[SourceReader]:
    """Open the source. The iterators run until the block ends.

    Args:
        source_id: The name of the log.
        messages: Makes the iterator of a partition, from an offset on.
        end: Tells the end of a partition. None: it is not known.
        partitions: The numbers of the partitions.
        clock: Measures waits, and dates the messages.
    """
    reader = IteratedReader(source_id, messages, end, partitions, clock)
    try:
        yield reader
    finally:
        await reader.close()


class IteratedReader:
    """A SourceReader."""

    def __init__(
        self,
        source_id: str,
        messages: Messages,
        end: End | None,
        partitions: Collection[int],
        clock: Clock,
    ) -> None:
        self._source_id = source_id
        self._messages = messages
        self._end = end
        self._partitions = partitions
        self._clock = clock
        self._pumps: dict[int, _Pump] = {}
        self._arrived = asyncio.Event()

    @property
    def source_id(self) -> str:
        return self._source_id

    async def starts(self) -> dict[int, int]:
        return dict.fromkeys(self._partitions, 0)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        if self._end is None:
            return {}
        try:
            return {partition: await self._end(partition) for partition in partitions}
        except Exception as error:  # of the user's code
            why = f"the function that tells its end raised {type(error).__name__}"
            raise StoreUnavailable(self._source_id, why) from error

    async def receive(
        self, offsets: Mapping[int, int], *, limit: int, wait: float
    ) -> list[ConnectorEvent]:
        deadline = self._clock.monotonic() + wait
        pumps = [await self._pump(partition, offset) for partition, offset in offsets.items()]
        turns = TURNS
        while True:
            arrived = self._arrived = asyncio.Event()
            if batch := _batch(pumps, limit):
                return batch
            for pump in pumps:
                pump.raise_error()
            if turns:
                turns -= 1
                await asyncio.sleep(0)
            elif (left := deadline - self._clock.monotonic()) <= 0:
                return []
            else:
                await self._clock.wait(arrived, left)

    async def lag(self, offsets: Mapping[int, int]) -> int:
        ends = await self.ends(offsets)
        return sum(max(0, end - offsets[partition]) for partition, end in ends.items())

    async def close(self) -> None:
        for pump in self._pumps.values():
            await pump.close()

    async def _pump(self, partition: int, offset: int) -> "_Pump":
        """The iterator of the partition, at the offset. It begins again if it was elsewhere."""
        pump = self._pumps.get(partition)
        if pump is None or not pump.move_to(offset):
            if pump is not None:
                await pump.close()
            pump = self._pumps[partition] = _Pump(
                partition, offset, self._source_id, self._messages, self._clock, self._notify
            )
        return pump

    def _notify(self) -> None:
        self._arrived.set()


class _Pump:
    """Runs the iterator of a partition in a task of its own, a bounded number of messages ahead."""

    def __init__(
        self,
        partition: int,
        offset: int,
        source_id: str,
        messages: Messages,
        clock: Clock,
        notify: Callable[[], None],
    ) -> None:
        self._partition = partition
        self._low = offset  # the lowest offset that can be asked for
        self._next = offset  # the lowest offset that the next message may have
        self._source_id = source_id
        self._messages = messages
        self._clock = clock
        self._notify = notify
        self._size = 0
        self._room = asyncio.Event()
        self._is_closed = False
        self._error: BaseException | None = None
        self.waiting = deque[ConnectorEvent]()
        self._task = asyncio.create_task(self._run(), name=f"{source_id}-{partition}")

    def move_to(self, offset: int) -> bool:
        """Drop the messages below an offset. Returns False if it can't go on from there."""
        if self._error is not None or not self._low <= offset <= self._next:
            return False
        while self.waiting and self.waiting[0].offset < offset:
            self._size -= len(self.waiting.popleft().data)
        self._low = offset
        self._room.set()
        return True

    def raise_error(self) -> None:
        """Raise the error that has ended the iterator. The next `move_to` answers False."""
        if self._error is None:
            return
        if isinstance(self._error, InvalidInput):
            raise self._error
        why = f"its function raised {type(self._error).__name__}; it is called again"
        raise StoreUnavailable(self._source_id, why) from self._error

    async def close(self) -> None:
        """End the iterator. One that does not end is left alone after CLOSING seconds."""
        self._is_closed = True
        self._task.cancel()
        _, left = await asyncio.wait({self._task}, timeout=CLOSING)
        if left:
            text = "%s: its function does not end although it was cancelled; it is left alone"
            log.error(text, self._source_id)

    async def _run(self) -> None:
        try:
            while True:
                made = cast(AsyncGenerator[Any], self._messages(self._partition, self._next))
                async with aclosing(made) as messages:
                    async for message in messages:
                        self._add(self._event(message))
                        await self._wait_for_room()
                await self._clock.wait(asyncio.Event(), AGAIN)
        except BaseException as error:  # of the user's code; `receive` raises it
            task = asyncio.current_task()
            # a task group of that code also cancels the task, when one of its own tasks fails
            is_cancelled = isinstance(error, asyncio.CancelledError) and task and task.cancelling()
            if self._is_closed or is_cancelled or isinstance(error, KeyboardInterrupt):
                raise
            log.warning("%s: its function failed", self._source_id, exc_info=error)
            self._error = error
            self._notify()

    def _add(self, event: ConnectorEvent) -> None:
        self.waiting.append(event)
        self._size += len(event.data)
        self._next = event.offset + 1
        self._notify()

    async def _wait_for_room(self) -> None:
        while len(self.waiting) >= AHEAD or self._size >= BATCH_DATA:
            self._room.clear()
            await self._room.wait()

    def _event(self, message: object) -> ConnectorEvent:
        """Convert what the function has yielded. Raises InvalidInput: it is not a message."""
        parts = _parts(message)
        if 2 <= len(parts) <= 4:
            offset, data = parts[0], parts[1]
            key = parts[2] if len(parts) > 2 else ""
            headers: Any = parts[3] if len(parts) > 3 else {}
            if _is_message(offset, data, key, headers) and offset >= self._next:
                return ConnectorEvent(
                    id=f"{self._source_id}-{self._partition}-{offset}",
                    key=key,
                    data=data,
                    headers=dict(headers),
                    partition=self._partition,
                    offset=offset,
                    at=self._clock.now(),
                )
        raise InvalidInput(
            self._source_id,
            "its function must yield (offset, data), (offset, data, key) or (offset, data, key,"
            " headers): the offset from the one asked for, ascending, and the data as bytes",
        )


def _parts(message: object) -> Sequence[Any]:
    return list(cast(Sequence[Any], message)) if isinstance(message, tuple) else []


def _is_message(offset: object, data: object, key: object, headers: object) -> bool:
    return (
        isinstance(offset, int)
        and isinstance(data, bytes)
        and isinstance(key, str)
        and isinstance(headers, Mapping)
    )


def _batch(pumps: Collection[_Pump], limit: int) -> list[ConnectorEvent]:
    """Take the waiting messages of the partitions in turn, up to the limits. They stay waiting."""
    batch: list[ConnectorEvent] = []
    size = 0
    turns = deque(iter(pump.waiting) for pump in pumps)
    while turns and len(batch) < limit and size < BATCH_DATA:
        messages = turns.popleft()
        if (event := next(messages, None)) is not None:
            batch.append(event)
            size += len(event.data)
            turns.append(messages)
    return sorted(batch, key=lambda event: (event.partition, event.offset))
