"""A circuit breaker of a transactional step, whose own transaction commits what it leads to."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage, parcels
from workflow_ray import Breaker, Retry, RunState
from workflow_ray.ports import StepTransaction, Store
from workflow_ray.records import GroupResult, Role, WriteGroup, consumer_group
from workflow_ray.roles.consumer import Consumer
from workflow_ray.roles.step_work import StepWork
from workflow_ray.roles.transacting import TransactionWork

BREAKER = Breaker(error_rate=0.5, window=60, least=4, open_for=30, probes=2)
ROLE = Role(consumer_group("parcels", Stage.NEW.value))


class Transaction:
    """One that writes straight into the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.session: object = None

    async def commit(self, group: WriteGroup) -> GroupResult:
        (answer,) = await self._store.store([group])
        return answer


class StoreTransactions:
    """ports.Transactions, on a store that has none."""

    for_async = True

    def __init__(self, store: Store) -> None:
        self._store = store

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[StepTransaction]:
        yield Transaction(self._store)

    async def close(self) -> None:
        """It has opened nothing."""

    async def store(self, session: object, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        raise AssertionError("a step writes its result only")


async def test_the_commits_of_a_transactional_step_count() -> None:
    works = True
    failing: set[str] = set()
    workflow = parcels()

    @workflow.step(
        Stage.NEW,
        breaker=BREAKER,
        transactional=True,
        retry=Retry(attempts=9, backoff=1),
        on_failure=None,
    )
    async def pack(run: ParcelRun, session: AsyncSession) -> Literal[Stage.DONE]:
        if not works or run.foreign_id in failing:
            raise ConnectionError("refused")
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        work = TransactionWork(StoreTransactions(bench.store))
        consumer = Consumer(
            StepWork(ROLE, workflow, Stage.NEW, {}, work),
            await bench.store.acquire(ROLE),
            bench.store,
            bench.store,
            bench.clock,
            in_flight=bench.in_flight,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(consumer.run(stop))
        await triggered(bench, workflow, *(f"good-{number}" for number in range(20)))
        await bench.pass_time()
        failing = {f"bad-{number}" for number in range(4)}
        runs = await triggered(bench, workflow, *sorted(failing))
        await bench.pass_time()
        assert bench.in_flight.breaker(ROLE.name) == "", "4 of 24 attempts have failed"

        works = False
        runs |= await triggered(bench, workflow, *(f"late-{number}" for number in range(40)))
        await bench.pass_time()
        assert " is open: " in bench.in_flight.breaker(ROLE.name)

        works = True
        failing.clear()
        for _ in range(20):
            await bench.pass_time(5)
        assert bench.in_flight.breaker(ROLE.name) == "", "its probes were committed"
        assert {(await each.get()).run_state for each in runs.values()} == {RunState.COMPLETED}
        stop.set()
        await running
