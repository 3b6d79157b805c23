"""The role that runs the functions of one status, for the partitions of its shard."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any

from workflow_ray.engine.recovery import start
from workflow_ray.engine.transition import Outcome, Returned
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import Fence, Position, status_topic
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.calls import Calls
from workflow_ray.roles.cancellation import run_cancellable
from workflow_ray.roles.decisions import Decisions
from workflow_ray.roles.failures import log_failure
from workflow_ray.roles.functions import Functions
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.intake import Intake
from workflow_ray.roles.loopwatch import Occupant, running_step
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.observed import Observed
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.reception import Reception
from workflow_ray.roles.recovery import Recovery
from workflow_ray.roles.resources import Opened, opened
from workflow_ray.roles.result import Result
from workflow_ray.roles.results import Results
from workflow_ray.roles.step_work import StepWork
from workflow_ray.roles.steps import Steps

log = logging.getLogger(__name__)


class Consumer:
    """Receives events, runs the functions that they ask for, and commits results and positions.

    A slow or failing run does not delay others: functions run concurrently, up to the step's
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
        functions = Functions(work.workflow, work.status)
        self._role = work.role
        self._work = work
        self._functions = functions
        self._decisions = Decisions(fence.role, work.workflow)
        self._fence = fence
        self._records = records
        self._events = events
        self._clock = clock
        self._observation = observation or Observation()
        self._in_flight = in_flight or InFlight()
        self._topic = status_topic(work.workflow.name, work.status.value)
        self._partitions: dict[int, Partition] = {}
        self._results = Results(
            fence, work.role.group, events.stream_id, records, clock, self._decisions.refused
        )
        self._intake = Intake(
            work.role.name,
            self._topic,
            functions,
            self._partitions,
            records,
            events,
            clock,
            self._results,
        )
        self._is_leaving = False  # what begins now is left to the next holder

    @property
    def idle(self) -> bool:
        """Whether everything that was received is committed."""
        return not self._results.attempts

    def progress(self) -> asyncio.Event:
        """Return what is set when the next attempts in hand are committed, from now on."""
        return self._results.next_settled()

    def hurry(self) -> None:
        """Let batches begin that wait for more runs."""
        self._calls.hurry()

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
        functions, work = self._functions, self._work
        closing: AbstractAsyncContextManager[object] = (
            nullcontext() if work.transactions is None else aclosing(work.transactions)
        )
        async with closing, opened(functions.name, functions.resources, work.replaced) as resources:
            self._steps = self._steps_of(resources)
            self._observed = Observed(
                self._decisions,
                self._observation,
                self._steps,
                self._calls,
                self._results,
                self._clock,
            )
            with (
                running_step(asyncio.get_running_loop()).found_by(self._occupant),
                self._in_flight.counted(
                    self._fence.role,
                    self._steps.running,
                    self._abandoned,
                    self._calls.held_back,
                ),
            ):
                await run_cancellable(
                    self._attend(stop, resources),
                    stop,
                    leave=self._leave,
                    abandon=self._steps.abandon,
                    close=self._steps.close,
                )

    # --- work -----------------------------------------------------------------------------------

    async def _attend(self, stop: asyncio.Event, resources: Opened) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                committing = self._tasks.create_task(self._results.run())
                watching = self._tasks.create_task(resources.broken())
                limiting = self._tasks.create_task(self._steps.enforce_time_limits())
                telling = self._tasks.create_task(self._calls.overtaking.run())
                await self._begin()
                reception = Reception(
                    self._role.name, self._partitions, self._intake, self._results, self._start
                )
                recovery = self._recovery(reception)
                recovering = self._tasks.create_task(recovery.run(stop))
                await reception.run(stop)
                await asyncio.wait({recovering})
                self._is_leaving = True
                self._calls.finish()
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
                telling.cancel()
        except* WorkflowError as errors:
            raise errors.exceptions[0] from None

    async def _begin(self) -> None:
        """Read the rows of the owned partitions, and claim those without events in doubt."""
        rows = {row.partition: row for row in await self._stored_positions()}
        for number in self._role.owned(self._work.workflow.partitions):
            begin = start(rows.get(number), self._fence, self._events.stream_id)
            self._partitions[number] = Partition(number, begin, self._fence)
        self._results.begin(self._partitions.values(), self._steps.reserve_ahead, self._look_again)
        await self._results.flush()

    async def _stored_positions(self) -> list[Position]:
        group = self._role.group
        return await persist(lambda: self._records.positions(group), self._clock, self._fence.role)

    def _recovery(self, reception: Reception) -> Recovery:
        return Recovery(
            f"{self._role.name}-recovery",
            self._topic,
            self._partitions.values(),
            self._functions.max_in_flight,
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
        counted = [attempt for attempt in attempts if attempt.is_doubted]
        for attempt in counted:
            self._start_alone(attempt)
        self._steps.start(
            [attempt for attempt in attempts if attempt not in counted] if counted else attempts
        )

    def _start_alone(self, attempt: Attempt) -> asyncio.Task[None]:
        attempt.is_alone = True
        return self._observed.start(attempt, self._tasks.create_task)

    def _look_again(self, settled: Sequence[Attempt]) -> None:
        """Look at the runs of these attempts again, for other messages and for the step."""
        if self._is_leaving:
            for attempt in settled:
                self._results.forget(attempt)
        else:
            self._spawn(self._judge_again(settled))

    async def _judge_again(self, settled: Sequence[Attempt]) -> None:
        attempts = await self._intake.judge_again(settled)
        if self._is_leaving:
            for attempt in attempts:
                self._results.forget(attempt)
        else:
            self._start(attempts)

    # --- functions ------------------------------------------------------------------------------

    def _steps_of(self, resources: Opened) -> Steps:
        functions = self._functions
        self._calls = Calls(
            self._fence,
            self._work.workflow,
            functions,
            self._decisions,
            self._records,
            self._results,
            resources,
            self._clock,
            self._intake.records.look_up,
            self._spawn,
            self._work.transactions,
        )
        return Steps(
            functions.max_in_flight,
            self._calls.outcome,
            self._calls.ended(self._ended),
            self._overtaken,
            self._intake.records.look_up,
            self._results.flush,
            self._spawn,
            resources.context,
            self._clock,
            functions.time_limits,
        )

    def _occupant(self, task: asyncio.Task[Any]) -> Occupant | None:
        """The function that the task runs, if it is one of this role."""
        attempt = self._steps.attempt_of(task)
        calls = self._calls
        return calls.batch_occupant(task) if attempt is None else calls.occupant(attempt)

    def _abandoned(self) -> int:
        """The number of functions whose attempts have ended, and that still run."""
        return self._steps.left_alone() + self._calls.abandoned()

    def _ended(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.is_overtaken:
            self._results.add(Result(None, attempt))
            return
        result = self._decisions.of(attempt, outcome)
        if not isinstance(outcome, Returned):
            log_failure(self._fence.role, attempt, outcome, result)
        self._results.add(result)

    def _overtaken(self, attempt: Attempt) -> None:
        """Drop an attempt whose run has moved on, or ended, while it waited for its turn."""
        self._results.add(Result(None, attempt))
        attempt.mark_ended()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            self._tasks.create_task(coroutine)
        except RuntimeError:  # the role is ending, so nothing new begins
            coroutine.close()

    # --- the end --------------------------------------------------------------------------------

    def _leave(self) -> None:
        """End the orderly stop: give counted attempts back, and leave others."""
        for attempt in self._steps.abandon():
            if attempt.is_counted:
                self._results.add(self._decisions.give_back(attempt))
            else:
                self._results.forget(attempt)
