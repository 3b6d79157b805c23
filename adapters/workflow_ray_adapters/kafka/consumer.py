"""Wraps one of aiokafka's consumers.

It reads partitions of a topic from offsets that its caller names.
"""

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
"""Real seconds without an answer after which a partition counts as unreadable."""
PARTITION_DATA = BATCH_DATA // 8
"""Bytes that are fetched of a partition at a time; more if one message is larger."""
LEEWAY = 0.05
"""Seconds for aiokafka to end a wait by itself, because a cancelled one leaves a future behind."""
LOOK = 0.005
"""Seconds between checks whether a new consumer knows its topic; aiokafka sends no signal."""


@dataclass
class _LastAnswer:
    """What a partition's leader has answered since the last seek, at real times."""

    stamp: int | None  # aiokafka's time of the last answer to a fetch
    sought: float
    at: float | None = None


class Consumer:
    """Fetches ahead, and continues after the messages that it returned.

    Another offset makes it seek.
    """

    def __init__(self, topic: str, offsets: Mapping[int, int], **options: Any) -> None:
        """Prepare a consumer.

        Args:
            topic: Its name on the brokers. It must exist.
            offsets: Where to begin to read.
            options: How to reach the cluster.
        """
        self.gone = set[int]()
        """Partitions that have no message at the offset given."""
        self._topic = topic
        self._begin = offsets
        self._next: dict[int, int] = {}
        """The offset to continue from, of each partition that is assigned."""
        self._last_answers: dict[int, _LastAnswer] = {}
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
        """Start, and wait until it knows who leads the topic.

        It fetches only then: without a leader aiokafka would ask for leaders without a pause.
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
        """Read these partitions from these offsets on; others continue."""
        if not offsets.keys() <= self._next.keys():
            self._assign({**self._next, **offsets})
            return
        for partition, offset in offsets.items():
            if self._next[partition] != offset:
                self.seek(partition, offset)

    def leave(self, partitions: Collection[int]) -> None:
        """Stop reading the partitions.

        While one has no leader, aiokafka asks for leaders without a pause.
        """
        left = {
            partition: offset
            for partition, offset in self._next.items()
            if partition not in partitions
        }
        if len(left) < len(self._next):
            self._assign(left)

    def position(self, partition: int) -> int:
        """Return the offset to continue from: all below was returned, is not for us, or is gone."""
        return self._next[partition]

    def _assign(self, offsets: Mapping[int, int]) -> None:
        self._consumer.assign([self._at(partition) for partition in offsets])
        self._next = {}
        for partition, offset in offsets.items():
            self.seek(partition, offset)

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from the offset on. What was fetched of it is fetched again."""
        self.gone.discard(partition)
        self._next[partition] = offset
        self._consumer.seek(self._at(partition), offset)
        self._last_answers[partition] = _LastAnswer(self._last_fetch(partition), time.monotonic())

    def _at(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    # --- reading --------------------------------------------------------------------------------

    def is_answered(self, partition: int) -> bool:
        """Whether a fetch of the partition was answered a moment ago, since the last seek."""
        silence = self.silence(partition)
        return self._last_answers[partition].at is not None and silence < SILENCE

    def silence(self, partition: int) -> float:
        """Return the real seconds since the partition's last answered fetch, or last seek."""
        now = time.monotonic()
        last = self._last_answers[partition]
        if (stamp := self._last_fetch(partition)) != last.stamp:
            last.stamp = stamp
            last.at = now
        return now - (last.sought if last.at is None else last.at)

    def _last_fetch(self, partition: int) -> int | None:
        stamp: int | None = self._consumer.last_poll_timestamp(self._at(partition))
        return stamp

    async def first(
        self, partitions: Collection[int], clock: Clock, seconds: float
    ) -> list[Record]:
        """Wait for the first message, and return only that one.

        It may return none before `seconds` are over.
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
            self._go_back(partitions)  # The cancelled call may have taken a message.
            raise
        return [] if call.cancelled() else await self._taken(call, partitions)

    async def take(self, partition: int, limit: int) -> list[Record]:
        """Return messages of a partition that were fetched, at most `limit`, without waiting."""
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
            # aiokafka would continue after messages that it has unpacked, and not returned.
            self._go_back(partitions)
            raise
        for partition in partitions:
            self._next[partition] = await self._consumer.position(self._at(partition))
        for at in found:
            self._last_answers[at.partition].at = time.monotonic()
        return [record for records in found.values() for record in records]

    def _go_back(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self.seek(partition, self._next[partition])


def _set(event: asyncio.Event, _: object) -> None:
    event.set()
