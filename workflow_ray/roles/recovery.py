"""Recovery: a new holder of a role tries the events that an earlier one may have run when its
process died.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

from workflow_ray.ports import Clock, EventStreamer
from workflow_ray.records import Arrivals, Position, Received, Topic
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.event_records import Written
from workflow_ray.roles.in_doubt import CHUNK, PAUSE, PartitionsInDoubt
from workflow_ray.roles.intake import Intake
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.results import Results
from workflow_ray.roles.steps import Steps
from workflow_ray.roles.waiting import Interruptible


class Recovery:
    """Tries the events in doubt in groups, which double in size, and then claims the partitions.

    The offsets of a group are committed in the partitions' rows before the group begins. If the
    process dies, the next holder finds these offsets, and runs each of them alone. It counts such
    an attempt before it begins, so that a step that kills its process uses up its attempts, and
    other runs lose none. Before that, the earlier holder gets time to release the partition. If it
    does, it was alive, and nothing is in doubt.

    Args:
        positions: Reads the rows of the partitions.
        largest: The most attempts in one group.
        alone: Starts an attempt alone. The task ends when the next attempt may begin.
        claimed: Called when partitions were claimed.
    """

    def __init__(
        self,
        reader: str,
        topic: Topic,
        partitions: Collection[Partition],
        largest: int,
        intake: Intake,
        events: EventStreamer,
        steps: Steps,
        results: Results,
        observation: Observation,
        clock: Clock,
        positions: Callable[[], Awaitable[Sequence[Position]]],
        alone: Callable[[Attempt], asyncio.Task[None]],
        claimed: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._in_doubt = PartitionsInDoubt(
            partitions, partial(events.ends, topic), positions, clock
        )
        self._largest = largest
        self._intake = intake
        self._steps = steps
        self._results = results
        self._observation = observation
        self._alone = alone
        self._claimed = claimed
        self._pending: list[Attempt] = []  # attempts that were read and not tried yet

    async def run(self, stop: asyncio.Event) -> None:
        """Recover until everything is tried, or until `stop`. Untried events stay in doubt."""
        async with Interruptible(stop) as until_stopped:
            await self._in_doubt.let_release(stop, until_stopped)
            size = 1
            while self._in_doubt and not stop.is_set() and not self._steps.closed:
                await self._read(size, stop, until_stopped)
                await self._claim_tried()
                if self._pending and not stop.is_set() and not self._steps.closed:
                    await self._try(size, stop, until_stopped)
                    size = min(2 * size, self._largest)
        for attempt in self._pending:
            self._results.forget(attempt)

    # --- reading --------------------------------------------------------------------------------

    async def _read(self, count: int, stop: asyncio.Event, until_stopped: Interruptible) -> None:
        """Read until that many attempts are pending, and run suspects alone at once."""
        while (
            len(self._pending) < count
            and not stop.is_set()
            and (reading := await self._in_doubt.to_read())
        ):
            before = sum(partition.progress.next for partition in reading)
            receive = partial(self._intake.receive, reading, reader=self._reader, limit=CHUNK)
            with self._results.own_writes.noted() as written:
                arrivals = await until_stopped.wait(
                    partial(receive, wait=0.0 if self._pending else PAUSE)
                )
                await self._take(arrivals or Arrivals(), written, stop, until_stopped)
            if self._pending and sum(partition.progress.next for partition in reading) == before:
                return  # the pending attempts need not wait for events that can't be read now

    async def _take(
        self,
        arrivals: Arrivals,
        written: Written,
        stop: asyncio.Event,
        until_stopped: Interruptible,
    ) -> None:
        partitions = self._in_doubt.by_number()
        rest: Sequence[Received] = [
            item for item in arrivals.events if self._is_in_doubt(item, partitions)
        ]
        while rest and not stop.is_set():
            attempts, rest = await self._intake.judge(rest, written)
            for attempt in attempts:
                if self._is_suspect(attempt) and not stop.is_set():
                    await until_stopped.wait(partial(asyncio.wait, {self._alone(attempt)}))
                else:
                    self._pending.append(attempt)
        if not rest:
            for number, offset in arrivals.read.items():
                if number in partitions:
                    partitions[number].progress.skip(
                        min(offset, self._in_doubt.end(partitions[number]))
                    )

    def _is_in_doubt(self, item: Received, partitions: dict[int, Partition]) -> bool:
        partition = partitions.get(item.event.partition)
        return partition is not None and item.offset < self._in_doubt.end(partition)

    def _is_suspect(self, attempt: Attempt) -> bool:
        """Whether it was being tried when a process died, or was counted and did not end."""
        return attempt.offset in attempt.partition.suspects or attempt.is_doubted

    # --- trying ---------------------------------------------------------------------------------

    async def _try(self, size: int, stop: asyncio.Event, until_stopped: Interruptible) -> None:
        """Run the next attempts together until all have ended, but at most OBSERVED seconds."""
        if not await until_stopped.wait(self._observation.begin_group):
            return
        try:
            group = self._pending[:size]
            for attempt in group:
                attempt.is_alone = True
                attempt.partition.trying.add(attempt.offset)
            await self._results.flush()
            if not stop.is_set():
                self._pending = self._pending[size:]
                self._steps.start(group)
                await until_stopped.wait(partial(self._in_doubt.until_ended, group))
        finally:
            await self._observation.end_group()

    async def _claim_tried(self) -> None:
        """Claim the partitions in which everything was tried."""
        if self._in_doubt.claim_tried({attempt.partition for attempt in self._pending}):
            await self._results.flush()
            self._claimed()
