"""In-doubt attempts that are counted first, and then run alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from workflow_ray.ports import Clock
from workflow_ray.records import Conflict
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.calls import Calls
from workflow_ray.roles.decisions import Decisions
from workflow_ray.roles.observation import OBSERVED, Observation
from workflow_ray.roles.result import Result
from workflow_ray.roles.results import Results
from workflow_ray.roles.steps import Steps


class Observed:
    """Runs such attempts for one role. None is counted before it can begin: a death of the process
    until then is not its doing.
    """

    def __init__(
        self,
        decisions: Decisions,
        observation: Observation,
        steps: Steps,
        calls: Calls,
        results: Results,
        clock: Clock,
    ) -> None:
        self._decisions = decisions
        self._observation = observation
        self._steps = steps
        self._calls = calls
        self._results = results
        self._clock = clock
        self._waiting = dict[Attempt, asyncio.Task[None]]()

    def start(
        self, attempt: Attempt, spawn: Callable[[Any], asyncio.Task[None]]
    ) -> asyncio.Task[None]:
        """Run the attempt. The task ends with it, or after OBSERVED seconds."""
        task = self._waiting[attempt] = spawn(self._make(attempt))
        return task

    def withdraw(self) -> list[Attempt]:
        """Take back the attempts that were not counted yet, and return them."""
        withdrawn = [attempt for attempt in self._waiting if attempt.phase is Phase.WAITING]
        for attempt in withdrawn:
            self._waiting.pop(attempt).cancel()
        return withdrawn

    async def _make(self, attempt: Attempt) -> None:
        try:
            await self._steps.slot(attempt)
            await self._make_alone(attempt)
        finally:
            self._waiting.pop(attempt, None)

    async def _make_alone(self, attempt: Attempt) -> None:
        launched = False
        try:
            await self._calls.reserve(attempt)
            async with self._observation.alone():
                attempt.partition.suspects.discard(attempt.offset)
                if launched := await self._begin(attempt):
                    await self._clock.wait(attempt.ended, OBSERVED)
        finally:
            if not launched:
                self._calls.give_back(attempt)
                self._steps.leave()

    async def _begin(self, attempt: Attempt) -> bool:
        """Count the attempt, then launch it. Returns False if it does not begin.

        It is counted once, whether it fails or kills the process. What is not a function of a user
        is not counted, nor is an attempt that calls none, because newer code has written the data.
        """
        if attempt.function is None or self._decisions.holds_back(attempt):
            self._steps.launch(attempt)
            return True
        counting = self._decisions.count(attempt)
        if not self._decisions.counts(counting):
            self._results.add(self._decisions.settle(attempt, counting))
            return False
        attempt.phase = Phase.COUNTING
        if isinstance(await self._results.commit(counting), Conflict):  # its run has moved on
            self._results.add(Result(None, attempt))
            return False
        self._decisions.counted(attempt, counting)
        if self._steps.closed:
            self._results.add(self._decisions.give_back(attempt))
            return False
        if attempt.counted is not None:
            self._results.attempts.replace(
                attempt, msgspec.structs.replace(attempt.counted, attempt=attempt.record.attempt)
            )
        self._steps.launch(attempt)
        return True
