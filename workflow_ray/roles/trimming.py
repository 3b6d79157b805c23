"""The publisher removes what nobody needs any more, in bounded amounts between commits."""

import asyncio
import logging
from dataclasses import dataclass, field

from workflow_ray.errors import StoreError, StoreMismatch, StoreMissing
from workflow_ray.ports import Clock, Store, Trimmer
from workflow_ray.records import DeployedWorkflow, Fence, Topic, consumer_group, status_topic
from workflow_ray.roles.waiting import Interruptible

log = logging.getLogger(__name__)

BATCH = 2000
"""Events, or timeouts, removed by one call."""
BREATH = 0.02
"""Seconds between two calls, so that others get at the store."""
OFTEN = 5.0
"""Seconds between looks at a topic that is in use."""
SELDOM = 300.0
"""Seconds between looks at a topic in which nothing happens; at the deployment; and at completed
timeouts.
"""
APART = 0.2
"""Seconds by which looks at topics in which nothing happens lie apart on average, so that thousands
of them cost no more than a few reads a second.
"""
KEPT = 3600.0
"""Seconds for which completed timeouts are kept, because until then one may be created a second
time.
"""


@dataclass(eq=False)
class _Topic:
    """A topic that has a consumer."""

    name: Topic
    group: str
    due: float  # when to look at it, by the monotonic clock
    pause: float = OFTEN
    # Partition -> the offset below which nothing is left
    trimmed: dict[int, int] = field(default_factory=dict[int, int])


class Trimming:
    """Removes published events below the committed positions of their consumers, and timeouts that
    were completed a while ago.

    Only streamers that hold their log themselves are told (`Trimmer`). An event is removed below a
    position of this very log, and only where the position doesn't lie beyond the log's end: there a
    new log has begun, which its consumer hasn't noticed yet.
    """

    def __init__(self, fence: Fence, store: Store, clock: Clock) -> None:
        self._fence = fence
        self._store = store
        self._trimmer = store if isinstance(store, Trimmer) else None
        self._clock = clock
        self._topics: dict[Topic, _Topic] = {}
        self._looked_around = -SELDOM  # when the deployment was read last

    async def run(self, stop: asyncio.Event) -> None:
        """Trim until `stop`. Raises RoleLost."""
        pause = OFTEN
        async with Interruptible(stop) as until_stopped:
            while not await self._clock.wait(stop, pause):
                await until_stopped.wait(self._trim)
                pause = self._next_look()

    def _next_look(self) -> float:
        """Seconds to the next one."""
        dues = [topic.due for topic in self._topics.values()]
        return max(min([self._looked_around + SELDOM, *dues]) - self._clock.monotonic(), APART)

    async def _trim(self) -> None:
        try:
            if self._clock.monotonic() >= self._looked_around + SELDOM:
                self._looked_around = self._clock.monotonic()
                await self._look_around()
                await self._trim_timeouts()
            for topic in self._topics.values():
                if topic.due <= self._clock.monotonic():
                    await self._look_at(topic)
        except (StoreMissing, StoreMismatch):
            raise
        except StoreError as error:  # it is done at a later look
            log.warning(
                "%s; published events are removed later", error, extra={"role": self._fence.role}
            )

    async def _look_around(self) -> None:
        """Read which topics there are."""
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

    async def _look_at(self, topic: _Topic) -> None:
        """Trim the topic, if its positions have moved."""
        topic.pause = min(max(2 * topic.pause, APART * len(self._topics)), SELDOM)
        topic.due = self._clock.monotonic() + topic.pause
        rows = await self._store.positions(topic.group)
        offsets = {
            row.partition: row.offset
            for row in rows
            if row.log == self._store.stream_id and row.offset
        }
        moved = {
            number: offset
            for number, offset in offsets.items()
            if offset != topic.trimmed.get(number)
        }
        if moved:
            ends = await self._store.ends(topic.name, list(moved))
            await self._trim_topic(
                topic,
                {number: offset for number, offset in moved.items() if offset <= ends[number]},
            )
            topic.pause = OFTEN
            topic.due = self._clock.monotonic() + OFTEN

    async def _trim_topic(self, topic: _Topic, offsets: dict[int, int]) -> None:
        if self._trimmer is None or not offsets:
            return
        while await self._trimmer.trim(self._fence, topic.name, offsets, limit=BATCH) >= BATCH:
            await self._clock.wait(asyncio.Event(), BREATH)
        topic.trimmed |= offsets

    async def _trim_timeouts(self) -> None:
        while await self._store.trim_timeouts(completed=KEPT, limit=BATCH) >= BATCH:
            await self._clock.wait(asyncio.Event(), BREATH)


def _consumed(workflow: DeployedWorkflow) -> dict[Topic, str]:
    """The topics that have a consumer, each with its group."""
    groups = {
        status_topic(workflow.name, status): consumer_group(workflow.name, status)
        for status in workflow.statuses.values()
    }
    return {topic: group for topic, group in groups.items() if group in workflow.groups}
