"""Steps whose own writes to the records' database are committed with the transition."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from workflow_ray.definition import Step
from workflow_ray.engine.transition import Failed, Outcome, Returned
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import StepTransaction, Transactions
from workflow_ray.records import ChildRefused, Committed, Fence, Stored, WriteGroup
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.decisions import Decisions
from workflow_ray.roles.execution import SESSION, failed
from workflow_ray.roles.result import why_refused

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransactionWork:
    """What a role with a transactional step works with.

    Attributes:
        transactions: Of the records' store.
        timeouts_apart: Another store holds the timeouts.
    """

    transactions: Transactions
    timeouts_apart: bool = False

    async def aclose(self) -> None:
        """Close the connections of the transactions."""
        await self.transactions.close()


class Transacting:
    """Runs the attempts of a transactional step.

    The step's statements come first. The write of its transition comes last, and is committed with
    them. The position moves later, in a commit of the role: an event that is seen again until then
    is stale, because its version is behind the run's.

    Args:
        step: The step.
        fence: The role's.
        work: The store's transactions.
        decisions: Decides on the outcome of an attempt.
        run: Executes the function of an attempt.
    """

    def __init__(
        self,
        step: Step[Any],
        fence: Fence,
        work: TransactionWork,
        decisions: Decisions,
        run: Callable[[Attempt], Awaitable[Outcome]],
    ) -> None:
        self._step = step
        self._fence = fence
        self._work = work
        self._decisions = decisions
        self._run = run

    async def outcome(self, attempt: Attempt) -> Outcome:
        """Run the attempt in a transaction, and commit what it leads to. An attempt that has failed
        is undone; its outcome is left to the role. Other functions than the step run without a
        transaction.
        """
        if attempt.function is not self._step:
            return await self._run(attempt)
        try:
            async with self._work.transactions.begin() as transaction:
                if attempt.time_limit is not None:  # the wait for the transaction does not count
                    attempt.time_limit.begin(attempt)
                SESSION.set(transaction.session)
                outcome = await self._run(attempt)
                if not isinstance(outcome, Returned):
                    return outcome
                if attempt.is_expired or attempt.phase is not Phase.RUNNING:
                    # the function has caught its cancellation; its outcome is dropped
                    raise asyncio.CancelledError("the attempt was given up")
                return await self._commit(attempt, outcome, transaction)
        except Exception as error:  # of the database, whose commit may have landed: then the
            # write that counts this attempt conflicts, and is dropped
            return failed(error, self._step.retry)

    async def _commit(
        self, attempt: Attempt, outcome: Outcome, transaction: StepTransaction
    ) -> Outcome:
        write = self._decisions.of(attempt, outcome).write
        assert write is not None, "a step leads to a write"
        group = WriteGroup(
            writes=(write,), fence=self._fence, timeouts_apart=self._work.timeouts_apart
        )
        try:
            answer = await transaction.commit(group)
        except WorkflowError as error:
            if error.transient:
                raise
            return Failed(str(error), fatal=True)  # another attempt would write the same
        result = answer.results[0] if isinstance(answer, Committed) else None
        if isinstance(result, ChildRefused):
            return Failed(why_refused(result), fatal=True)
        attempt.is_committed = isinstance(result, Stored)
        if not attempt.is_committed:  # the role is lost, as its next commit finds
            where = {"run_id": attempt.record.run_id, "role": self._fence.role}
            log.debug("the run went on without this role", extra=where)
        attempt.is_overtaken = True  # nothing is left to be written
        return outcome
