"""Those who receive events. What is known of each is kept between its calls: one that has read all
there is need not look again before something wakes it.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from workflow_ray.ports import Clock
from workflow_ray.records import Arrivals, Topic
from workflow_ray_adapters.sql import stream
from workflow_ray_adapters.sql.stream import Receive

log = logging.getLogger(__name__)

KEPT = 10_000
"""Readers that are remembered."""


@dataclass(eq=False)
class Reader:
    """One who receives from a topic, by one call at a time."""

    topic: Topic
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    # the offsets up to where it has read all there was
    _ends: dict[int, int] = field(default_factory=dict[int, int])
    # partitions that got events since it looked last
    _changed: set[int] = field(default_factory=set[int])
    _must_look: bool = True  # any partition may have got some
    _known: dict[int, int] = field(default_factory=dict[int, int])  # up to where it has read
    # of lost partitions: where, and their ends
    _reported: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    _awaited: Receive | None = None
    _answer: Arrivals | None = None

    def is_at_end(self, offsets: Mapping[int, int]) -> bool:
        """Whether nothing follows these offsets, as far as is known."""
        if self._must_look:
            return False
        return all(
            self._ends.get(partition) == offset and partition not in self._changed
            for partition, offset in offsets.items()
        )

    def has_read_to(self, partition: int, end: int) -> bool:
        return self._ends.get(partition) == end

    def unsure(self, offsets: Mapping[int, int]) -> list[int]:
        """The partitions that were not read up to these offsets: their logs may end elsewhere."""
        return [
            partition
            for partition, offset in offsets.items()
            if self._known.get(partition) != offset
        ]

    async def wait(self, receive: Receive, clock: Clock, wait: float) -> Arrivals | None:
        """The answer of a transaction that published what it waits for; None: there may be
        something to look for, or the time is over.
        """
        self._awaited = receive
        self._answer = None
        self.wakeup.clear()
        try:
            await clock.wait(self.wakeup, wait)
        finally:
            self._awaited = None
        return self._answer

    def begin_look(self, offsets: Mapping[int, int]) -> None:
        """Before the look that `end_look` tells of: what changes meanwhile makes it worth another
        one.
        """
        self._changed -= offsets.keys()
        self._must_look = False
        for partition in offsets:
            self._ends.pop(partition, None)

    def end_look(self, receive: Receive, arrivals: Arrivals) -> None:
        """A look has found this."""
        self._known |= arrivals.read
        for partition, end in arrivals.lost.items():
            if self._reported.get(partition) != (lost := (receive.offsets[partition], end)):
                self._reported[partition] = lost
                log.error(
                    "Partition %d of %s ends at %d, and was read up to %d: it lost its tail.",
                    partition,
                    self.topic,
                    end,
                    lost[0],
                )
        if stream.is_complete(receive, arrivals):
            self._ends |= arrivals.read

    def awaits(self) -> Receive | None:
        """What it waits for, if it waits and was not woken yet."""
        return None if self.wakeup.is_set() else self._awaited

    def wake(self, partitions: Collection[int]) -> bool:
        """Wake it if one of the partitions concerns it, now or when it comes back. Whether it does
        so now.
        """
        self._changed.update(partitions)
        concerned = self._awaited is not None and not self._awaited.offsets.keys().isdisjoint(
            partitions
        )
        if concerned:
            self.wakeup.set()
        return concerned

    def forget(self) -> None:
        """Unless it waits, anything may have come: it looks when it comes back."""
        self._must_look |= self._awaited is None

    def answer(self, receive: Receive, arrivals: Arrivals) -> None:
        """A transaction has found this for it, in some of its partitions."""
        self._answer = arrivals
        self.begin_look(arrivals.read)
        self.end_look(receive, arrivals)
        self.wakeup.set()


class Readers:
    """All readers of this process."""

    def __init__(self) -> None:
        self._readers: dict[tuple[str, Topic], Reader] = {}  # the one that called last is the last
        self._by_topic: dict[Topic, set[Reader]] = {}

    def reader(self, name: str, topic: Topic) -> Reader:
        reader = self._readers.pop((name, topic), None) or Reader(topic)
        self._readers[name, topic] = reader
        self._by_topic.setdefault(topic, set()).add(reader)
        if len(self._readers) > KEPT:
            self._forget_one()
        return reader

    def awaited(self, topic: Topic) -> list[Receive]:
        """What readers of the topic wait for. May be called by any thread."""
        readers = tuple(self._by_topic.get(topic, ()))
        return [receive for reader in readers if (receive := reader.awaits())]

    def is_anybody_waiting(self) -> bool:
        return any(reader.awaits() for reader in self._readers.values())

    def topics(self) -> list[Topic]:
        """The topics that are read."""
        return list(self._by_topic)

    def compare(self, ends: Mapping[tuple[Topic, int], int]) -> bool:
        """A look has found these ends: wake those who have not read up to there. Whether any of
        them waits.

        Who looks itself right now looks once more: it may have begun before the events were there.
        """
        woken = [
            reader.wake((partition,))
            for (topic, partition), end in ends.items()
            for reader in self._by_topic.get(topic, ())
            if not reader.has_read_to(partition, end)
        ]
        return any(woken)

    def wake(self, events: Mapping[Topic, Collection[int]]) -> bool:
        """Wake those whom events in these partitions concern. Whether any of them waits."""
        woken = [
            reader.wake(partitions)
            for topic, partitions in events.items()
            for reader in self._by_topic.get(topic, ())
        ]
        return any(woken)

    def forget(self) -> None:
        """Any topic may have got events. Those who wait are not woken: whoever calls looks for
        them.
        """
        for reader in self._readers.values():
            reader.forget()

    def published(
        self, events: Mapping[Topic, Collection[int]], answers: Sequence[tuple[Receive, Arrivals]]
    ) -> None:
        """A transaction has published these events, and found these answers. Who was woken before
        looks for itself.
        """
        awaited = {
            receive: reader
            for topic in events
            for reader in self._by_topic.get(topic, ())
            if (receive := reader.awaits())
        }
        self.wake(events)
        for receive, arrivals in answers:
            if reader := awaited.get(receive):
                reader.answer(receive, arrivals)

    def _forget_one(self) -> None:
        key = next((key for key, reader in self._readers.items() if reader.awaits() is None), None)
        if key is not None:
            reader = self._readers.pop(key)
            self._by_topic[reader.topic].discard(reader)
            if not self._by_topic[reader.topic]:
                del self._by_topic[reader.topic]
