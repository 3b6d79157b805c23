"""The readers of events. What is known of each is kept between its calls: one that has read all
there is looks again only when something wakes it.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from workflow_ray.ports import Clock
from workflow_ray.records import Arrivals, Topic
from workflow_ray_adapters.sql.arrivals import Receive, is_complete

log = logging.getLogger(__name__)

KEPT = 10_000
"""The number of readers that are remembered."""


@dataclass(eq=False)
class Reader:
    """One reader of a topic, which makes one call at a time."""

    topic: Topic
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    # the offsets up to which it has read all there was
    _ends: dict[int, int] = field(default_factory=dict[int, int])
    # partitions that have new events since it last looked
    _changed: set[int] = field(default_factory=set[int])
    _must_look: bool = True  # any partition may have some
    # the offsets up to which it has read
    _known: dict[int, int] = field(default_factory=dict[int, int])
    # of lost partitions: the offset asked for, and the end
    _reported: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    _awaited: Receive | None = None
    _answer: Arrivals | None = None

    def is_at_end(self, offsets: Mapping[int, int]) -> bool:
        """Return whether nothing follows these offsets, as far as is known."""
        if self._must_look:
            return False
        return offsets.items() <= self._ends.items() and self._changed.isdisjoint(offsets)

    def has_read_to(self, partition: int, end: int) -> bool:
        return self._ends.get(partition) == end

    def unsure(self, offsets: Mapping[int, int]) -> list[int]:
        """Return the partitions that were not read up to these offsets: their logs may end
        elsewhere.
        """
        return [
            partition
            for partition, offset in offsets.items()
            if self._known.get(partition) != offset
        ]

    async def wait(self, receive: Receive, clock: Clock, wait: float) -> Arrivals | None:
        """Return the answer of a transaction that published what it waits for. None: there may be
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
        """Prepare for a look, whose result `end_look` takes. What changes meanwhile makes another
        look worth while.
        """
        self._changed -= offsets.keys()
        self._must_look = False
        for partition in offsets:
            self._ends.pop(partition, None)

    def end_look(self, receive: Receive, arrivals: Arrivals) -> None:
        """Note what a look has found."""
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
        if is_complete(receive, arrivals):
            self._ends |= arrivals.read

    def awaits(self) -> Receive | None:
        """Return what it waits for, if it waits and was not woken yet."""
        return None if self.wakeup.is_set() else self._awaited

    def wake(self, partitions: Collection[int]) -> bool:
        """Wake it if one of the partitions concerns it, now or when it comes back. Return whether
        it does so now.
        """
        self._changed.update(partitions)
        concerned = self._awaited is not None and not self._awaited.offsets.keys().isdisjoint(
            partitions
        )
        if concerned:
            self.wakeup.set()
        return concerned

    def forget(self) -> None:
        """Make it look when it comes back, unless it waits: anything may have come."""
        self._must_look |= self._awaited is None

    def answer(self, receive: Receive, arrivals: Arrivals) -> None:
        """Give it what a transaction has found for it, in some of its partitions."""
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
        """Return what readers of the topic wait for. Any thread may call it."""
        readers = tuple(self._by_topic.get(topic, ()))
        return [receive for reader in readers if (receive := reader.awaits())]

    def is_anybody_waiting(self) -> bool:
        return any(reader.awaits() for reader in self._readers.values())

    def topics(self) -> list[Topic]:
        """Return the topics that are read."""
        return list(self._by_topic)

    def compare(self, ends: Mapping[tuple[Topic, int], int]) -> bool:
        """Wake those who have not read up to these ends, which a look has found. Return whether any
        of them waits.

        A reader that looks right now looks once more: it may have begun before the events were
        there.
        """
        woken = [
            reader.wake((partition,))
            for (topic, partition), end in ends.items()
            for reader in self._by_topic.get(topic, ())
            if not reader.has_read_to(partition, end)
        ]
        return any(woken)

    def wake(self, events: Mapping[Topic, Collection[int]]) -> bool:
        """Wake those whom events in these partitions concern. Return whether any of them waits."""
        woken = [
            reader.wake(partitions)
            for topic, partitions in events.items()
            for reader in self._by_topic.get(topic, ())
        ]
        return any(woken)

    def forget(self) -> None:
        """Note that any topic may have new events. Those who wait are not woken: the caller looks
        for them.
        """
        for reader in self._readers.values():
            reader.forget()

    def published(
        self, events: Mapping[Topic, Collection[int]], answers: Sequence[tuple[Receive, Arrivals]]
    ) -> None:
        """Wake those whom the events of a transaction concern, and give them the answers that it
        found. A reader that was woken before looks for itself.
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
