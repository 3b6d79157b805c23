"""The calls of a consumer: what it runs for each attempt."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from workflow_ray.definition import Workflow
from workflow_ray.engine.transition import Failed, Outcome
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Fence, WriteGroup
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.cascade import Cascade
from workflow_ray.roles.decisions import Decisions
from workflow_ray.roles.effects import EffectsOfRole
from workflow_ray.roles.execution import Execution
from workflow_ray.roles.functions import Functions
from workflow_ray.roles.loopwatch import Occupant
from workflow_ray.roles.message_arguments import MessageArguments
from workflow_ray.roles.resources import Opened
from workflow_ray.roles.results import Results
from workflow_ray.roles.threads import threads_of


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
        spawn: Starts a task whose errors end the role.
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
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        role = fence.role
        threads = threads_of(
            workflow,
            role,
            functions.name,
            functions.max_in_flight,
            has_time_limit=bool(functions.time_limits),
        )
        effects = EffectsOfRole(fence, workflow, records, results, threads, clock, spawn)
        arguments = MessageArguments(role, workflow, records, clock, spawn)
        self._fence = fence
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
        self.outcome: Callable[[Attempt], Coroutine[Any, Any, Outcome]] = execution.outcome
        """Does the work of an attempt, as the whole work of a task."""

    async def _outcome_without_function(self, attempt: Attempt) -> Outcome:
        if attempt.message is None:
            await self._cascade.run(attempt.record)
            attempt.is_overtaken = True  # the run is finished, so that nothing follows
        return Failed("the code has no function for it", fatal=True)

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
