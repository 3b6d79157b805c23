"""Published events, by topic, partition and offset."""

import logging
from collections.abc import Collection, Mapping, Sequence

from workflow_ray.errors import TopicMismatch
from workflow_ray.records import BATCH_DATA, Arrivals, Event, Fence, Received, Topic
from workflow_ray_adapters.redis.roles import lost
from workflow_ray_adapters.redis.rows import encode, to_received
from workflow_ray_adapters.redis.scripts import HEADS, PREPARE, RECEIVE, SEND, TRIM
from workflow_ray_adapters.redis.server import Server

log = logging.getLogger(__name__)


class Stream:
    """Reads and appends events.

    Redis gives out the offsets in the order in which scripts run, which is the commit order.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._turn = 0
        # the ends of partitions that were reported as lost
        self._lost: dict[tuple[Topic, int], int] = {}

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        other = await self._server.call(
            PREPARE,
            *(part for topic, partitions in topics.items() for part in (topic, str(partitions))),
        )
        if other:
            topic, stored = other[0].decode(), int(other[1])
            raise TopicMismatch(
                self._server.where,
                f"topic {topic!r} has {stored} partitions, not {topics[Topic(topic)]}.",
            )

    async def append(self, events: Sequence[Event]) -> None:
        await self._server.call(
            SEND,
            *(
                part
                for event in events
                for part in (f"{event.partition}:{event.topic}", encode(event))
            ),
        )

    async def read(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> Arrivals:
        """Read up to `limit` events with their records, until their data fills a batch.

        Each partition gives one event in turn.
        """
        if not offsets or limit <= 0:
            return Arrivals(read=dict(offsets))
        share = -(-limit // len(offsets))
        *answer, ends, trimmed = await self._server.call(
            RECEIVE, topic, limit, share, BATCH_DATA, *_pairs(self._rotate(offsets))
        )
        received = to_received(answer)
        below = _numbers(trimmed)
        self._report_gaps(
            topic,
            {
                partition: max(offset, below.get(partition, 0))
                for partition, offset in offsets.items()
            },
            received,
        )
        stops = _numbers(ends)
        short = {partition: end for partition, end in stops.items() if end < offsets[partition]}
        self._report_lost(topic, offsets, short)
        read = {
            partition: stops.get(partition, offset)
            for partition, offset in offsets.items()
            if partition not in short
        }
        return Arrivals(
            events=tuple(received),
            read=read | {item.event.partition: item.offset + 1 for item in received},
            lost=short,
        )

    def _rotate(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Begin with another partition each time: a small limit would starve the last ones."""
        self._turn += 1
        partitions = list(offsets)
        first = self._turn % len(partitions)
        return {
            partition: offsets[partition] for partition in partitions[first:] + partitions[:first]
        }

    def _report_gaps(
        self, topic: Topic, expected: Mapping[int, int], received: Sequence[Received]
    ) -> None:
        """Log events that are gone. Offsets have gaps only where events were trimmed or lost."""
        following = dict(expected)
        for item in received:
            partition = item.event.partition
            if item.offset > following[partition]:
                gone = f"events from offset {following[partition]} to {item.offset - 1} are gone"
                log.error(
                    "%s: partition %d of %s: %s. A sweeper sends them again.",
                    self._server.where,
                    partition,
                    topic,
                    gone,
                )
            following[partition] = item.offset + 1

    def _report_lost(
        self, topic: Topic, offsets: Mapping[int, int], ends: Mapping[int, int]
    ) -> None:
        """Log once that a crash or a failover has lost the end of a partition.

        The positions are in another store, or the loss would not be noticed.
        """
        for partition, end in ends.items():
            if self._lost.get((topic, partition)) != end:
                self._lost[topic, partition] = end
                what = (
                    f"partition {partition} of {topic} ends at {end}, and was read up to"
                    f" {offsets[partition]}"
                )
                log.error(
                    "%s: %s. It lost events; a sweeper sends them again.", self._server.where, what
                )

    async def trim(self, fence: Fence, topic: Topic, offsets: Mapping[int, int], limit: int) -> int:
        retain = self._server.address.retain or 0
        answer = await self._server.call(
            TRIM, fence.role, fence.epoch, topic, limit, retain, *_pairs(offsets)
        )
        if refusal := lost(fence, answer):
            raise refusal
        return int(answer[0])

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        heads = await self._heads(topic, offsets)
        return sum(
            max(0, min(heads[partition][1], heads[partition][0] - offset))
            for partition, offset in offsets.items()
        )

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return {
            partition: end for partition, (end, _) in (await self._heads(topic, partitions)).items()
        }

    async def _heads(self, topic: Topic, partitions: Collection[int]) -> dict[int, tuple[int, int]]:
        """Return the offset of the next event and the number of events of each partition."""
        heads = await self._server.call(HEADS, topic, *partitions)
        return {
            partition: (int(head[0]), head[1])
            for partition, head in zip(partitions, heads, strict=True)
        }


def _pairs(offsets: Mapping[int, int]) -> list[int]:
    return [part for pair in offsets.items() for part in pair]


def _numbers(pairs: Sequence[Sequence[bytes]]) -> dict[int, int]:
    return {int(partition): int(number) for partition, number in pairs}
