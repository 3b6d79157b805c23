"""One call of receive: what it takes from a consumer, and which partitions it can't read."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import Clock, SystemClock
from workflow_ray.records import BATCH_DATA
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.codec import Record
from workflow_ray_adapters.kafka.consumer import LONG_POLL, SILENCE, Consumer
from workflow_ray_adapters.kafka.faults import translate_errors

T = TypeVar("T")

GRACE = 0.25
"""Real seconds for other brokers to answer, once one has answered a call that does not wait."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found(Generic[T]):
    """The result of one call, see `records.Arrivals`."""

    items: list[T]
    read: dict[int, int] = field(default_factory=dict[int, int])
    lost: dict[int, int] = field(default_factory=dict[int, int])


class Taken(Generic[T]):
    """The items that a call has taken so far: up to `limit`, and not much more than BATCH_DATA.

    Args:
        decode: Makes an item of a message; None: skip the message.
    """

    def __init__(
        self, consumer: Consumer, decode: Callable[[Record], T | None], limit: int
    ) -> None:
        self.items: list[T] = []
        self.error: Exception | None = None
        """Why some partition could not be unpacked. It will fail again: others are served first."""
        self._consumer = consumer
        self._decode = decode
        self._limit = limit
        self._size = 0

    @property
    def room(self) -> int:
        """How many more items it takes."""
        return self._limit - len(self.items) if self._size < BATCH_DATA else 0

    async def take(self, call: Awaitable[list[Record]]) -> list[Record]:
        """Add a message, if it makes an item."""
        try:
            records = await call
        except Exception as error:
            self.error = error
            return []
        for record in records:
            self._size += len(record.value or b"")
            if (item := self._decode(record)) is not None:
                self.items.append(item)
        return records

    async def share(self, partitions: Sequence[int]) -> None:
        """Take the messages that were fetched.

        The partitions share the limit, and the others have what one leaves over.
        """
        ready = list(partitions)
        while ready and self.room:
            part = max(self.room // len(ready), 1)
            for partition in list(ready):
                if not self.room:
                    break
                wanted = min(part, self.room)
                records = await self.take(self._consumer.take(partition, wanted))
                if len(records) < wanted:
                    ready.remove(partition)


class Look(Generic[T]):
    """One call of receive.

    Args:
        partitions: The ones to read. If there is not room for all, the first ones are served.
        taken: Takes the items.
    """

    def __init__(
        self,
        cluster: Cluster,
        consumer: Consumer,
        topic: str,
        partitions: Sequence[int],
        taken: Taken[T],
    ) -> None:
        self.taken = taken
        self.lost: dict[int, int] = {}
        """The ends of the partitions that end below the offset given."""
        self._cluster = cluster
        self._consumer = consumer
        self._topic = topic
        self._partitions = partitions

    def _has_found(self) -> bool:
        """Whether anything was found.

        Raises StoreError: nothing was, because messages can't be unpacked.
        """
        if self.taken.items or self.lost:
            return True
        if self.taken.error is not None:
            with translate_errors(self._cluster.where):
                raise self.taken.error
        return False

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Look until something is found, for at most `seconds`.

        Raises StoreUnavailable: no partition was answered.
        """
        until, begin = clock.monotonic() + seconds, time.monotonic()
        while True:
            await self.taken.share(self._partitions)
            await self._relocate()
            if self._has_found():
                return
            is_answered = any(
                self._consumer.is_answered(partition) for partition in self._partitions
            )
            if not is_answered and time.monotonic() - begin > SILENCE:
                raise StoreUnavailable(self._cluster.where, await self._failure())
            left = until - clock.monotonic()
            if left <= 0 and is_answered:
                return
            await self.taken.take(
                self._consumer.first(self._partitions, clock, left if left > 0 else LONG_POLL)
            )

    async def once(self) -> None:
        """Look at what brokers have now.

        Raises StoreUnavailable: none answers.
        """
        ends = await self._ends()
        position = self._consumer.position
        self.lost = {at: end for at, end in ends.items() if end < position(at)}
        missing = [at for at in self._partitions if at in ends and ends[at] > position(at)][
            : self.taken.room
        ]
        arrived = False
        until = time.monotonic() + self._cluster.clients.timeout
        while missing and self.taken.error is None and (left := until - time.monotonic()) > 0:
            records = await self.taken.take(self._consumer.first(missing, SystemClock(), left))
            await self._relocate()
            if records and not arrived:
                arrived = True
                until = min(until, time.monotonic() + GRACE)
            came = {record.partition for record in records} | self.lost.keys()
            missing = [at for at in missing if at not in came and position(at) < ends[at]]
        await self.taken.share([at for at in self._partitions if at not in self.lost])
        if not self._has_found() and missing and not arrived:
            raise StoreUnavailable(self._cluster.where, await self._failure())

    async def _ends(self) -> dict[int, int]:
        """Return the ends of the partitions whose brokers answer.

        Raises StoreUnavailable: none does.
        """
        groups = self._cluster.topics.by_leader(self._topic, self._partitions)
        tasks = {
            asyncio.create_task(self._cluster.offsets.ends(self._topic, group)) for group in groups
        }
        found, errors = dict[int, int](), list[StoreUnavailable]()
        try:
            while tasks:
                done, tasks = await asyncio.wait(
                    tasks, timeout=GRACE if found else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    try:
                        found |= task.result()
                    except StoreUnavailable as error:
                        errors.append(error)
                if not done:
                    break
        finally:
            for task in tasks:
                task.cancel()
        if not found:
            raise errors[0]
        return found

    async def _relocate(self) -> None:
        """Handle partitions that have no message at the offset given.

        The call continues at their first message, or notes that they end below the offset.
        """
        gone = [
            partition
            for partition in self._partitions
            if partition in self._consumer.gone and partition not in self.lost
        ]
        if not gone:
            return
        try:
            begins = await self._cluster.offsets.firsts(self._topic, gone)
            ends = await self._cluster.offsets.ends(self._topic, gone)
        except StoreUnavailable:
            return  # the next iteration asks again
        for partition in gone:
            position, begin, end = (
                self._consumer.position(partition),
                begins[partition],
                ends[partition],
            )
            if position > end:
                self.lost[partition] = end
                continue
            if position < begin:
                text = (
                    "%s: topic %s, partition %d: %d messages from offset %d on are gone, not"
                    " retained for long enough; going on from %d"
                )
                log.error(
                    text,
                    self._cluster.where,
                    self._topic,
                    partition,
                    begin - position,
                    position,
                    begin,
                )
            self._consumer.seek(partition, max(position, begin))

    async def _failure(self) -> str:
        """Return why no partition can be read.

        Raises StoreUnavailable: brokers do not answer that either.
        """
        await self._cluster.topics.learn()
        faults = [
            why
            for partition in self._partitions
            if (why := self._cluster.topics.fault(self._topic, partition))
        ]
        return (
            faults[0]
            if faults
            else f"no broker answers that leads partitions of topic {self._topic}."
        )
