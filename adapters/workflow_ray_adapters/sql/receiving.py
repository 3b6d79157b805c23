"""Receive events: at once, or when a transaction has published some."""

from collections.abc import Mapping
from dataclasses import replace

from workflow_ray.ports import Clock
from workflow_ray.records import Arrivals, Topic
from workflow_ray_adapters.sql import stream
from workflow_ray_adapters.sql.arrivals import Receive
from workflow_ray_adapters.sql.database import BRIEF, Database
from workflow_ray_adapters.sql.readers import Reader, Readers


class Receiving:
    """The calls of `receive` of one store."""

    def __init__(self, database: Database, clock: Clock, readers: Readers) -> None:
        self._database = database
        self._clock = clock
        self._readers = readers
        self._turn = 0

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        """Do as EventStreamer.receive."""
        reading = self._readers.reader(reader, topic)
        deadline = self._clock.monotonic() + wait
        while True:
            receive = Receive(topic, offsets, limit)
            if (left := deadline - self._clock.monotonic()) > 0 and reading.is_at_end(offsets):
                if arrivals := await reading.wait(receive, self._clock, left):
                    return arrivals
                if reading.is_at_end(offsets):
                    return Arrivals(read=dict(offsets))
            arrivals = await self._look(reading, receive)
            if arrivals.events or arrivals.lost or deadline <= self._clock.monotonic():
                return arrivals
            offsets = {**offsets, **arrivals.read}

    async def _look(self, reading: Reader, receive: Receive) -> Arrivals:
        """Return what there is for the reader now."""
        turned, unsure = (
            replace(receive, offsets=self._turned(receive.offsets)),
            reading.unsure(receive.offsets),
        )
        reading.begin_look(receive.offsets)
        arrivals = await self._database.read(
            lambda session: stream.receive(session, turned, unsure), brief=receive.limit <= BRIEF
        )
        reading.end_look(receive, arrivals)
        return arrivals

    def _turned(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Begin with another partition each time, because a small limit would starve the last
        one.
        """
        self._turn += 1
        partitions = list(offsets)
        first = self._turn % (len(partitions) or 1)
        return {
            partition: offsets[partition] for partition in partitions[first:] + partitions[:first]
        }
