"""Drives trips in processes, as far as all rules need it."""

import random
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.unit.roles.simulation import TURNS, Simulation
from tests.unit.roles.trip_checks import Checks
from tests.unit.roles.trip_data import NEWEST, Plan
from tests.unit.roles.trip_plans import NAMES, PLANS
from tests.unit.roles.trips import Trips
from workflow_ray import Client, Handle
from workflow_ray.errors import BulkJobRefused, ControlRefused, DataDeleted, NewerData, RunActive
from workflow_ray.records import Record, RunQuery, RunState

UNFINISHED = (RunState.INITIATED, RunState.RUNNING, RunState.PAUSED)


class TripBase(Simulation):
    """Runs trips, and triggers more of them."""

    expected = (BulkJobRefused, ControlRefused, DataDeleted, NewerData, RunActive)
    rest = 400.0

    @initialize(seed=st.integers(0, 2**32), plans=st.lists(PLANS, min_size=2, max_size=3))
    def begin(self, seed: int, plans: list[Plan]) -> None:
        self._do(self._begin(random.Random(seed)))
        self._is_fine = True
        for name, plan in zip("abc", plans, strict=False):
            self.trigger(name, plan)

    async def _begin(self, rng: random.Random) -> None:
        faults: list[str] = []
        self._codes = [Trips(self._clock, rng, n, faults) for n in range(1, NEWEST + 1)]
        await self._open([code.all for code in self._codes], rng)
        self._checks = Checks(self._codes[-1], self._store)

    @rule(name=NAMES, plan=PLANS)
    def trigger(self, name: str, plan: Plan) -> None:
        with suppress(RunActive):
            code = self._any_code()
            self._do(self._client(code.trips).trigger(name, code.planned(plan)))

    @rule(
        name=NAMES,
        plan=PLANS,
        if_active=st.sampled_from(["raise", "join", "replace", "replace"]),
        delay=st.sampled_from([0.0, 0.0, 3.0, 30.0]),
        turns=TURNS,
    )
    def trigger_again(
        self, name: str, plan: Plan, if_active: Any, delay: float, turns: int
    ) -> None:
        """Somebody replaces or joins a run, perhaps while its function runs, or delays a run."""
        self.pass_turns(turns)
        with suppress(RunActive):
            code = self._any_code()
            client: Any = self._client(code.trips)
            data = code.planned(plan)
            self._do(client.trigger(name, data, if_active=if_active, delay=delay))

    def _unfinished(self, workflow: str) -> list[Record]:
        query = RunQuery(workflow=workflow, run_states=UNFINISHED, newest_first=True, limit=4)
        return self._do(self._store.runs(query))

    def _handle(self, record: Record) -> Handle[Any, Any]:
        return self._client(self._workflow(record.workflow)).handle(record.run_id)

    def _any_code(self) -> Trips:
        """The code of a client."""
        return self._codes[self._processes.any_code()]

    def _workflow(self, name: str) -> Any:
        """The workflow, as the code of a client has it."""
        return next(each for each in self._any_code().workflows if each.name == name)

    def _client(self, workflow: Any) -> Client[Any, Any]:
        return Client(workflow, self._store, self._clock)
