"""Reads messages from offsets that the caller names each time. Each reader has a consumer."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias, TypeVar

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import Clock
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.codec import Record
from workflow_ray_adapters.kafka.consumer import SILENCE, Consumer
from workflow_ray_adapters.kafka.reading import Found, Look, Taken

T = TypeVar("T")
Key: TypeAlias = tuple[str, str]
"""The reader's name, and the topic."""

IDLE = 60.0
"""Seconds without a call of its reader after which a consumer is closed."""
HEDGE = 0.1
"""Seconds for a new consumer to get ready, before another is tried in parallel."""
log = logging.getLogger(__name__)


class Reader:
    """Lends each call a consumer that is where the reader's previous call ended."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._open = set[Consumer]()
        self._idle = defaultdict[Key, list[tuple[Consumer, float]]](list)
        """Idle consumers, with the time of their last use. A reader has several if calls with its
        name overlap, as those of a role's previous holder and of its successor may.
        """
        self._unreadable = set[tuple[str, int]]()
        """Partitions that were logged as unreadable."""
        self._lost = set[tuple[Key, int]]()
        """Partitions whose lost messages were logged, until the reader has continued."""
        self._turn = 0

    @property
    def kept(self) -> int:
        """How many consumers wait for another call."""
        return sum(map(len, self._idle.values()))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._close_idle())
        try:
            yield
        finally:
            task.cancel()
            for consumer in list(self._open):
                self._stop(consumer)

    async def receive(
        self,
        topic: str,
        offsets: Mapping[int, int],
        decode: Callable[[Record], T | None],
        *,
        reader: str,
        limit: int,
        wait: float,
    ) -> Found[T]:
        """Receive messages, as EventStreamer and SourceReader say.

        Args:
            decode: Makes an item of a message; None: skip the message.
        """
        if not offsets:
            await self._clock.wait(asyncio.Event(), wait)
            return Found([])
        usable = await self._usable(topic, offsets)
        self._turn += 1
        # so that the last ones do not starve where there is not room for all
        first = self._turn % len(usable)
        async with self._lend(
            (reader, topic), {partition: offsets[partition] for partition in usable}
        ) as consumer:
            look = Look(
                self._cluster,
                consumer,
                topic,
                usable[first:] + usable[:first],
                Taken(consumer, decode, limit),
            )
            await (look.wait(self._clock, wait) if wait > 0 else look.once())
            read = {
                partition: consumer.position(partition)
                for partition in usable
                if partition not in look.lost
            }
            self._note_lost((reader, topic), offsets, look.lost)
            self._note_silence(topic, usable, consumer)
            return Found(look.taken.items, read, look.lost)

    # --- consumers ------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lend(self, key: Key, offsets: Mapping[int, int]) -> AsyncGenerator[Consumer]:
        """Lend a consumer that no other call has meanwhile.

        One that raised an error is not used again.
        """
        if self._idle[key]:
            consumer, _ = self._idle[key].pop()
            consumer.read_from(offsets)
        else:
            consumer = await self._cluster.clients.start(
                partial(Consumer, key[1], offsets), every=HEDGE
            )
            self._open.add(consumer)
        try:
            yield consumer
        except Exception:
            self._stop(consumer)
            raise
        finally:
            if consumer in self._open:
                self._idle[key].append((consumer, self._clock.monotonic()))

    async def _close_idle(self) -> None:
        while True:
            await self._clock.wait(asyncio.Event(), IDLE)
            horizon = self._clock.monotonic() - IDLE
            for key, consumers in list(self._idle.items()):
                self._idle[key] = [
                    (consumer, used) for consumer, used in consumers if used > horizon
                ]
                for consumer, used in consumers:
                    if used <= horizon:
                        self._stop(consumer)
                if not self._idle[key]:
                    del self._idle[key]

    def _stop(self, consumer: Consumer) -> None:
        self._open.discard(consumer)
        self._cluster.clients.stop(consumer)

    # --- partitions in trouble ------------------------------------------------------------------

    async def _usable(self, topic: str, partitions: Collection[int]) -> list[int]:
        """Return the partitions that have leaders, as far as is known.

        Raises StoreUnavailable: none has.
        """
        topics = self._cluster.topics
        faults = {
            partition: why for partition in partitions if (why := topics.fault(topic, partition))
        }
        if not faults:
            return list(partitions)
        if len(faults) == len(partitions):
            await topics.learn()
        else:
            topics.refresh()
        faults = {
            partition: why for partition in partitions if (why := topics.fault(topic, partition))
        }
        if len(faults) == len(partitions):
            raise StoreUnavailable(self._cluster.where, next(iter(faults.values())))
        for partition, why in faults.items():
            self._note_trouble(topic, partition, why)
        return [partition for partition in partitions if partition not in faults]

    def _note_silence(self, topic: str, partitions: Collection[int], consumer: Consumer) -> None:
        """Log which partitions can't be read while others are read, and why."""
        topics = self._cluster.topics
        for partition in partitions:
            silence = consumer.silence(partition)
            if consumer.is_answered(partition) and (topic, partition) in self._unreadable:
                self._unreadable.discard((topic, partition))
                log.warning(
                    "%s: partition %d of topic %s is read again",
                    self._cluster.where,
                    partition,
                    topic,
                )
            if silence < SILENCE:
                continue
            topics.refresh()
            if why := topics.fault(topic, partition):
                consumer.leave([partition])
                self._note_trouble(topic, partition, why)
            elif silence > self._cluster.clients.timeout:
                self._note_trouble(
                    topic,
                    partition,
                    f"the broker that leads partition {partition} of topic {topic} doesn't answer.",
                )

    def _note_trouble(self, topic: str, partition: int, why: str) -> None:
        if (topic, partition) not in self._unreadable:
            self._unreadable.add((topic, partition))
            log.warning("%s: %s The others are read meanwhile.", self._cluster.where, why)

    def _note_lost(self, key: Key, offsets: Mapping[int, int], lost: Mapping[int, int]) -> None:
        for partition, offset in offsets.items():
            if partition not in lost:
                self._lost.discard((key, partition))
            elif (key, partition) not in self._lost:
                self._lost.add((key, partition))
                text = (
                    "%s: partition %d of topic %s ends at offset %d, and was read up to %d: it lost"
                    " messages, or was made again"
                )
                log.error(text, self._cluster.where, partition, key[1], lost[partition], offset)
