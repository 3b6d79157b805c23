"""Published events, by topic, partition and offset."""

import logging
from collections.abc import Collection, Mapping, Sequence

from workflow_ray.errors import StreamLost, TopicMismatch
from workflow_ray.records import BATCH_DATA, Event, Received, Topic
from workflow_ray_adapters.redis.rows import encode, to_received
from workflow_ray_adapters.redis.scripts import HEADS, PREPARE, RAISE, RECEIVE, SEND
from workflow_ray_adapters.redis.server import Server

log = logging.getLogger(__name__)


class Stream:
    """Reads and appends. Offsets are given out by Redis, in the order in which scripts run, which is that of commit."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._turn = 0

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        other = await self._server.call(PREPARE, *(part for topic, partitions in topics.items() for part in (topic, str(partitions))))
        if other:
            topic, stored = other[0].decode(), int(other[1])
            raise TopicMismatch(self._server.where, f"topic {topic!r} has {stored} partitions, not {topics[Topic(topic)]}.")

    async def append(self, events: Sequence[Event]) -> None:
        parts = [part for event in events for part in (f"{event.partition}:{event.topic}", encode(event))]
        await self._server.call(SEND, self.retained, *parts)

    @property
    def retained(self) -> str:
        """As scripts take it."""
        return str(self._server.address.retain or "")

    async def read(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> list[Received]:
        """Up to `limit` events with their records, one of each partition in turn, until their data fills a batch."""
        if not offsets or limit <= 0:
            return []
        share = -(-limit // len(offsets))
        *answer, short = await self._server.call(RECEIVE, topic, limit, share, BATCH_DATA, *_pairs(self._turned(offsets)))
        received = to_received(answer)
        self._report_gaps(topic, offsets, received)
        if short:
            await self._lost_tail(topic, offsets, {int(partition): int(end) for partition, end in short})
        return received

    def _turned(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Beginning with another partition each time, or a small limit would starve the last ones."""
        self._turn += 1
        partitions = list(offsets)
        first = self._turn % len(partitions)
        return {partition: offsets[partition] for partition in partitions[first:] + partitions[:first]}

    def _report_gaps(self, topic: Topic, offsets: Mapping[int, int], received: Sequence[Received]) -> None:
        """Offsets have no gaps but where events were retained for so long only, or were lost."""
        expected = dict(offsets)
        for item in received:
            partition = item.event.partition
            if item.offset > expected[partition]:
                where, gone = self._server.where, f"events from offset {expected[partition]} to {item.offset - 1} are gone"
                log.error("%s: partition %d of topic %r: %s. A sweeper sends them again.", where, partition, topic, gone)
            expected[partition] = item.offset + 1

    async def _lost_tail(self, topic: Topic, offsets: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Raises StreamLost, once: a crash or a failover took the end of a partition, whose positions are kept elsewhere.

        It goes on from the offset that was asked for, so that no offset stands for two events, and whoever asks again finds it mended.
        """
        await self._server.call(RAISE, topic, *_pairs({partition: offsets[partition] for partition in ends}))
        what = "; ".join(f"partition {partition} ends at {end}, and was read up to {offsets[partition]}" for partition, end in ends.items())
        raise StreamLost(self._server.where, f"topic {topic!r} has lost events: {what}. It goes on from there; a sweeper sends them again.")

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        heads = await self._heads(topic, offsets)
        return sum(max(0, min(heads[partition][1], heads[partition][0] - offset)) for partition, offset in offsets.items())

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return {partition: end for partition, (end, _) in (await self._heads(topic, partitions)).items()}

    async def _heads(self, topic: Topic, partitions: Collection[int]) -> dict[int, tuple[int, int]]:
        """Of each partition the offset that its next event gets, and how many events it has."""
        heads = await self._server.call(HEADS, topic, *partitions)
        return {partition: (int(end), length) for partition, (end, length) in zip(partitions, heads, strict=True)}


def _pairs(offsets: Mapping[int, int]) -> list[int]:
    return [part for pair in offsets.items() for part in pair]
