"""The role that finds runs whose event was lost, and sends it again."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_ray.engine.events import is_current
from workflow_ray.errors import RoleLost, StoreError
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import (
    DeployedWorkflow,
    Event,
    Fence,
    Fenced,
    Position,
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
"""Seconds for which a run must have stood still, so that only few of those that are well are looked
at.
"""
BATCH = 500
"""Runs that one look at a partition goes through, and events sent again at once."""


@dataclass(frozen=True)
class Suspects:
    """Runs of one partition that wait, though their events aren't in the outbox: they are in the
    stream, below `end`, or lost.
    """

    end: int
    incarnation: int  # of the log that `end` counts in
    events: tuple[Event, ...]


class Sweeper:
    """Sends the events again of runs that could proceed, and wait for one that a stream has lost.
    One for a whole deployment.

    A run is only slow, its event in a backlog or its step running for hours, as long as the
    position of its status stands below the end that the stream had when the run was found without
    an event in the outbox. Once the position is past it, all that was published by then is
    finished, and a run that still waits for the same event was passed over. An event sent again to
    one that does not wait for it does no harm: it is stale when it arrives.
    """

    def __init__(
        self,
        fence: Fence,
        records: RecordStore,
        events: EventStreamer,
        clock: Clock,
        *,
        every: float = EVERY,
        age: float = AGE,
    ) -> None:
        self._fence = fence
        self._records = records
        self._events = events
        self._clock = clock
        self._every = every
        self._age = age
        # By partition, at most a batch of each
        self._suspects: dict[Topic, dict[int, Suspects]] = defaultdict(dict)
        # Of each workflow and partition where the last look ended
        self._after: dict[tuple[str, int], RunId | None] = {}
        # Of each workflow until when no run can have waited for long enough, by the monotonic clock
        self._idle_until: dict[str, float] = {}
        self.resent = 0  # events, by this holder of the role

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`.

        A look that is cut off is made again by the next holder. Raises RoleLost.
        """
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(self._look)
                await self._clock.wait(stop, self._every)

    async def _look(self) -> None:
        # One that finds nothing would never hear that it was lost
        await persist(lambda: self._put(()), self._clock, self._fence.role)
        deployment = await persist(self._records.deployment, self._clock, self._fence.role)
        for workflow in deployment.workflows:
            try:
                await self._sweep(workflow)
            # What can't be looked at now, such as a partition without a leader, holds up no other
            # workflow
            except StoreError as error:
                log.warning(
                    "%s; looking again in %g s",
                    error,
                    self._every,
                    extra={"role": self._fence.role},
                )

    async def _sweep(self, workflow: DeployedWorkflow) -> None:
        found = await self._waiting(workflow)
        for status in workflow.statuses.values():
            group, topic = (
                consumer_group(workflow.name, status),
                status_topic(workflow.name, status),
            )
            events = [event for event in found if event.status == status]
            if group in workflow.groups and (events or self._suspects[topic]):
                rows = await self._rows(group)
                await self._suspect(topic, rows, events)
                await self._judge(topic, rows)

    async def _waiting(self, workflow: DeployedWorkflow) -> list[Event]:
        """The next runs that wait for an event. Those of a long backlog come around in turn."""
        found: list[Event] = []
        if not await self._may_have_some(workflow.name):
            return found
        for partition in range(workflow.partitions):
            after = self._after.get((workflow.name, partition))
            query = WaitingQuery(
                workflow=workflow.name,
                partition=partition,
                quiet=self._age,
                after=after,
                limit=BATCH,
            )
            look = await self._records.waiting(query)
            found += look.events
            self._after[workflow.name, partition] = look.after
        return found

    async def _may_have_some(self, workflow: str) -> bool:
        """Whether any run can have waited for long enough. Most workflows of a large deployment are
        idle, and each of their partitions would take a read at every look. Where no run is active,
        those that wait later are written later.
        """
        now = self._clock.monotonic()
        if now < self._idle_until.get(workflow, now):
            return False
        is_active = any(
            not count.run_state.at_rest for count in await self._records.counts(workflow)
        )
        if not is_active:
            self._idle_until[workflow] = now + self._age
        return is_active

    async def _rows(self, group: str) -> dict[int, Position]:
        """The group's positions in this very log, by partition: those of another one mean nothing
        here.
        """
        return {
            row.partition: row
            for row in await self._records.positions(group)
            if row.log == self._events.stream_id
        }

    async def _suspect(
        self, topic: Topic, rows: Mapping[int, Position], found: Sequence[Event]
    ) -> None:
        """Note the ends of the partitions that have no suspects yet; the others' come again once
        these are judged.
        """
        new: dict[int, list[Event]] = defaultdict(list)
        for event in found:
            if event.partition not in self._suspects[topic]:
                new[event.partition].append(event)
        ends = await self._events.ends(topic, list(new)) if new else {}
        for partition, events in new.items():
            self._suspects[topic][partition] = Suspects(
                ends[partition], _incarnation(rows, partition), tuple(events)
            )

    async def _judge(self, topic: Topic, rows: Mapping[int, Position]) -> None:
        """Send again what was passed over. Where a new log has begun meanwhile the suspects are
        looked for again.
        """
        for partition, suspects in list(self._suspects[topic].items()):
            if suspects.incarnation != _incarnation(rows, partition):
                del self._suspects[topic][partition]
            elif await self._is_past(topic, partition, rows, suspects.end):
                await self._resend(suspects.events)
                del self._suspects[topic][partition]

    async def _is_past(
        self, topic: Topic, partition: int, rows: Mapping[int, Position], end: int
    ) -> bool:
        """A position doesn't move past what retention has dropped until something follows; so an
        empty rest counts as well.
        """
        position = rows[partition].offset if partition in rows else 0
        return position >= end or await self._events.lag(topic, {partition: position}) == 0

    async def _resend(self, suspects: Sequence[Event]) -> None:
        while suspects:
            records = await self._records.lookup([event.run_id for event in suspects], fresh=True)
            looked_up = list(zip(suspects, records, strict=False))  # the store may answer some only
            await self._send_again(
                [event for event, record in looked_up if is_current(event, record)]
            )
            suspects = suspects[len(looked_up) :]

    async def _send_again(self, lost: Sequence[Event]) -> None:
        if lost:
            await self._put(lost)
            self.resent += len(lost)
            log.warning(
                "%s lost events: %d are sent again",
                lost[0].topic,
                len(lost),
                extra={"role": self._fence.role},
            )

    async def _put(self, events: Sequence[Event]) -> None:
        """Into the outbox. Raises RoleLost."""
        (answer,) = await self._records.store([WriteGroup(events=tuple(events), fence=self._fence)])
        if isinstance(answer, Fenced):
            raise RoleLost(self._fence.role, self._fence.epoch, answer.current)


def _incarnation(rows: Mapping[int, Position], partition: int) -> int:
    return rows[partition].incarnation if partition in rows else 0
