"""Drives trips in processes, as far as all rules need it."""

import asyncio
import itertools
import random
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.roles.processes import Processes
from tests.unit.roles.trip_checks import Checks
from tests.unit.roles.trip_plans import NAMES, PLANS, TURNS
from tests.unit.roles.trips import Trip, Trips
from workflow_ray import Client, Handle
from workflow_ray.errors import BulkJobRefused, ControlRefused, DataDeleted, RunActive
from workflow_ray.ports import Store
from workflow_ray.records import Record, RunQuery, RunState, ids
from workflow_ray.testing import FakeClock

T = TypeVar("T")
Open = Callable[[FakeClock], AbstractAsyncContextManager[Store]]

UNFINISHED = (RunState.INITIATED, RunState.RUNNING, RunState.PAUSED)


class TripBase(RuleBasedStateMachine):
    """Runs trips, and triggers more of them."""

    opening: ClassVar[Open]
    clock_class: ClassVar[type[FakeClock]]
    patience: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        numbers = itertools.count(1)
        uuid7 = SimpleNamespace(uuid7=lambda: UUID(int=(7 << 76) + (2 << 62) + next(numbers)))
        self._patch.setattr(ids, "uuid_utils", uuid7)  # so that a seed chooses the partitions too
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._is_fine = False  # whether it has begun, and no check has failed

    @initialize(seed=st.integers(0, 2**32), plans=st.lists(PLANS, min_size=2, max_size=3))
    def begin(self, seed: int, plans: list[Trip]) -> None:
        self._do(self._begin(random.Random(seed)))
        self._is_fine = True
        for name, plan in zip("abc", plans, strict=False):
            self.trigger(name, plan)

    async def _begin(self, rng: random.Random) -> None:
        self._clock = type(self).clock_class()
        self._store = await self._stack.enter_async_context(type(self).opening(self._clock))
        self._trips = Trips(self._clock, rng)
        self._checks = Checks(self._trips, self._store)
        workflows = [*self._trips.workflows, self._trips.chimes]
        self._processes = Processes(workflows, self._store, self._clock, rng)
        self._stack.push_async_callback(self._processes.end)
        await self._processes.begin()
        await self._clock.settle()

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        was_fine, self._is_fine = self._is_fine, False
        try:
            result = self._loop.run_until_complete(coroutine)
        except (BulkJobRefused, ControlRefused, DataDeleted, RunActive):
            self._is_fine = was_fine
            raise
        except BaseException:
            traceback.print_exc()  # a store with threads may not repeat it for hypothesis
            raise
        self._is_fine = was_fine
        return result

    @rule(name=NAMES, plan=PLANS)
    def trigger(self, name: str, plan: Trip) -> None:
        with suppress(RunActive):
            self._do(self._client(self._trips.trips).trigger(name, plan))

    @rule(
        name=NAMES,
        plan=PLANS,
        if_active=st.sampled_from(["raise", "join", "replace", "replace"]),
        delay=st.sampled_from([0.0, 0.0, 3.0, 30.0]),
        turns=TURNS,
    )
    def trigger_again(
        self, name: str, plan: Trip, if_active: Any, delay: float, turns: int
    ) -> None:
        """Somebody replaces or joins a run, perhaps while its function runs, or delays a run."""
        self.pass_turns(turns)
        with suppress(RunActive):
            client: Any = self._client(self._trips.trips)
            self._do(client.trigger(name, plan, if_active=if_active, delay=delay))

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 10.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self._do(self._processes.pass_time(seconds))

    @rule(turns=TURNS)
    def pass_turns(self, turns: int) -> None:
        async def pass_them() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self._do(pass_them())

    def _unfinished(self, workflow: str) -> list[Record]:
        query = RunQuery(workflow=workflow, run_states=UNFINISHED, newest_first=True, limit=4)
        return self._do(self._store.runs(query))

    def _handle(self, record: Record) -> Handle[Any, Any]:
        return self._client(self._workflow(record.workflow)).handle(record.run_id)

    def _workflow(self, name: str) -> Any:
        return next(each for each in self._trips.workflows if each.name == name)

    def _client(self, workflow: Any) -> Client[Any, Any]:
        return Client(workflow, self._store, self._clock)
