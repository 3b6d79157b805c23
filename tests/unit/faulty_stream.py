"""A stream of events that fails when a test asks it to."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from workflow_ray.errors import SendFailed, StoreUnavailable
from workflow_ray.ports import Clock
from workflow_ray.records import (
    Arrivals,
    Event,
    Fence,
    Topic,
)
from workflow_ray_adapters.memory import MemoryStore


class FaultyStream(MemoryStore):
    """The events alone, some of whose partitions can't be sent to, and which loses what it has
    acknowledged.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.failing: set[int] = set()  # partitions
        self.silence = 0.0  # seconds until a send to such a partition fails
        self.lose_answers = 0  # so many of the next sends arrive, but their sender gets no answer
        self.away = False  # so that its ends can't be read
        self.swallow = 0  # so many of the next events are acknowledged and don't arrive
        self.attempts = Counter[int]()  # of each partition, to send there
        self.arrived: list[Event] = []  # all that ever did
        self._starts: dict[tuple[Topic, int], int] = {}
        # messages of others at the end of a partition
        self._foreign: dict[tuple[Topic, int], int] = {}
        self._cut_off: dict[tuple[Topic, int], int] = {}  # events of its beginning that are gone

    async def send(self, events: Sequence[Event]) -> None:
        self.attempts.update({event.partition for event in events})
        arriving = [event for event in events if event.partition not in self.failing]
        lost = min(self.swallow, len(arriving))
        self.swallow -= lost
        for event in arriving[lost:]:
            self._pass_foreign(event.topic, event.partition)
        await super().send(arriving[lost:])
        self.arrived += arriving[lost:]
        if failed := {(event.topic, event.partition) for event in events} - {
            (event.topic, event.partition) for event in arriving
        }:
            await self._clock.wait(asyncio.Event(), self.silence)
            raise SendFailed("the stream", "a partition has no leader", sorted(failed))
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the stream", "the connection broke after the send")

    async def drop(self, topic: Topic) -> None:
        """What retention does: the events that are there by now can't be had any more."""
        self._starts |= {
            (topic, partition): end
            for partition, end in (await self.ends(topic, range(16))).items()
        }

    async def lose_tail(self, topic: Topic, partition: int) -> None:
        """The log of that partition is made again, empty."""
        inner = await super().ends(topic, [partition])
        self._cut_off[topic, partition] = inner[partition]
        self._foreign.pop((topic, partition), None)
        self._starts.pop((topic, partition), None)

    def add_foreign(self, topic: Topic, partition: int, count: int = 1) -> None:
        """Messages of somebody else, behind all events that are there."""
        self._foreign[topic, partition] = self._foreign.get((topic, partition), 0) + count

    def _pass_foreign(self, topic: Topic, partition: int) -> None:
        """An event is to follow them: count offsets, also of events before them, further on."""
        self._cut_off[topic, partition] = self._gone(topic, partition) - self._foreign.pop(
            (topic, partition), 0
        )

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        if self.away:
            raise StoreUnavailable("the stream", "nobody answers")
        return await self._ends(topic, partitions)

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        ends = await self._ends(topic, list(offsets))
        lost = {number: ends[number] for number, offset in offsets.items() if offset > ends[number]}
        inner = {
            number: offset
            for number, offset in self._inner(topic, offsets).items()
            if number not in lost
        }
        found = await super().receive(
            topic, inner, reader=reader, limit=limit, wait=0.0 if lost else wait
        )
        events = tuple(
            msgspec.structs.replace(
                item, offset=item.offset - self._gone(topic, item.event.partition)
            )
            for item in found.events
        )
        read = {
            number: self._read_up_to(topic, number, offset) for number, offset in found.read.items()
        }
        return Arrivals(events=events, read=read, lost=lost)

    async def trim(
        self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
    ) -> int:
        return 0  # tests look at all that was ever sent

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        ends = await self.ends(topic, list(offsets))
        starts = {
            number: max(offset, self._starts.get((topic, number), 0))
            for number, offset in offsets.items()
        }
        return sum(max(0, ends[number] - start) for number, start in starts.items())

    async def _ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        inner = await super().ends(topic, partitions)
        return {
            number: end - self._gone(topic, number) + self._foreign.get((topic, number), 0)
            for number, end in inner.items()
        }

    def _gone(self, topic: Topic, partition: int) -> int:
        return self._cut_off.get((topic, partition), 0)

    def _inner(self, topic: Topic, offsets: Mapping[int, int]) -> dict[int, int]:
        """The offsets in the log beneath, which never loses anything, and knows no messages of
        others.
        """
        starts = {number: self._starts.get((topic, number), 0) for number in offsets}
        ends = {number: self._contents.stream.end(topic, number) for number in offsets}
        inner = {
            number: max(offset + self._gone(topic, number), starts[number])
            for number, offset in offsets.items()
        }
        return {number: min(offset, ends[number]) for number, offset in inner.items()}

    def _read_up_to(self, topic: Topic, number: int, inner: int) -> int:
        """Whoever has come to the end of the log beneath has passed the messages of others too."""
        foreign = (
            self._foreign.get((topic, number), 0)
            if inner >= self._contents.stream.end(topic, number)
            else 0
        )
        return inner - self._gone(topic, number) + foreign
