"""What this process knows to be no news, so that a look which would find nothing is spared: the looks of those who come back to
wait are half of all reads, and each takes the writer's time.

Only whether to look hangs on it, never what is written. The pulse brings word of other processes' commits, or else has it all
forgotten.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from workflow_ray.records import BATCH_DATA, Received, RunId, Topic, Version

KEPT = 10_000
"""Runs whose versions are remembered."""


class Versions:
    """The newest versions of runs that this process wrote."""

    def __init__(self) -> None:
        self._newest: dict[RunId, Version] = {}

    def note(self, written: Mapping[RunId, Version]) -> None:
        if len(self._newest) + len(written) > KEPT:
            self._newest.clear()
        self._newest.update(written)

    def forget(self) -> None:
        self._newest.clear()

    def are(self, seen: Mapping[RunId, Version]) -> bool:
        """Whether these are the newest of their runs, as far as is known."""
        return all(self._newest.get(run_id) == version for run_id, version in seen.items())


class Ends:
    """Up to where topics were read, where nothing followed."""

    def __init__(self) -> None:
        self._ends: dict[Topic, dict[int, int]] = {}
        self._growth = Counter[Topic]()  # how often new events have come
        self._forgotten = 0
        self._reached: dict[Topic, dict[int, int]] = {}  # never forgotten: what was published stays

    def grow(self, topics: Collection[Topic]) -> None:
        """There are new events."""
        self._growth.update(list(topics))
        for topic in topics:
            self._ends.pop(topic, None)

    def forget(self) -> None:
        self._forgotten += 1
        self._ends.clear()

    def mark(self, topic: Topic) -> tuple[int, int]:
        """To be handed to `note`: taken before the look that it is about."""
        return self._forgotten, self._growth[topic]

    def note(self, topic: Topic, mark: tuple[int, int], offsets: Mapping[int, int], limit: int, received: Sequence[Received]) -> None:
        """A look from `offsets` on has found these, at most `limit`."""
        found = Counter(item.event.partition for item in received)
        share = -(-limit // len(offsets)) if offsets else 0
        size = sum(len(item.record.data) for item in received if item.record)
        is_all = len(received) < limit and all(count < share for count in found.values()) and size < BATCH_DATA
        after = {item.event.partition: item.offset + 1 for item in received}  # ascending within a partition: the last one stays
        self._reached.setdefault(topic, {}).update({**offsets, **after})
        if is_all and mark == self.mark(topic):
            self._ends.setdefault(topic, {}).update({**offsets, **after})

    def are(self, topic: Topic, offsets: Mapping[int, int]) -> bool:
        """Whether nothing follows these offsets, as far as is known."""
        ends = self._ends.get(topic, {})
        return all(ends.get(partition) == offset for partition, offset in offsets.items())

    def beyond(self, topic: Topic, offsets: Mapping[int, int]) -> dict[int, int]:
        """Those of the offsets that the topic may not have come to."""
        reached = self._reached.get(topic, {})
        return {partition: offset for partition, offset in offsets.items() if offset > reached.get(partition, 0)}
