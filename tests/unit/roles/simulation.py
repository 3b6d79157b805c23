"""A simulation: processes run roles, and rules tell what users do and what goes wrong meanwhile."""

import asyncio
import itertools
import random
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from datetime import datetime
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.unit.roles.processes import Processes, Workflows
from workflow_ray.ports import Store
from workflow_ray.records import Role, bulk, ids
from workflow_ray.testing import FakeClock

T = TypeVar("T")
Open = Callable[[FakeClock], AbstractAsyncContextManager[Store]]

PICK = st.integers(0, 1000)
TURNS = st.integers(0, 30)
REAL = 0.05
"""Seconds of real time that the threads of a store get before another check."""
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


class Simulation(RuleBasedStateMachine):
    """Runs workflows in processes that die, are stopped and continued, and lose their roles."""

    opening: ClassVar[Open]
    clock_class: ClassVar[type[FakeClock]]
    patience: ClassVar[int]
    expected: ClassVar[tuple[type[Exception], ...]]
    """Errors that rules expect."""
    rest: ClassVar[float]
    """Seconds in which everything that is under way comes to its end."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._clock = type(self).clock_class()
        numbers = itertools.count(1)

        def uuid7() -> UUID:  # so that a seed chooses the partitions too
            milliseconds = int(self._clock.now().timestamp() * 1000)
            return UUID(int=(milliseconds << 80) + (7 << 76) + (2 << 62) + next(numbers))

        for module in (ids, bulk):
            self._patch.setattr(module, "uuid_utils", SimpleNamespace(uuid7=uuid7))
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._is_fine = False  # whether it has begun, and no check has failed

    async def _open(self, codes: Sequence[Workflows], rng: random.Random) -> None:
        """Open a store, on which processes run the oldest of the codes."""
        self._store = await self._stack.enter_async_context(type(self).opening(self._clock))
        self._processes = Processes(codes, self._store, self._clock, rng)
        self._stack.push_async_callback(self._processes.end)
        await self._processes.begin()
        await self._clock.settle()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        was_fine, self._is_fine = self._is_fine, False
        try:
            result = self._loop.run_until_complete(coroutine)
        except type(self).expected:
            self._is_fine = was_fine
            raise
        except BaseException:
            traceback.print_exc()  # a store with threads may not repeat it for hypothesis
            raise
        self._is_fine = was_fine
        return result

    # --- time -----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 10.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self._do(self._processes.pass_time(seconds))

    @rule(turns=TURNS)
    def pass_turns(self, turns: int) -> None:
        async def pass_them() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self._do(pass_them())

    def _jump(self, to: datetime) -> None:
        async def jump() -> None:
            self._clock.jump(to)

        self._do(jump())

    # --- what goes wrong ------------------------------------------------------------------------

    @rule(pick=PICK, is_back=st.booleans(), turns=TURNS)
    def crash(self, pick: int, is_back: bool, turns: int) -> None:
        self.pass_turns(turns)
        role = self._role(pick)
        self._do(self._processes.crash(role))
        if is_back:
            self._do(self._processes.take_over(role))

    @rule(pick=PICK, stopped=st.booleans(), turns=TURNS)
    def fail_over(self, pick: int, stopped: bool, turns: int) -> None:
        self.pass_turns(turns)
        self._do(self._processes.take_over(self._role(pick), stopped=stopped))

    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        self._do(self._processes.leave(self._role(pick)))

    @rule(are_all=st.booleans())
    def recover(self, are_all: bool) -> None:
        """Continue what is stopped, and perhaps start what has died or left."""
        self._processes.go_on()
        if are_all:
            self._do(self._processes.recover())

    def _role(self, pick: int) -> Role:
        return self._processes.roles[pick % len(self._processes.roles)]

    # --- what must hold -------------------------------------------------------------------------

    @rule(is_time=st.sampled_from([False, False, False, True]))
    def come_to_rest(self, is_time: bool) -> None:
        if is_time:
            self._do(self._come_to_rest())

    async def _come_to_rest(self) -> None:
        await self._processes.recover()
        await self._processes.upgrade()
        await self._processes.pass_time(type(self).rest)
        for _ in range(type(self).patience):
            with suppress(AssertionError):
                await self._check()
                return
            await asyncio.sleep(REAL)
            await self._processes.pass_time(1.0)
        await self._check()

    async def _check(self) -> None:
        """Check everything, at a time at which nothing is under way. Raises AssertionError."""
        raise NotImplementedError

    def _tasks(self) -> Sequence[asyncio.Task[Any]]:
        """The calls of clients, which may still wait."""
        raise NotImplementedError

    def teardown(self) -> None:
        try:
            if self._is_fine:
                self._do(self._come_to_rest())
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()
            self._patch.undo()

    async def _end(self) -> None:
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def simulate(
    simulation: type[Simulation],
    opening: Open,
    seed: int,
    *,
    examples: int,
    steps: int,
    clock_class: type[FakeClock] = FakeClock,
    patience: int = 0,
    phases: Sequence[Phase] = tuple(Phase),
) -> None:
    """Run a simulation on stores of one kind.

    Args:
        simulation: The simulation.
        opening: Opens an empty store.
        seed: Chooses all examples.
        examples: How many runs of the simulation.
        steps: The most rules of each.
        clock_class: The clock's.
        patience: How often a check may fail and is made again, because threads take real time.
        phases: What hypothesis does. Without a shrinking phase it shows the failure as it found it.
    """
    chosen = {
        "opening": staticmethod(opening),
        "clock_class": clock_class,
        "patience": patience,
    }
    machine = type(simulation.__name__, (simulation,), chosen)
    run_state_machine_as_test(
        hypothesis.seed(seed)(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=phases,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=SLOW,
        ),
    )
