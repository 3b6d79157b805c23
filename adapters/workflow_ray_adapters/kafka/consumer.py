"""One of aiokafka's consumers. It reads partitions of a topic from where its caller says."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import time
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from workflow_ray.ports import Clock
from workflow_ray.records import BATCH_DATA
from workflow_ray_adapters.kafka.codec import Record

LONG_POLL = 0.5
"""Seconds that a broker waits for messages. A seek waits for that too: a broker answers one fetch
of a consumer at a time.
"""
SILENCE = 2 * LONG_POLL + 0.5
"""Real seconds after which a partition of which nothing was heard is in trouble."""
PARTITION_DATA = BATCH_DATA // 8
"""Bytes that are fetched of a partition at a time; more, where one message is larger."""
LEEWAY = 0.05
"""Seconds for aiokafka to end a wait by itself: one that is cancelled leaves a future behind."""
LOOK = 0.005
"""Seconds between looks whether a new consumer knows its topic: aiokafka does not tell."""


@dataclass
class _Hearing:
    """What was heard of a partition since it was sought, at real times of ours."""

    stamp: int | None  # the time by aiokafka of the last answer to a fetch
    sought: float
    at: float | None = None


class Consumer:
    """Fetches ahead, and follows what was handed out. Naming another offset makes it seek."""

    def __init__(self, topic: str, offsets: Mapping[int, int], **options: Any) -> None:
        """Args:
        topic: As brokers call it. It must be there.
        offsets: Where to begin to read.
        options: How to reach the cluster.
        """
        self.gone = set[int]()
        """Partitions that have no message at the offset asked for."""
        self._topic = topic
        self._begin = offsets
        self._next: dict[int, int] = {}
        """The offset to go on from, of each partition that is assigned."""
        self._hearing: dict[int, _Hearing] = {}
        self._consumer = AIOKafkaConsumer(
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=min(int(LONG_POLL * 1000), options["request_timeout_ms"] // 2),
            fetch_max_bytes=BATCH_DATA,
            max_partition_fetch_bytes=PARTITION_DATA,
            **options,
        )

    async def start(self) -> None:
        """Ends once it knows who leads the topic. It fetches only then: without a leader aiokafka
        would ask for leaders without a pause.
        """
        await self._consumer.start()
        asking = asyncio.ensure_future(
            self._consumer.beginning_offsets([self._at(partition) for partition in self._begin])
        )
        try:
            while self._consumer.partitions_for_topic(self._topic) is None:
                await asyncio.wait([asking], timeout=LOOK)
                if asking.done():
                    asking.result()
        finally:
            asking.cancel()
        self.read_from(self._begin)

    async def stop(self) -> None:
        await self._consumer.stop()

    # --- where to read --------------------------------------------------------------------------

    def read_from(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions from there on; others as before."""
        if not offsets.keys() <= self._next.keys():
            self._assign({**self._next, **offsets})
            return
        for partition, offset in offsets.items():
            if self._next[partition] != offset:
                self.seek(partition, offset)

    def leave(self, partitions: Collection[int]) -> None:
        """Do not read them any more. While one has no leader, aiokafka asks for leaders without a
        pause.
        """
        left = {
            partition: offset
            for partition, offset in self._next.items()
            if partition not in partitions
        }
        if len(left) < len(self._next):
            self._assign(left)

    def position(self, partition: int) -> int:
        """The offset to go on from: all below was handed out, is not for us, or is gone."""
        return self._next[partition]

    def _assign(self, offsets: Mapping[int, int]) -> None:
        self._consumer.assign([self._at(partition) for partition in offsets])
        self._next = {}
        for partition, offset in offsets.items():
            self.seek(partition, offset)

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from there on. What was fetched of it is fetched again."""
        self.gone.discard(partition)
        self._next[partition] = offset
        self._consumer.seek(self._at(partition), offset)
        self._hearing[partition] = _Hearing(self._last_fetch(partition), time.monotonic())

    def _at(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    # --- reading --------------------------------------------------------------------------------

    def is_heard(self, partition: int) -> bool:
        """Whether a fetch of the partition was answered a moment ago, since the last seek."""
        silence = self.silence(partition)
        return self._hearing[partition].at is not None and silence < SILENCE

    def silence(self, partition: int) -> float:
        """Real seconds since a fetch of the partition was answered, or since the last seek."""
        now = time.monotonic()
        hearing = self._hearing[partition]
        if (stamp := self._last_fetch(partition)) != hearing.stamp:
            hearing.stamp = stamp
            hearing.at = now
        return now - (hearing.sought if hearing.at is None else hearing.at)

    def _last_fetch(self, partition: int) -> int | None:
        stamp: int | None = self._consumer.last_poll_timestamp(self._at(partition))
        return stamp

    async def first(
        self, partitions: Collection[int], clock: Clock, seconds: float
    ) -> list[Record]:
        """Wait for a message: the first one, and no other.

        It may end before `seconds` without one.
        """
        wanted = [self._at(partition) for partition in partitions]
        timeout = max(int(min(seconds, LONG_POLL) * 1000), 1)
        call: asyncio.Future[Any] = asyncio.ensure_future(
            self._consumer.getmany(*wanted, timeout_ms=timeout, max_records=1)
        )
        ended = asyncio.Event()
        call.add_done_callback(partial(_set, ended))
        try:
            await clock.wait(ended, seconds + LEEWAY)
            call.cancel()
            await asyncio.wait([call])
        except asyncio.CancelledError:
            call.cancel()
            self._go_back(partitions)  # it may have taken a message
            raise
        return [] if call.cancelled() else await self._taken(call, partitions)

    async def take(self, partition: int, limit: int) -> list[Record]:
        """Messages of a partition that were fetched, `limit` at most; does not wait."""
        return await self._taken(
            self._consumer.getmany(self._at(partition), max_records=limit), [partition]
        )

    async def _taken(self, call: Awaitable[Any], partitions: Collection[int]) -> list[Record]:
        try:
            found = await call
        except OffsetOutOfRangeError as error:
            self.gone |= {at.partition for at in error.args[0]}
            return []
        except Exception:
            # aiokafka would go on behind what it had unpacked by then, and has not handed out.
            self._go_back(partitions)
            raise
        for partition in partitions:
            self._next[partition] = await self._consumer.position(self._at(partition))
        for at in found:
            self._hearing[at.partition].at = time.monotonic()
        return [record for records in found.values() for record in records]

    def _go_back(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self.seek(partition, self._next[partition])


def _set(event: asyncio.Event, _: object) -> None:
    event.set()
