"""The role that finds runs whose event was lost, and sends it again."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_ray.engine.run_states import waits_for_event
from workflow_ray.errors import RoleLost, StoreError
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import (
    DeployedWorkflow,
    Event,
    Fence,
    Fenced,
    Record,
    RunId,
    Topic,
    WaitingQuery,
    WriteGroup,
    consumer_group,
    status_topic,
)
from workflow_ray.roles.waiting import Interruptible

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between looks."""
AGE = 300.0
"""Seconds for which a run must have stood still, so that only few of those that are well are looked at."""
BATCH = 500
"""Runs asked for, and events sent again, at once."""


@dataclass(frozen=True)
class Suspects:
    """Runs of one partition that wait, though their events aren't in the outbox: they are in the stream, below `end`, or lost."""

    end: int
    events: tuple[Event, ...]


class Sweeper:
    """Sends the events again of runs that could proceed, and wait for one that a stream has lost. One for a whole deployment.

    A run is only slow, its event in a backlog or its step running for hours, as long as the position of its status stands below
    the end that the stream had when the run was found without an event in the outbox. Once the position is past it, all that
    was published by then is finished; a run that is still at the same version was passed over. Sent to one that isn't, an event
    does no harm: it is stale when it arrives.
    """

    def __init__(
        self, fence: Fence, records: RecordStore, events: EventStreamer, clock: Clock, *, every: float = EVERY, age: float = AGE
    ) -> None:
        self._fence, self._records, self._events, self._clock = fence, records, events, clock
        self._every, self._age = every, age
        self._suspects: dict[Topic, dict[int, Suspects]] = defaultdict(dict)  # by partition, at most a batch of each
        self._after: dict[tuple[str, int], RunId | None] = {}  # of each workflow and partition where the last look ended
        self.resent = 0  # events, by this holder of the role

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`. A look cut off is made anew by whoever comes next. Raises RoleLost."""
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(self._look)
                await self._clock.wait(stop, self._every)

    async def _look(self) -> None:
        await persist(lambda: self._put(()), self._clock, self._fence.role)  # one that finds nothing would never hear that it was lost
        deployment = await persist(self._records.deployment, self._clock, self._fence.role)
        for workflow in deployment.workflows:
            try:
                await self._sweep(workflow)
            except StoreError as error:  # what can't be looked at now, such as a partition without a leader, holds up no other workflow
                log.warning("%s; looking again in %g s", error, self._every, extra={"role": self._fence.role})

    async def _sweep(self, workflow: DeployedWorkflow) -> None:
        groups = {status: consumer_group(workflow.name, status) for status in workflow.statuses.values()}
        consumed = {status: group for status, group in groups.items() if group in workflow.groups}
        found = await self._waiting(workflow)
        for status, group in consumed.items():
            topic = status_topic(workflow.name, status)
            await self._suspect(topic, [event for event in found if event.status == status])
            for partition in await self._finished(group, topic):
                await self._resend(self._suspects[topic][partition].events)
                del self._suspects[topic][partition]

    async def _waiting(self, workflow: DeployedWorkflow) -> list[Event]:
        """The next runs that wait for an event. Those of a long backlog come around in turn."""
        found: list[Event] = []
        for partition in range(workflow.partitions):
            after = self._after.get((workflow.name, partition))
            query = WaitingQuery(workflow=workflow.name, partition=partition, quiet=self._age, after=after, limit=BATCH)
            look = await self._records.waiting(query)
            found += look.events
            self._after[workflow.name, partition] = look.after
        return found

    async def _suspect(self, topic: Topic, found: Sequence[Event]) -> None:
        """Note the ends of the partitions that have no suspects yet; the others' come again once these are judged."""
        new: dict[int, list[Event]] = defaultdict(list)
        for event in found:
            if event.partition not in self._suspects[topic]:
                new[event.partition].append(event)
        ends = await self._events.ends(topic, list(new)) if new else {}
        for partition, events in new.items():
            self._suspects[topic][partition] = Suspects(ends[partition], tuple(events[:BATCH]))

    async def _finished(self, group: str, topic: Topic) -> list[int]:
        """The partitions in which everything is finished that stood there when their suspects were found."""
        suspects = self._suspects[topic]
        positions = {at.partition: at.offset for at in await self._records.positions(group)} if suspects else {}
        return [partition for partition, some in suspects.items() if await self._is_past(topic, partition, positions, some.end)]

    async def _is_past(self, topic: Topic, partition: int, positions: Mapping[int, int], end: int) -> bool:
        """A position doesn't move past what retention has dropped until something follows; so an empty rest counts as well."""
        position = positions.get(partition, 0)
        return position >= end or await self._events.lag(topic, {partition: position}) == 0

    async def _resend(self, suspects: Sequence[Event]) -> None:
        records = await self._records.lookup([event.run_id for event in suspects], fresh=True)
        lost = [event for event, record in zip(suspects, records, strict=True) if _still_waits(event, record)]
        if lost:
            await self._put(lost)
            self.resent += len(lost)
            log.warning("%s lost events: %d are sent again", lost[0].topic, len(lost), extra={"role": self._fence.role})

    async def _put(self, events: Sequence[Event]) -> None:
        """Into the outbox. Raises RoleLost."""
        (answer,) = await self._records.store([WriteGroup(events=tuple(events), fence=self._fence)])
        if isinstance(answer, Fenced):
            raise RoleLost(self._fence.role, self._fence.epoch, answer.current)


def _still_waits(event: Event, record: Record | None) -> bool:
    return record is not None and record.awaited == event.version and waits_for_event(record)
