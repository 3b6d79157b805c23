"""The role that runs the step of one status, for the partitions of its shard."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from workflow_ray.definition import Resource, Status, Workflow
from workflow_ray.engine.recovery import start
from workflow_ray.engine.transition import Failed, Outcome, decide
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import (
    Cause,
    Fence,
    Position,
    Record,
    Role,
    Write,
    WriteGroup,
    new_write_id,
    status_topic,
)
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.execution import Execution
from workflow_ray.roles.failures import log_failure
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.intake import Intake
from workflow_ray.roles.loopwatch import Occupant, running_step
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.observed import Observed
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.reception import Reception
from workflow_ray.roles.recovery import Recovery
from workflow_ray.roles.resources import Opened, opened
from workflow_ray.roles.results import Result, Results
from workflow_ray.roles.steps import Steps
from workflow_ray.roles.threads import threads_of

log = logging.getLogger(__name__)

LEAVING = 5.0
"""The seconds that an orderly stop has for the last commits, after it has abandoned its steps."""


@dataclass(frozen=True)
class StepWork:
    """The work of a consumer, and in tests the values that replace resources."""

    role: Role
    workflow: Workflow[Any, Any]
    status: Status
    replaced: Mapping[Resource[Any], object]


class Consumer:
    """Receives events, runs the step for each event that asks for it, and commits the results
    together with the positions.

    A slow or failing run does not delay others: steps run concurrently, up to the step's
    `max_in_flight`, and results are written as they come. If an earlier holder died, `Recovery`
    first tries the events that it may have run.
    """

    def __init__(
        self,
        work: StepWork,
        fence: Fence,
        records: RecordStore,
        events: EventStreamer,
        clock: Clock,
        observation: Observation | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        """Roles of one event loop share `observation`, and those of one process `in_flight`."""
        graph = work.workflow.checked()
        step = graph.step(work.status)
        if step is None:
            raise ValueError(f"{work.status!r} has no step")
        self._role = work.role
        self._work = work
        self._step = step
        self._graph = graph
        self._fence = fence
        self._records = records
        self._events = events
        self._clock = clock
        self._observation = observation or Observation()
        self._in_flight = in_flight or InFlight()
        self._topic = status_topic(work.workflow.name, work.status.value)
        self._owned = work.role.owned(work.workflow.partitions)
        self._partitions: dict[int, Partition] = {}
        self._results = Results(
            fence, work.role.group, events.stream_id, records, clock, self._refuse
        )
        self._intake = Intake(
            work.role.name, self._topic, self._partitions, records, events, clock, self._results
        )

    @property
    def idle(self) -> bool:
        """Whether everything that was received is committed."""
        return not self._results.attempts

    def progress(self) -> asyncio.Event:
        """Return what is set when the next attempts in hand are committed, counted from this
        call.
        """
        return self._results.next_settled()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish the running steps, and leave other attempts to the next
        holder.

        If it is cancelled after `stop`, it abandons the running steps, gives counted attempts back,
        and ends within seconds. If it is cancelled before, it leaves everything to the next holder.
        A step that does not end when it is cancelled is left alone.

        Raises:
            RoleLost: The role has a newer holder.
            WorkflowError: The store can't be used, or a resource of the step failed.
        """
        async with opened(self._step, self._work.replaced) as resources:
            self._steps = self._steps_of(resources)
            self._observed = Observed(
                self._fence.role,
                self._step,
                self._graph,
                self._observation,
                self._steps,
                self._results,
                self._clock,
            )
            with (
                running_step(asyncio.get_running_loop()).found_by(self._occupant),
                self._in_flight.counted(self._fence.role, self._steps.running),
            ):
                await self._work_apart(stop, resources)

    async def _work_apart(self, stop: asyncio.Event, resources: Opened) -> None:
        """Do the work, in a task of its own, which may go on for a while after a cancellation."""
        work = asyncio.create_task(self._attend(stop, resources))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if stop.is_set():
                await self._abandon(work)
            raise
        finally:
            await self._end(work)

    # --- work -----------------------------------------------------------------------------------

    async def _attend(self, stop: asyncio.Event, resources: Opened) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                committing = self._tasks.create_task(self._results.run())
                watching = self._tasks.create_task(resources.broken())
                limiting = self._tasks.create_task(self._steps.enforce_time_limit())
                await self._begin()
                reception = Reception(
                    self._role.name, self._partitions, self._intake, self._results, self._start
                )
                recovery = self._recovery(reception)
                recovering = self._tasks.create_task(recovery.run(stop))
                await reception.run(stop)
                await asyncio.wait({recovering})
                for attempt in [*self._steps.withdraw(), *self._observed.withdraw()]:
                    self._results.forget(attempt)
                for partition in self._partitions.values():
                    partition.leave()
                self._results.touch()
                await self._results.settled()
                self._results.close()
                await asyncio.wait({committing})
                watching.cancel()
                limiting.cancel()
        except* WorkflowError as errors:
            raise errors.exceptions[0] from None

    async def _begin(self) -> None:
        """Read the rows of the owned partitions, and claim those without events in doubt."""
        rows = {row.partition: row for row in await self._stored_positions()}
        for number in self._owned:
            begin = start(rows.get(number), self._fence, self._events.stream_id)
            self._partitions[number] = Partition(number, begin, self._fence)
        self._results.begin(self._partitions.values(), self._steps.reserve_ahead)
        await self._results.flush()

    async def _stored_positions(self) -> list[Position]:
        group = self._role.group
        return await persist(lambda: self._records.positions(group), self._clock, self._fence.role)

    def _recovery(self, reception: Reception) -> Recovery:
        return Recovery(
            f"{self._role.name}-recovery",
            self._topic,
            self._partitions.values(),
            self._step.max_in_flight,
            self._intake,
            self._events,
            self._steps,
            self._results,
            self._observation,
            self._clock,
            self._stored_positions,
            self._start_alone,
            reception.receive_claimed,
        )

    def _start(self, attempts: Sequence[Attempt]) -> None:
        # its process died after it was counted, so it is counted again
        counted = [attempt for attempt in attempts if attempt.record.cause is Cause.DOUBT]
        for attempt in counted:
            self._start_alone(attempt)
        self._steps.start(
            [attempt for attempt in attempts if attempt not in counted] if counted else attempts
        )

    def _start_alone(self, attempt: Attempt) -> asyncio.Task[None]:
        return self._observed.start(attempt, self._tasks.create_task)

    # --- steps ----------------------------------------------------------------------------------

    def _steps_of(self, resources: Opened) -> Steps:
        step, workflow = self._step, self._work.workflow
        threads = threads_of(workflow, self._role.name, step)
        execution = Execution(workflow, step, resources.values, threads)
        return Steps(
            step.max_in_flight,
            execution.outcome,
            self._ended,
            self._overtaken,
            self._intake.look_up,
            self._results.flush,
            self._spawn,
            resources.context,
            self._clock,
            step.timeout,
        )

    def _occupant(self, task: asyncio.Task[Any]) -> Occupant | None:
        """The step that the task runs, if it is a step of this role."""
        if (record := self._steps.record_of(task)) is None:
            return None
        return Occupant(
            self._step.name,
            record.run_id,
            record.version,
            self._fence.role,
            partial(self._failed_write, record),
        )

    def _failed_write(self, record: Record, reason: str) -> WriteGroup:
        """Make the write that counts an attempt as failed before it has ended."""
        return WriteGroup(writes=(self._decide(record, Failed(reason)),), fence=self._fence)

    def _ended(self, attempt: Attempt, outcome: Outcome) -> None:
        write = self._decide(attempt.record, outcome)
        if isinstance(outcome, Failed):
            log_failure(self._fence.role, self._step, attempt.record, outcome, write)
        self._results.add(Result(write, attempt))

    def _overtaken(self, attempt: Attempt) -> None:
        """Drop an attempt whose run was cancelled, or moved on, while it waited for its turn."""
        self._results.add(Result(None, attempt))
        attempt.mark_ended()

    def _refuse(self, record: Record, write: Write, why: str) -> Write:
        return self._decide(record, Failed(why, fatal=True))

    def _decide(self, record: Record, outcome: Outcome) -> Write:
        return decide(
            record, outcome, self._step, self._graph, by=self._fence.role, write_id=new_write_id()
        )

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            self._tasks.create_task(coroutine)
        except RuntimeError:  # the role is ending, so nothing new begins
            coroutine.close()

    # --- the end --------------------------------------------------------------------------------

    async def _abandon(self, work: asyncio.Task[None]) -> None:
        """End the orderly stop: give counted attempts back, and commit the results."""
        for attempt in self._steps.abandon():
            if attempt.counted:
                self._results.add(self._observed.give_back(attempt))
            else:
                self._results.forget(attempt)
        await asyncio.wait({work}, timeout=LEAVING)

    async def _end(self, work: asyncio.Task[None]) -> None:
        work.cancel()
        self._steps.abandon()
        await asyncio.wait({work}, timeout=LEAVING)
        if work.done() and not work.cancelled():
            work.exception()  # it was raised already, or a cancellation replaces it
        await self._steps.close()
