"""Positions, shown to Kafka's own tools as offsets of consumer groups. Nobody reads them back."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

from workflow_ray.errors import StoreError, StoreUnavailable
from workflow_ray_adapters.kafka import wire
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.wire import Fault, Lane

PERIOD = 1.0  # seconds in which newer positions take the place of older ones
NOTABLE = 3  # failures in a row; a cluster's first group has to wait for what keeps it
log = logging.getLogger(__name__)


class Mirror:
    """Commits the newest positions about once a second, and what is left when it ends."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._positions = defaultdict[str, dict[Lane, int]](dict)  # of each group, not yet committed
        self._coordinators: dict[str, int] = {}
        self._failures = Counter[str]()  # of each group, since its last commit
        self._news = asyncio.Event()

    def note(self, topic: str, positions: Iterable[tuple[str, int, int]]) -> None:
        """positions: a group, as the brokers call it, a partition and its offset each."""
        for group, partition, offset in positions:
            self._positions[group][topic, partition] = offset
            self._news.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._commit_all()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(PERIOD)
            await self._commit_all()

    async def _commit_all(self) -> None:
        positions = dict(self._positions)
        self._positions.clear()
        self._news.clear()
        await asyncio.gather(*(self._commit(group, offsets) for group, offsets in positions.items()))

    async def _commit(self, group: str, offsets: Mapping[Lane, int]) -> None:
        try:
            refused = await self._cluster.ask(await self._coordinator(group), wire.commit(group, offsets))
            trouble = "; ".join(f"partition {lane[1]} of topic {lane[0]}: {fault.why}" for lane, fault in refused.items())
        except StoreError as error:
            trouble = error.why
        if not trouble:
            del self._failures[group]
            return
        self._failures[group] += 1
        if self._failures[group] == NOTABLE:
            log.warning("%s: the positions of group %s aren't shown (%s); trying on", self._cluster.where, group, trouble)
        self._coordinators.pop(group, None)
        self._positions[group] = {**offsets, **self._positions[group]}
        self._news.set()

    async def _coordinator(self, group: str) -> int:
        if group not in self._coordinators:
            answer = await self._cluster.ask_any(wire.coordinator(group))
            if isinstance(answer, Fault):
                raise StoreUnavailable(self._cluster.where, answer.why)
            self._coordinators[group] = answer
        return self._coordinators[group]
