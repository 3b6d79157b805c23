"""Outbox entries that may be published, by topic-partition."""

from collections.abc import Callable, Collection
from heapq import heapify, heappop, heappush, heapreplace
from typing import TypeAlias

from workflow_ray.records import OutboxEntry, Topic

TopicPartition: TypeAlias = tuple[Topic, int]
TIMEOUTS: TopicPartition = (Topic(""), -1)
"""The queue of entries that carry a timeout."""


class Queues:
    """One queue of ids per topic-partition, in commit order.

    The id of an entry that was removed stays until its turn, and is dropped then.
    """

    def __init__(self, entries: Collection[int]) -> None:
        self._entries = entries
        self._queues: dict[TopicPartition, list[int]] = {}  # each is a heap that is not empty

    def add(self, entry: OutboxEntry) -> None:
        heappush(self._queues.setdefault(_topic_partition(entry), []), entry.id)

    def pop(self, limit: int, wanted: Callable[[TopicPartition], bool]) -> list[int]:
        """Remove the first ids, in commit order, of the topic-partitions that are wanted."""
        ids: list[int] = []
        heads = [
            (queue[0], topic_partition)
            for topic_partition, queue in self._queues.items()
            if wanted(topic_partition)
        ]
        heapify(heads)
        while heads and len(ids) < limit:
            topic_partition = heads[0][1]
            queue = self._queues[topic_partition]
            if (first := heappop(queue)) in self._entries:
                ids.append(first)
            if queue:
                heapreplace(heads, (queue[0], topic_partition))
            else:
                heappop(heads)
                del self._queues[topic_partition]
        return ids


def _topic_partition(entry: OutboxEntry) -> TopicPartition:
    return (entry.event.topic, entry.event.partition) if entry.event else TIMEOUTS
