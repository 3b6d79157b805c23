"""The calls of a consumer: what it runs for each attempt."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from workflow_ray.definition import BatchStep, Breaker, FlowControl, Step, Workflow
from workflow_ray.engine.events import cancels_all
from workflow_ray.engine.transition import Failed, Outcome, Park, Returned
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Fence, Record, RunId, WriteGroup
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.batch_calls import BatchCalls
from workflow_ray.roles.batches import Batches
from workflow_ray.roles.cascade import Cascade
from workflow_ray.roles.decisions import Decisions
from workflow_ray.roles.effects import EffectsOfRole
from workflow_ray.roles.execution import Execution
from workflow_ray.roles.functions import Functions
from workflow_ray.roles.loopwatch import Occupant
from workflow_ray.roles.message_arguments import MessageArguments
from workflow_ray.roles.overtaking import Overtaking
from workflow_ray.roles.resources import Opened
from workflow_ray.roles.results import Results
from workflow_ray.roles.step_breaker import Ended, StepBreaker
from workflow_ray.roles.threads import threads_of
from workflow_ray.roles.transacting import Transacting, TransactionWork


class Calls:
    """Calls the functions of one status, whose resources are open, and cancels children.

    Args:
        fence: The role's.
        workflow: The workflow of the runs.
        functions: Those of the status.
        decisions: Decides on an attempt that blocks its event loop.
        records: The store.
        results: Commits results of `once`, and cancellations of children.
        resources: The resources of the functions.
        clock: Measures waits.
        read: Reads records. It may return only those of the first runs.
        spawn: Starts a task whose errors end the role.
        transactions: For a transactional step.
    """

    def __init__(
        self,
        fence: Fence,
        workflow: Workflow[Any, Any],
        functions: Functions,
        decisions: Decisions,
        records: RecordStore,
        results: Results,
        resources: Opened,
        clock: Clock,
        read: Callable[[Sequence[RunId]], Awaitable[dict[RunId, Record | None]]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        transactions: TransactionWork | None = None,
    ) -> None:
        role = fence.role
        threads = threads_of(
            workflow,
            role,
            functions.name,
            functions.max_in_flight,
            has_time_limit=functions.may_abandon_calls,
        )
        self.overtaking = Overtaking(role, records, clock)
        """Tells functions that their runs have moved on, while it runs."""
        effects = EffectsOfRole(
            fence, workflow, records, results, threads, self.overtaking, clock, spawn
        )
        arguments = MessageArguments(role, workflow, records, clock, spawn)
        self._fence = fence
        self._step = functions.step
        self._data_version = workflow.data_version
        self._decisions = decisions
        self._cascade = Cascade(role, records, results, clock)
        execution = Execution(
            functions.all,
            resources.values,
            effects,
            arguments,
            threads,
            self._outcome_without_function,
        )
        self._abandoned = threads.abandoned
        self.outcome: Callable[[Attempt], Coroutine[Any, Any, Outcome]] = execution.outcome
        """Does the work of an attempt, as the whole work of a task."""
        self.batches: Batches | None = None
        """Those of a batch step."""
        if isinstance(functions.step, BatchStep):
            step = functions.step
            self._batch_calls = BatchCalls(
                step, resources.values, effects, threads, clock, resources.context
            )
            self.batches = Batches(
                workflow, role, step, self._batch_calls.outcomes, self.outcome, read, spawn, clock
            )
            self.outcome = self.batches.outcome
        elif transactions is not None and functions.step is not None:
            self.outcome = Transacting(
                functions.step, fence, transactions, decisions, execution.outcome
            ).outcome
        self.breaker: StepBreaker | None = None
        """That of the step."""
        if functions.step is not None and functions.step.breaker is not None:
            self._add_breaker(functions.step, functions.step.breaker, clock)
        if functions.step is not None and functions.step.flow is not None:
            self.outcome = partial(self._unless_unparked, functions.step.flow, self.outcome)

    def _add_breaker(self, step: Step[Any], breaker: Breaker, clock: Clock) -> None:
        self.breaker = StepBreaker(
            self._fence.role, step, breaker, self.outcome, self.give_back, clock
        )
        self.outcome = self.breaker.outcome
        if self.batches is not None:
            self.batches.held_since = self.breaker.held_since

    def abandoned(self) -> int:
        """The number of calls that were abandoned and still run, in their threads or as calls of a
        batch step that do not end when they are cancelled. Thread-safe.
        """
        left_alone = 0 if self.batches is None else self._batch_calls.left_alone()
        return self._abandoned() + left_alone

    async def _unless_unparked(
        self,
        flow: FlowControl[Any, Any],
        run: Callable[[Attempt], Awaitable[Outcome]],
        attempt: Attempt,
    ) -> Outcome:
        """Do the work of an attempt, unless its run is to be parked before its step.

        Such a run has entered the status without being parked: its start was delayed, or earlier
        code without flow control has let it enter. If newer code has written its data, it is held
        back before.
        """
        step, record = self._step, attempt.record
        is_newer = record.data_version > self._data_version
        if attempt.function is not step or step is None or record.parking is not None or is_newer:
            return await run(attempt)
        self.give_back(attempt)
        return Returned(Park(step.status, flow), None)

    def held_back(self) -> str:
        """Say why the circuit breaker of the step holds runs back. Empty: it does not.
        Thread-safe.
        """
        return "" if self.breaker is None else self.breaker.describe()

    def ended(self, ended: Ended) -> Ended:
        """Return what to call with each attempt that has ended, which calls `ended`."""
        return ended if self.breaker is None else self.breaker.noting(ended)

    async def _outcome_without_function(self, attempt: Attempt) -> Outcome:
        if attempt.message is None:
            await self._cascade.run(attempt.record, of_all=cancels_all(attempt.event))
            attempt.is_overtaken = True  # the run is finished, so that nothing follows
        return Failed("the code has no function for it", fatal=True)

    def hurry(self) -> None:
        """Let no batch wait for further attempts: nothing else happens before it begins."""
        if self.batches is not None:
            self.batches.hurry()

    def finish(self) -> None:
        """Let no batch wait for further attempts from now on: the role stops."""
        if self.batches is not None:
            self.batches.finish()

    async def reserve(self, attempt: Attempt) -> None:
        """Wait until an attempt that shares no call with others can begin at once."""
        if self.batches is not None:
            await self.batches.reserve(attempt)

    def give_back(self, attempt: Attempt) -> None:
        """Note that an attempt does not begin for which `reserve` may have been called."""
        if self.batches is not None:
            self.batches.give_back(attempt)

    def batch_occupant(self, task: asyncio.Task[Any]) -> Occupant | None:
        """Describe the call of the batch step that the task makes, if it makes one. Thread-safe."""
        attempts = () if self.batches is None else self._batch_calls.attempts_of(task)
        if len(attempts) < 2:
            return self.occupant(attempts[0]) if attempts else None
        first = attempts[0]
        assert first.function is not None, "a batch is one of the batch step"
        return Occupant(
            f"{first.function.name} (in a batch of {len(attempts)})",
            first.record.run_id,
            first.record.version,
            self._fence.role,
            partial(self._blocked_write, attempts),
        )

    def _blocked_write(self, attempts: Sequence[Attempt], reason: str) -> WriteGroup:
        """Let the runs of a batch that blocks the loop be tried alone; count no attempt.

        Without a fence, nothing is released: if the process ends, the runs are in doubt.
        """
        assert self.batches is not None, "only a batch step has batches"
        self.batches.blocked(attempts)
        return WriteGroup()

    def occupant(self, attempt: Attempt) -> Occupant | None:
        """Describe the user's function that the attempt runs, if it runs one."""
        if attempt.function is None:
            return None
        return Occupant(
            attempt.function.name,
            attempt.record.run_id,
            attempt.record.version,
            self._fence.role,
            partial(self._failed_write, attempt),
        )

    def _failed_write(self, attempt: Attempt, reason: str) -> WriteGroup:
        """Make the write that counts an attempt as failed before it has ended."""
        result = self._decisions.of(attempt, Failed(reason))
        return WriteGroup(
            writes=() if result.write is None else (result.write,),
            failures=() if result.failure is None else (result.failure,),
            fence=self._fence,
        )
