"""Published events, by topic and partition."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from workflow_ray.errors import TopicMismatch
from workflow_ray.records import BATCH_DATA, Arrivals, Event, Received, Topic
from workflow_ray_adapters.memory.runs import Runs
from workflow_ray_adapters.memory.turns import Turns

log = logging.getLogger(__name__)


class Log:
    """The events of a topic-partition.

    The offsets of trimmed events are never used again.
    """

    def __init__(self) -> None:
        self.start = 0
        self._events: list[Event] = []

    @property
    def end(self) -> int:
        """The offset that the next event gets."""
        return self.start + len(self._events)

    def append(self, event: Event) -> None:
        self._events.append(event)

    def since(self, offset: int) -> Iterator[tuple[int, Event]]:
        """Return the events at or after the offset, with their offsets."""
        return (
            (at, self._events[at - self.start]) for at in range(max(offset, self.start), self.end)
        )

    def trim(self, offset: int, limit: int) -> int:
        """Remove up to `limit` events below the offset, and return how many."""
        count = max(0, min(offset - self.start, len(self._events), limit))
        del self._events[:count]
        self.start += count
        return count


class Stream:
    """The logs of a store's topic-partitions."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._partitions: dict[Topic, int] = {}  # the partitions of the topics that were prepared
        self._logs: dict[tuple[Topic, int], Log] = {}
        self._reported: set[tuple[Topic, int, int]] = (
            set()
        )  # the topic-partitions where a reader was ahead of the log
        self._turns = Turns()

    def prepare(self, topics: Mapping[Topic, int]) -> None:
        for topic, partitions in topics.items():
            if (found := self._partitions.get(topic, partitions)) != partitions:
                raise TopicMismatch(
                    self._where, f"topic {topic!r} has {found} partitions, not {partitions}."
                )
        self._partitions.update(topics)

    def append(self, events: Iterable[Event]) -> None:
        for event in events:
            self._log(event.topic, event.partition).append(event)

    def read(self, topic: Topic, offsets: Mapping[int, int], limit: int, runs: Runs) -> Arrivals:
        """Read up to `limit` events with their records, until their data fills a batch.

        Each partition gives one event in turn.
        """
        lost = {
            partition: end
            for partition, offset in offsets.items()
            if (end := self.end(topic, partition)) < offset
        }
        self._report(topic, offsets, lost)
        readable = {
            partition: offset for partition, offset in offsets.items() if partition not in lost
        }
        events = tuple(self._batch(topic, readable, limit, runs))
        read = {
            partition: max(offset, self._log(topic, partition).start)
            for partition, offset in readable.items()
        }
        read |= {received.event.partition: received.offset + 1 for received in events}
        return Arrivals(events=events, read=read, lost=lost)

    def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return sum(
            max(0, events.end - max(offset, events.start))
            for events, offset in self._each(topic, offsets)
        )

    def end(self, topic: Topic, partition: int) -> int:
        """The offset that the next event gets."""
        return self._log(topic, partition).end

    def trim(self, topic: Topic, offsets: Mapping[int, int], limit: int) -> int:
        removed = 0
        for events, offset in self._each(topic, offsets):
            removed += events.trim(offset, limit - removed)
        return removed

    def _batch(
        self, topic: Topic, offsets: Mapping[int, int], limit: int, runs: Runs
    ) -> Iterator[Received]:
        logs = [
            events.since(offset)
            for events, offset in self._each(topic, offsets)
            if offset < events.end
        ]
        size = 0
        for offset, event in islice(self._turns.of(logs), limit):
            record = runs.get(event.run_id)
            yield Received(event=event, offset=offset, record=record)
            size += len(record.data) if record else 0
            if size >= BATCH_DATA:
                break

    def _report(self, topic: Topic, offsets: Mapping[int, int], lost: Mapping[int, int]) -> None:
        for partition, end in lost.items():
            if (topic, partition, offsets[partition]) not in self._reported:
                self._reported.add((topic, partition, offsets[partition]))
                log.error(
                    "%s: partition %d of %s ends at %d, and was read up to %d",
                    self._where,
                    partition,
                    topic,
                    end,
                    offsets[partition],
                )

    def _each(self, topic: Topic, offsets: Mapping[int, int]) -> list[tuple[Log, int]]:
        return [(self._log(topic, partition), offset) for partition, offset in offsets.items()]

    def _log(self, topic: Topic, partition: int) -> Log:
        return self._logs.setdefault((topic, partition), Log())
