"""Published events, by topic and partition."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from workflow_ray.errors import StreamLost, TopicMismatch
from workflow_ray.records import BATCH_DATA, Event, Received, Topic
from workflow_ray_adapters.memory.runs import Runs
from workflow_ray_adapters.memory.turns import Turns


class Stream:
    """An event's offset is its place in its topic-partition's list."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._partitions: dict[Topic, int] = {}  # of topics that were prepared
        self._events: dict[tuple[Topic, int], list[Event]] = {}
        self._turns = Turns()

    def prepare(self, topics: Mapping[Topic, int]) -> None:
        for topic, partitions in topics.items():
            if (found := self._partitions.get(topic, partitions)) != partitions:
                raise TopicMismatch(self._where, f"topic {topic!r} has {found} partitions, not {partitions}.")
        self._partitions.update(topics)

    def append(self, events: Iterable[Event]) -> None:
        for event in events:
            self._events.setdefault((event.topic, event.partition), []).append(event)

    def read(self, topic: Topic, offsets: Mapping[int, int], limit: int, runs: Runs) -> list[Received]:
        """Up to `limit` events with their records, one of each partition in turn, until their data fills a batch."""
        self._check(topic, offsets)
        batch: list[Received] = []
        size = 0
        for offset, event in islice(self._in_turn(topic, offsets), limit):
            record = runs.get(event.run_id)
            batch.append(Received(event=event, offset=offset, record=record))
            size += len(record.data) if record else 0
            if size >= BATCH_DATA:
                break
        return batch

    def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return sum(max(0, self.end(topic, partition) - offset) for partition, offset in offsets.items())

    def end(self, topic: Topic, partition: int) -> int:
        """The offset that the next event gets."""
        return len(self._events.get((topic, partition), ()))

    def _check(self, topic: Topic, offsets: Mapping[int, int]) -> None:
        for partition, offset in offsets.items():
            if (end := self.end(topic, partition)) < offset:
                raise StreamLost(self._where, f"partition {partition} of topic {topic!r} ends at {end}, and was read up to {offset}.")

    def _in_turn(self, topic: Topic, offsets: Mapping[int, int]) -> Iterator[tuple[int, Event]]:
        waiting = [partition for partition, offset in offsets.items() if offset < self.end(topic, partition)]
        return self._turns.of([self._from(topic, partition, offsets[partition]) for partition in waiting])

    def _from(self, topic: Topic, partition: int, offset: int) -> Iterator[tuple[int, Event]]:
        events = self._events[topic, partition]
        return ((at, events[at]) for at in range(offset, len(events)))
