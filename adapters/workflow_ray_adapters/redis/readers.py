"""Remembers which readers have read all of their partitions."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from workflow_ray.ports import Clock
from workflow_ray.records import Arrivals, Topic
from workflow_ray_adapters.redis.notifications import Notifications

KEPT = 10_000
"""Readers that are remembered."""


@dataclass
class Reader:
    """One reader. It also gets notifications between its calls."""

    names: Collection[str]  # what it reads
    wakeup: asyncio.Event
    ends: Mapping[int, int] | None = None  # the offsets at which nothing was left to read

    def is_at_end(self, offsets: Mapping[int, int]) -> bool:
        """Whether there is nothing at or after these offsets, as far as this process knows."""
        return self.ends == offsets and not self.wakeup.is_set()


class Readers:
    """Remembers readers by name.

    A reader that has read everything waits without asking the server, so that 1,000 idle roles
    cause no load.
    """

    def __init__(self, clock: Clock, notifications: Notifications) -> None:
        self._clock = clock
        self._notifications = notifications
        self._readers: dict[str, Reader] = {}

    async def receive(
        self,
        name: str,
        topic: Topic,
        offsets: Mapping[int, int],
        look: Callable[[], Awaitable[Arrivals]],
        wait: float,
    ) -> Arrivals:
        """Look until there are events, a partition is lost, or the wait is over."""
        reader, deadline = self._reader(name, topic, offsets), self._clock.monotonic() + wait
        if (
            wait > 0
            and reader.is_at_end(offsets)
            and not await self._clock.wait(reader.wakeup, wait)
        ):
            return Arrivals(read=dict(offsets))
        while True:
            # This precedes the look, so that a change during it causes another look.
            reader.wakeup.clear()
            reader.ends = None
            arrivals = await look()
            if arrivals.events or arrivals.lost:
                return arrivals
            reader.ends = arrivals.read
            left = deadline - self._clock.monotonic()
            if left <= 0 or not await self._clock.wait(reader.wakeup, left):
                return arrivals

    def _reader(self, name: str, topic: Topic, offsets: Collection[int]) -> Reader:
        names = [f"stream:{partition}:{topic}" for partition in offsets]
        reader = self._readers.pop(name, None)
        if reader is None or reader.names != names:
            if reader is not None:
                self._notifications.unregister(reader.names, reader.wakeup)
            reader = Reader(names, self._notifications.register(names))
        self._readers[name] = reader
        if len(self._readers) > KEPT:
            oldest = self._readers.pop(next(iter(self._readers)))
            self._notifications.unregister(oldest.names, oldest.wakeup)
        return reader
