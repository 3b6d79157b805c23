"""The calls of a batch step's function, and what its results mean for each run."""

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

from workflow_ray.definition import BatchStep, Resource, Run
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.engine.newer_data import newer_data_in
from workflow_ray.engine.runs import run_of
from workflow_ray.engine.transition import Failed, Outcome
from workflow_ray.ports import Clock
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.effects import AttemptEffects, EffectsOfRole
from workflow_ray.roles.execution import (
    bound,
    failed,
    format_result,
    not_returned,
    outcome_of,
    result_of,
)
from workflow_ray.roles.steps import CANCELLING, too_long
from workflow_ray.roles.surrounded import surrounded_batch
from workflow_ray.roles.threads import Threads

log = logging.getLogger(__name__)

Outcomes: TypeAlias = list[Outcome] | Failed
"""The outcomes of a call, one for each attempt; or why it has none."""


@dataclass(slots=True, eq=False)
class _Taken:
    """What a call takes of an attempt."""

    attempt: Attempt
    run: Run[Any, Any]
    effects: AttemptEffects


@dataclass(frozen=True, slots=True)
class _Value:
    """What the function has returned."""

    value: object


class BatchCalls:
    """Calls the function of a batch step, whose resources are open.

    Args:
        step: The batch step.
        resources: The values of the resources.
        effects: What the effects of the role's attempts share.
        threads: Where a plain function is called.
        clock: Measures the time limit.
        context: The context variables of the calls.
    """

    def __init__(
        self,
        step: BatchStep[Any],
        resources: Mapping[Resource[Any], object],
        effects: EffectsOfRole,
        threads: Threads,
        clock: Clock,
        context: contextvars.Context,
    ) -> None:
        self._step = step
        self._function = bound(step, resources)
        self._is_async = step.is_async
        self._workflow = effects.workflow
        if effects.workflow.middleware:
            self._is_async = True
            self._function = surrounded_batch(effects.workflow, step, self._function, threads)
        self._effects = effects
        self._threads = threads
        self._clock = clock
        self._context = context
        self._running: dict[asyncio.Task[Any], Sequence[Attempt]] = {}
        # tasks that go on although their calls have ended
        self._left_alone = set[asyncio.Task[Any]]()

    def attempts_of(self, task: asyncio.Task[Any]) -> Sequence[Attempt]:
        """The attempts that a task runs. Thread-safe."""
        return self._running.get(task, ())

    def left_alone(self) -> int:
        """The number of calls that exceeded their time limit and do not end. Thread-safe."""
        return len(self._left_alone)

    async def outcomes(self, attempts: Sequence[Attempt]) -> Outcomes:
        """Call the function once, with fresh copies of the data. A run that can't be read fails
        alone. If this is cancelled, the call is cancelled.
        """
        outcomes: dict[Attempt, Outcome] = {}
        taken: list[_Taken] = []
        for attempt in attempts:
            effects = AttemptEffects(attempt, self._effects)
            try:
                run = run_of(self._workflow, attempt.record, effects)
            except BaseException as error:  # the validators of a data model are user code
                if is_interrupt(error):
                    raise
                outcomes[attempt] = not_returned(error, attempt, self._step.retry)
            else:
                taken.append(_Taken(attempt, run, effects))
        if taken:
            answer = await self._called(taken)
            if isinstance(answer, Failed):
                if len(taken) > 1 or answer.raised is None or not newer_data_in(answer.raised):
                    return answer
                answer = [answer.raised]  # the only run is held back
            for each, value in zip(taken, answer, strict=True):
                outcomes[each.attempt] = await self._outcome(each, value)
        return [outcomes[attempt] for attempt in attempts]

    async def _called(self, taken: Sequence[_Taken]) -> Sequence[object] | Failed:
        """Call the function. Returns one value for each attempt."""
        answer = await self._limited(taken)
        if isinstance(answer, Failed):
            return answer
        value, step = answer.value, self._step
        if not isinstance(value, list):
            why = f"{step.name} returned {format_result(value)}, not a list of results"
        elif (results := len(cast(list[object], value))) != len(taken):
            why = (
                f"{step.name} returned a list of {results} for a batch of {len(taken)}; return one"
                " result for each run, in their order"
            )
        else:
            return cast(list[object], value)
        return Failed(f"{why} ({step.where})", fatal=True)

    async def _limited(self, taken: Sequence[_Taken]) -> _Value | Failed:
        """Call the function in a task that runs only its code, for as long as it may take."""
        loop, runs = asyncio.get_running_loop(), [each.run for each in taken]
        task = loop.create_task(self._value(runs), context=self._context.copy())
        self._running[task] = [each.attempt for each in taken]
        ended = asyncio.Event()
        task.add_done_callback(lambda _: ended.set())
        limit = self._step.call_timeout
        try:
            if limit is None:
                await ended.wait()
            elif not await self._clock.wait(ended, limit):
                await self._end(task, ended, taken)
                return too_long(limit)
        finally:
            if not task.done() and task not in self._left_alone:
                task.cancel()
                await asyncio.wait({task}, timeout=CANCELLING)
            del self._running[task]
        return outcome_of(task)

    async def _end(
        self, task: asyncio.Task[Any], ended: asyncio.Event, taken: Sequence[_Taken]
    ) -> None:
        """Cancel a call that takes too long, and tell it. If it does not end then, it is left
        alone.
        """
        task.cancel()
        for each in taken:
            each.effects.drop()
        if not await self._clock.wait(ended, CANCELLING):
            self._left_alone.add(task)
            task.add_done_callback(self._left_alone.discard)
            log.error(
                "a call of batch step %s with %d runs does not end although it was cancelled; it is"
                " left alone",
                self._step.name,
                len(taken),
                extra={"role": self._effects.fence.role},
            )

    async def _value(self, runs: list[Run[Any, Any]]) -> _Value | Failed:
        """Call the function, as the whole work of a task."""
        value: object
        try:
            if self._is_async:
                value = await self._function(runs)
            else:
                value, error = await self._threads.call(partial(self._function, runs))
                if error is not None:
                    return failed(error, self._step.retry)
                if inspect.isawaitable(value):  # a plain wrapper of an async function
                    value = await value
            if isinstance(value, Sequence) and not isinstance(value, str | bytes):
                value = list(cast(Sequence[object], value))  # the code of some is the user's
        except BaseException as error:
            if is_interrupt(error):
                raise
            return failed(error, self._step.retry)
        return _Value(value)

    async def _outcome(self, taken: _Taken, value: object) -> Outcome:
        """Make the outcome of one run."""
        if isinstance(value, BaseException):
            return not_returned(value, taken.attempt, self._step.retry)
        run, effects = taken.run, taken.effects
        if effects.started is not None:
            try:
                await effects.encode_children()
            except Exception as error:
                return failed(error, self._step.retry)
        return result_of(self._workflow, taken.attempt, self._step, run.data, value, effects)
