"""In-doubt attempts that are counted first, and then run alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from workflow_ray.definition import Graph, Step
from workflow_ray.engine.transition import count_attempt, give_back, is_counted
from workflow_ray.ports import Clock
from workflow_ray.records import Conflict, RoleName, Write, new_write_id
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.observation import OBSERVED, Observation
from workflow_ray.roles.results import Result, Results
from workflow_ray.roles.steps import Steps


class Observed:
    """Runs such attempts for one role."""

    def __init__(
        self,
        role: RoleName,
        step: Step[Any],
        graph: Graph[Any],
        observation: Observation,
        steps: Steps,
        results: Results,
        clock: Clock,
    ) -> None:
        self._role = role
        self._step = step
        self._graph = graph
        self._observation = observation
        self._steps = steps
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

    def give_back(self, attempt: Attempt) -> Result:
        """Make the result of a counted attempt that an orderly stop has abandoned."""
        assert attempt.counted is not None
        return Result(give_back(attempt.counted, by=self._role, write_id=new_write_id()), attempt)

    async def _make(self, attempt: Attempt) -> None:
        try:
            await self._steps.slot(attempt)
            await self._make_alone(attempt)
        finally:
            self._waiting.pop(attempt, None)

    async def _make_alone(self, attempt: Attempt) -> None:
        launched = False
        try:
            async with self._observation.alone():
                write = count_attempt(
                    attempt.record, self._step, self._graph, by=self._role, write_id=new_write_id()
                )
                attempt.partition.suspects.discard(attempt.offset)
                if not is_counted(write):
                    self._results.add(Result(write, attempt))
                elif launched := await self._count(attempt, write):
                    await self._clock.wait(attempt.ended, OBSERVED)
        finally:
            if not launched:
                self._steps.leave()

    async def _count(self, attempt: Attempt, write: Write) -> bool:
        """Count the attempt, then launch it. Returns False if its run has moved on.

        It is counted once, whether it fails or kills the process.
        """
        attempt.phase = Phase.COUNTING
        written = await self._results.commit(write)
        if isinstance(written, Conflict):
            self._results.add(Result(None, attempt))
            return False
        attempt.counted = write.onto(attempt.record)
        if self._steps.closed:
            self._results.add(self.give_back(attempt))
            return False
        self._results.attempts.replace(
            attempt, msgspec.structs.replace(attempt.counted, attempt=attempt.record.attempt)
        )
        self._steps.launch(attempt)
        return True
