"""`kafka://host:9092/prefix`: events on topics of a cluster."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager

from workflow_ray.ports import Clock, EventStreamer, SystemClock
from workflow_ray_adapters.kafka.address import parse
from workflow_ray_adapters.kafka.extra import require_aiokafka


class KafkaAdapter:
    """An EventsAdapter for Kafka.

    Only `prepare` creates topics. No broker creates one because it was named.
    """

    def canonical(self, url: str) -> str:
        return parse(url).canonical

    def create(self, url: str) -> str:
        with ThreadPoolExecutor(1) as thread:  # the caller's thread may have a loop
            return thread.submit(asyncio.run, self._identity(url)).result()

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[EventStreamer]:
        with require_aiokafka():
            from workflow_ray_adapters.kafka.streamer import open_streamer
        return open_streamer(parse(url), clock)

    async def _identity(self, url: str) -> str:
        async with self.open_events(url, clock=SystemClock()) as streamer:
            return streamer.stream_id
