"""The role that finds runs whose event was lost, and sends the event again.

It also settles messages that have expired.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_ray.engine.events import is_awaited
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
"""The seconds between two sweeps."""
AGE = 300.0
"""The seconds for which a run must not have changed, so that the sweeper reads few healthy runs."""
BATCH = 500
"""The most runs that a sweep reads from a partition, and the most events that it sends at once."""


@dataclass(frozen=True)
class Suspects:
    """Runs of one partition that wait for events which are not in the outbox. The events are in the
    stream, below `end`, or lost.
    """

    end: int
    incarnation: int  # the incarnation of the log in which `end` counts
    events: tuple[Event, ...]


class Sweeper:
    """Sends events again that a stream has lost. There is one sweeper for a whole deployment.

    A suspect is a run that waits for an event which is not in the outbox. As long as the position
    of its status is below the end that the stream had when the run was found, its event may be in a
    backlog, or its step may run for hours. When the position has passed that end, everything that
    was published by then is finished. If the run still waits for the same event, the event was
    lost. An event that is sent again needlessly is stale when it arrives, and does no harm.
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
        # by partition, at most one batch for each
        self._suspects: dict[Topic, dict[int, Suspects]] = defaultdict(dict)
        # where the last sweep of each workflow and partition ended
        self._after: dict[tuple[str, int], RunId | None] = {}
        # The monotonic time until which no run of a workflow can have waited for long enough
        self._idle_until: dict[str, float] = {}
        self.resent = 0  # the events that this holder has sent again

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop`. Raises RoleLost.

        If a sweep is cut off, the next holder starts it again.
        """
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(self._sweep_all)
                await self._clock.wait(stop, self._every)

    async def _sweep_all(self) -> None:
        deployment = await persist(self._records.deployment, self._clock, self._fence.role)
        # a sweeper that finds nothing would not notice that the role is lost
        names = tuple(workflow.name for workflow in deployment.workflows)
        await persist(lambda: self._put((), expires=names), self._clock, self._fence.role)
        for workflow in deployment.workflows:
            try:
                await self._sweep(workflow)
            # A store that fails now, for example a partition without a leader, does not delay other
            # workflows.
            except StoreError as error:
                log.warning(
                    "%s; trying again in %g s",
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
                await self._note_suspects(topic, rows, events)
                await self._judge(topic, rows)

    async def _waiting(self, workflow: DeployedWorkflow) -> list[Event]:
        """Read the next runs that wait for an event, from where the last sweep ended."""
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
            page = await self._records.waiting(query)
            found += page.events
            self._after[workflow.name, partition] = page.after
        return found

    async def _may_have_some(self, workflow: str) -> bool:
        """Whether any run can have waited for long enough.

        This spares the reads of idle workflows, which take one for each partition. If no run is
        active now, a run that waits later must be written first.
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
        """Read the group's positions in the current log, by partition."""
        return {
            row.partition: row
            for row in await self._records.positions(group)
            if row.log == self._events.stream_id
        }

    async def _note_suspects(
        self, topic: Topic, rows: Mapping[int, Position], found: Sequence[Event]
    ) -> None:
        """Note the ends of the partitions that have no suspects yet.

        The runs of the other partitions are found again when their suspects are judged.
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
        """Send the lost events again. If a new log has begun, forget the suspects."""
        for partition, suspects in list(self._suspects[topic].items()):
            if suspects.incarnation != _incarnation(rows, partition):
                del self._suspects[topic][partition]
            elif await self._is_past(topic, partition, rows, suspects.end):
                await self._resend(suspects.events)
                del self._suspects[topic][partition]

    async def _is_past(
        self, topic: Topic, partition: int, rows: Mapping[int, Position], end: int
    ) -> bool:
        """Whether the position has passed the end, or no events are left before the end.

        A position does not pass events that retention has deleted until another event follows.
        """
        position = rows[partition].offset if partition in rows else 0
        return position >= end or await self._events.lag(topic, {partition: position}) == 0

    async def _resend(self, suspects: Sequence[Event]) -> None:
        while suspects:
            records = await self._records.lookup([event.run_id for event in suspects], fresh=True)
            looked_up = list(zip(suspects, records, strict=False))  # the store may return only some
            await self._send_again(
                [event for event, record in looked_up if is_awaited(event, record)]
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

    async def _put(self, events: Sequence[Event], *, expires: tuple[str, ...] = ()) -> None:
        """Put events into the outbox, and settle messages that have expired. Raises RoleLost.

        Args:
            events: The events.
            expires: The workflows of the messages.
        """
        group = WriteGroup(events=tuple(events), fence=self._fence, expires=expires)
        (answer,) = await self._records.store([group])
        if isinstance(answer, Fenced):
            raise RoleLost(self._fence.role, self._fence.epoch, answer.current)


def _incarnation(rows: Mapping[int, Position], partition: int) -> int:
    return rows[partition].incarnation if partition in rows else 0
