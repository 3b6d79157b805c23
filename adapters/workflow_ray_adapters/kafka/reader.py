"""Messages from offsets that the caller names, each time anew."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable
from workflow_ray.ports import Clock
from workflow_ray.records import BATCH_DATA
from workflow_ray_adapters.kafka import offsets as logs
from workflow_ray_adapters.kafka import wire
from workflow_ray_adapters.kafka.cluster import PAUSE, Cluster
from workflow_ray_adapters.kafka.connection import explained
from workflow_ray_adapters.kafka.fetches import Fetch, Fetches
from workflow_ray_adapters.kafka.page import Page, share
from workflow_ray_adapters.kafka.wire import Chunk, Lane, Message

T = TypeVar("T")
log = logging.getLogger(__name__)

POLL = 1.0  # seconds that brokers are asked to wait for messages; leaders are looked for anew at least as often


@dataclass(frozen=True)
class Found(Generic[T]):
    """What one call has found: see `records.Arrivals`."""

    items: list[T]
    read: dict[int, int]
    lost: dict[int, int]


class Reader:
    """Keeps what it has read ahead, for whoever asks for the offset that follows."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock
        self._pages: dict[Lane, Page] = {}  # without those that somebody is taking from
        self._fetches = Fetches(cluster, clock, self._keep)
        self._unread, self._told = set[Lane](), set[Lane]()  # partitions that can't be read now, and those of them that the log names
        self._lost: dict[Lane, tuple[int, int]] = {}  # of those that were reported: the position, and the end below it
        self._turn = 0

    async def receive(
        self, topic: str, offsets: Mapping[int, int], decode: Callable[[Message], T | None], *, limit: int, wait: float
    ) -> Found[T]:
        """As the ports say, of EventStreamer and of SourceReader. decode: None for a message to pass over."""
        if not offsets:
            await self._clock.wait(asyncio.Event(), wait)
            return Found([], {}, {})
        until = self._clock.monotonic() + wait
        pages = self._claimed(topic, offsets)
        try:
            while True:
                left = max(until - self._clock.monotonic(), 0.0)
                with explained(self._cluster.where):  # what can't be unpacked
                    came = await self._cluster.settled(partial(self._fill, topic, pages, min(left, POLL)))
                    taken = share(pages, decode, limit, BATCH_DATA)
                lost = {partition: page.lost for partition, page in pages.items() if page.lost is not None}
                if taken or lost or not (came or left):
                    return Found(taken, {partition: page.read for partition, page in pages.items() if page.lost is None}, lost)
        finally:
            self._pages |= {(topic, partition): page for partition, page in pages.items() if page.lost is None}

    def close(self) -> None:
        self._fetches.close()

    def _claimed(self, topic: str, offsets: Mapping[int, int]) -> dict[int, Page]:
        """A page for each partition. The first is another one each time, or where there isn't room for all the last would starve."""
        self._turn += 1
        partitions, pages = list(offsets), dict[int, Page]()
        first = self._turn % (len(partitions) or 1)
        for partition in partitions[first:] + partitions[:first]:
            page, offset = self._pages.pop((topic, partition), None), offsets[partition]
            pages[partition] = page if page and page.asked == offset else Page(offset, offset)
        return pages

    def _keep(self, chunk: Chunk) -> None:
        page = self._pages.get(chunk.lane)
        if page and page.records is None and page.position == chunk.offset:
            with suppress(StoreError), explained(self._cluster.where):  # who asks for it next is told
                page.fill(chunk)

    async def _fill(self, topic: str, pages: Mapping[int, Page], wait: float) -> bool:
        """Fetch for those pages that are empty; `wait` seconds at most. True: some page has messages, or goes on elsewhere."""
        ready = any(page.records for page in pages.values())
        empty = {partition: page.position for partition, page in pages.items() if page.records is None and page.lost is None}
        led, faults = await self._leaders(topic, empty)
        wait = 0.0 if ready else wait
        fetches = [
            self._fetches.ask(topic, node, {partition: empty[partition] for partition in led[node]}, wait=wait, join=ready or wait > 0)
            for node in led
        ]
        await self._fetches.answers(fetches, wait, enough=ready)
        for fetch in fetches:
            faults |= await self._turn_over(fetch, pages)
        answered = {partition for fetch in fetches if fetch.ended for partition in fetch.offsets}
        self._note(topic, answered, faults, tell=len(faults) < len(pages))
        if len(faults) == len(pages):
            raise StoreUnavailable(self._cluster.where, next(iter(faults.values())))
        came = any(page.records or page.lost is not None or page.position != empty.get(partition) for partition, page in pages.items())
        if faults and wait and not came:
            await asyncio.sleep(PAUSE)  # brokers don't wait where a partition can't be read
        return came

    async def _leaders(self, topic: str, partitions: Collection[int]) -> tuple[dict[int, list[int]], dict[int, str]]:
        """The partitions of each broker that leads some, and why the others can't be read."""
        led, faults = self._cluster.by_leader(topic, partitions)
        unread = [partition for partition in partitions if partition in faults or (topic, partition) in self._unread]
        if unread:
            learning = self._cluster.learning([topic])
            if len(unread) == len(partitions):  # else those that can be read don't wait for it
                await asyncio.shield(learning)
                led, faults = self._cluster.by_leader(topic, partitions)
        return led, faults

    async def _turn_over(self, fetch: Fetch, pages: Mapping[int, Page]) -> dict[int, str]:
        """Put what came onto the pages. Answers why partitions can't be read. Raises AccessDenied."""
        if not fetch.ended:
            return {}
        if error := fetch.error():
            if isinstance(error, AccessDenied):
                raise error
            return dict.fromkeys(fetch.offsets, error.why)
        faults, gone = dict[int, str](), list[int]()
        for partition, found in fetch.task.result().items():
            if isinstance(found, Chunk):
                pages[partition].fill(found)
            elif found and found.code == wire.OFFSET_OUT_OF_RANGE:
                gone.append(partition)
            elif found and found.code in wire.DENIED:
                raise AccessDenied(self._cluster.where, f"topic {fetch.topic} can't be read ({found.why}). Let this user read it.")
            elif found:
                faults[partition] = f"partition {partition} of topic {fetch.topic} can't be read now ({found.why})."
        return faults | await self._relocate(fetch.topic, pages, gone)

    async def _relocate(self, topic: str, pages: Mapping[int, Page], partitions: Collection[int]) -> dict[int, str]:
        """Go on where the partitions begin, or note that they end before. Answers why that can't be told."""
        if not partitions:
            return {}
        try:
            begins = await logs.firsts(self._cluster, topic, partitions)
            ends = await logs.ends(self._cluster, topic, partitions)
        except StoreUnavailable as error:
            return dict.fromkeys(partitions, error.why)
        for partition in partitions:
            page, begin, end = pages[partition], begins[partition], ends[partition]
            if page.position > end:
                self._report_lost((topic, partition), page.position, end)
                page.lost = end
            elif page.position < begin:
                text = "%s: topic %s, partition %d: %d messages from offset %d on are gone, not retained for long enough; going on from %d"
                log.error(text, self._cluster.where, topic, partition, begin - page.position, page.position, begin)
                page.position = begin
        return {}

    def _report_lost(self, lane: Lane, position: int, end: int) -> None:
        if self._lost.get(lane) != (position, end):
            self._lost[lane] = position, end
            text = "%s: partition %d of topic %s ends at offset %d, and was read up to %d: it lost messages, or was made again"
            log.error(text, self._cluster.where, lane[1], lane[0], end, position)

    def _note(self, topic: str, answered: Set[int], faults: Mapping[int, str], *, tell: bool) -> None:
        for partition, why in faults.items():
            if tell and (topic, partition) not in self._told:
                log.warning("%s: %s The others are read meanwhile.", self._cluster.where, why)
                self._told.add((topic, partition))
            self._unread.add((topic, partition))
        for partition in answered - faults.keys():
            self._unread.discard((topic, partition))
            if (topic, partition) in self._told:
                log.warning("%s: partition %d of topic %s is read again", self._cluster.where, partition, topic)
                self._told.discard((topic, partition))
