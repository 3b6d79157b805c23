"""Questions to brokers for messages. One may outlast its caller: whoever asks the same next waits for the same answer."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from workflow_ray.errors import StoreError
from workflow_ray.ports import Clock
from workflow_ray.records import BATCH_DATA
from workflow_ray_adapters.kafka import wire
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.wire import Chunk, Fault

Answer: TypeAlias = dict[int, Chunk | Fault | None]

GRACE = 0.25  # real seconds that brokers have to answer beyond the time that they were asked to wait, or once another has answered


@dataclass(eq=False)
class Fetch:
    """One question to one broker."""

    topic: str
    node: int
    offsets: Mapping[int, int]
    wait: float  # seconds that the broker may wait for a first message
    task: "asyncio.Task[Answer]"
    callers: int = 0

    @property
    def ended(self) -> bool:
        return self.task.done()

    def error(self) -> StoreError | None:
        """Of one that has ended."""
        error = self.task.exception()
        if error is not None and not isinstance(error, StoreError):
            raise error
        return error

    def chunks(self) -> list[Chunk]:
        """What has come so far."""
        if not self.ended or self.task.cancelled() or self.task.exception():
            return []
        return [found for found in self.task.result().values() if isinstance(found, Chunk)]


class Fetches:
    """Those on their way. A broker is asked for other offsets only once nobody waits for those before."""

    def __init__(self, cluster: Cluster, clock: Clock, left_over: Callable[[Chunk], None]) -> None:
        """left_over: gets the chunks that come when nobody waits for them."""
        self._cluster, self._clock, self._left_over = cluster, clock, left_over
        self._on_their_way: list[Fetch] = []

    def ask(self, topic: str, node: int, offsets: Mapping[int, int], *, wait: float, join: bool) -> Fetch:
        """join: the same question will do where it is on its way already, though it may miss what came since."""
        for fetch in list(self._on_their_way):
            if (fetch.topic, fetch.node) == (topic, node) and offsets.keys() & fetch.offsets.keys():
                if join and fetch.offsets == offsets:
                    return fetch
                if not fetch.callers:
                    self._on_their_way.remove(fetch)  # nobody else is to join it
                    fetch.task.cancel()
        call = wire.fetch(topic, offsets, wait=wait, partition_bytes=BATCH_DATA // len(offsets), total_bytes=BATCH_DATA)
        fetch = Fetch(topic, node, offsets, wait, asyncio.create_task(self._cluster.ask(node, call)))
        self._on_their_way.append(fetch)
        fetch.task.add_done_callback(lambda _: self._came(fetch))
        return fetch

    async def answers(self, fetches: Sequence[Fetch], wait: float, *, enough: bool) -> None:
        """Wait until one brings messages, or all have ended, `wait` seconds at most. With 0, for what brokers have by now.

        enough: there is something for the caller already; brokers that don't answer at once aren't waited for.
        """
        for fetch in fetches:
            fetch.callers += 1
        try:
            if wait > 0:
                await self._first(fetches, wait)
            else:
                await _at_once([fetch for fetch in fetches if not fetch.wait], enough)
        finally:
            for fetch in fetches:
                fetch.callers -= 1

    def close(self) -> None:
        for fetch in self._on_their_way:
            fetch.task.cancel()

    async def _first(self, fetches: Sequence[Fetch], wait: float) -> None:
        news = asyncio.Event()

        def look(_: object = None) -> None:
            if any(fetch.chunks() for fetch in fetches) or all(fetch.ended for fetch in fetches):
                news.set()

        look()
        for fetch in fetches:
            fetch.task.add_done_callback(look)
        await self._clock.wait(news, wait + GRACE)
        for fetch in fetches:
            fetch.task.remove_done_callback(look)

    def _came(self, fetch: Fetch) -> None:
        if fetch in self._on_their_way:
            self._on_their_way.remove(fetch)
        if not fetch.callers:
            for chunk in fetch.chunks():
                self._left_over(chunk)


async def _at_once(fetches: Sequence[Fetch], enough: bool) -> None:
    tasks = {fetch.task for fetch in fetches}
    while tasks:
        enough = enough or any(fetch.chunks() for fetch in fetches)
        done, tasks = await asyncio.wait(tasks, timeout=GRACE if enough else None, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
