"""Trimming: the publisher removes old events and timeouts, in small amounts between commits."""

import asyncio
import logging
from dataclasses import dataclass, field

from workflow_ray.errors import StoreError, StoreMismatch, StoreMissing
from workflow_ray.ports import Clock, Store, Trimmer
from workflow_ray.records import (
    DeployedWorkflow,
    Fence,
    Topic,
    consumer_group,
    hooks_group,
    readers_group,
    run_state_topic,
    status_topic,
)
from workflow_ray.roles.waiting import Interruptible

log = logging.getLogger(__name__)

BATCH = 2000
"""The most events or timeouts that one call removes."""
BREATH = 0.02
"""The seconds between two calls, so that others can use the store."""
OFTEN = 5.0
"""The seconds between two polls of a topic that is in use."""
SELDOM = 300.0
"""The seconds between two polls of an idle topic, the deployment or completed timeouts."""
APART = 0.2
"""The seconds between the polls of two idle topics, on average, so that thousands of them cost only
a few reads per second.
"""
KEPT = 3600.0
"""The seconds for which completed timeouts are kept, because one may be created twice by then."""


@dataclass(eq=False)
class _Topic:
    """A topic with a consumer."""

    name: Topic
    group: str
    due: float  # the monotonic time of the next poll
    pause: float = OFTEN
    # for each partition, the offset below which everything is removed
    trimmed: dict[int, int] = field(default_factory=dict[int, int])


class Trimming:
    """Removes published events below the committed positions of their consumers, and timeouts that
    were completed some time ago.

    Only a streamer that holds its log itself is trimmed (`Trimmer`). The position must be one of
    the current log, and not beyond the log's end: beyond it, a new log has begun, and the consumer
    has not noticed that yet.
    """

    def __init__(self, fence: Fence, store: Store, clock: Clock) -> None:
        self._fence = fence
        self._store = store
        self._trimmer = store if isinstance(store, Trimmer) else None
        self._clock = clock
        self._topics: dict[Topic, _Topic] = {}
        self._topics_read_at = -SELDOM  # the monotonic time of the last read of the deployment

    async def run(self, stop: asyncio.Event) -> None:
        """Trim until `stop`. Raises RoleLost."""
        pause = OFTEN
        async with Interruptible(stop) as until_stopped:
            while not await self._clock.wait(stop, pause):
                await until_stopped.wait(self._trim)
                pause = self._until_next_poll()

    def _until_next_poll(self) -> float:
        """The seconds until the next poll."""
        dues = [topic.due for topic in self._topics.values()]
        return max(min([self._topics_read_at + SELDOM, *dues]) - self._clock.monotonic(), APART)

    async def _trim(self) -> None:
        try:
            if self._clock.monotonic() >= self._topics_read_at + SELDOM:
                self._topics_read_at = self._clock.monotonic()
                await self._read_topics()
                await self._trim_timeouts()
            for topic in self._topics.values():
                if topic.due <= self._clock.monotonic():
                    await self._poll(topic)
        except (StoreMissing, StoreMismatch):
            raise
        except StoreError as error:  # a later poll does it
            log.warning(
                "%s; published events are removed later", error, extra={"role": self._fence.role}
            )

    async def _read_topics(self) -> None:
        """Read the topics of the deployment."""
        if self._trimmer is None:
            return
        deployment = await self._store.deployment()
        consumed = {
            topic: group
            for workflow in deployment.workflows
            for topic, group in _consumed(workflow).items()
        }
        now = self._clock.monotonic()
        for number, (topic, group) in enumerate(consumed.items()):
            self._topics.setdefault(topic, _Topic(topic, group, now + number * APART))
        self._topics = {topic: self._topics[topic] for topic in consumed}

    async def _poll(self, topic: _Topic) -> None:
        """Trim the topic if its positions have moved."""
        topic.pause = min(max(2 * topic.pause, APART * len(self._topics)), SELDOM)
        topic.due = self._clock.monotonic() + topic.pause
        rows = await self._store.positions(topic.group)
        offsets = {
            row.partition: row.offset
            for row in rows
            if row.log == self._store.stream_id and row.offset
        }
        moved = _moved(topic, offsets)
        if moved:  # others read it only while its own group moves
            moved = _moved(topic, await self._below_readers(topic, moved))
        if moved:
            ends = await self._store.ends(topic.name, list(moved))
            await self._trim_topic(
                topic,
                {number: offset for number, offset in moved.items() if offset <= ends[number]},
            )
            topic.pause = OFTEN
            topic.due = self._clock.monotonic() + OFTEN

    async def _below_readers(self, topic: _Topic, offsets: dict[int, int]) -> dict[int, int]:
        """Lower the offsets to those that the readers of other deployments have read."""
        read = dict(offsets)
        for row in await self._store.positions(readers_group(topic.name)):
            number = row.partition % 2**12
            if row.log == self._store.stream_id and number in read:
                read[number] = min(read[number], row.offset)
        return read

    async def _trim_topic(self, topic: _Topic, offsets: dict[int, int]) -> None:
        if self._trimmer is None or not offsets:
            return
        while await self._trimmer.trim(self._fence, topic.name, offsets, limit=BATCH) >= BATCH:
            await self._clock.wait(asyncio.Event(), BREATH)
        topic.trimmed |= offsets

    async def _trim_timeouts(self) -> None:
        while await self._store.trim_timeouts(completed=KEPT, limit=BATCH) >= BATCH:
            await self._clock.wait(asyncio.Event(), BREATH)


def _moved(topic: _Topic, offsets: dict[int, int]) -> dict[int, int]:
    """The offsets below which the topic is not trimmed yet."""
    return {
        number: offset for number, offset in offsets.items() if offset != topic.trimmed.get(number)
    }


def _consumed(workflow: DeployedWorkflow) -> dict[Topic, str]:
    """The topics with a consumer, each with its group."""
    groups = {
        status_topic(workflow.name, status): consumer_group(workflow.name, status)
        for status in workflow.statuses.values()
    }
    groups[run_state_topic(workflow.name)] = hooks_group(workflow.name)
    return {topic: group for topic, group in groups.items() if group in workflow.groups}
