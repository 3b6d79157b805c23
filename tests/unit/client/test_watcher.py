"""Waits share their calls to the store."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Route, Stage, parcels, routed
from workflow_ray import Client, Run, Stay
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.client.shared_calls import AT_ONCE, TOGETHER
from workflow_ray.client.watcher import Watcher
from workflow_ray.errors import NothingLeft, StoreBusy, StoreMismatch
from workflow_ray.records import NO_VERSION, Record, RunId, RunState, Version
from workflow_ray.testing import FakeClock, WorkflowTester
from workflow_ray.testing.conformance.base import begin, result_at_timeout, result_of
from workflow_ray.testing.conformance.runs import new_run, step, store_all, stored_runs
from workflow_ray_adapters.memory import MemoryStore


class Asked(MemoryStore):
    """A store that records which runs it is asked to watch, and fails when the test says so."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.asked: list[set[RunId]] = []
        self.out = 0  # calls in flight
        self.most_out = 0
        self.errors: list[Exception] = []  # what the next calls raise
        self.looks = 0

    async def look(self) -> None:
        """Count a look, which is made when nothing has changed for a while."""
        self.looks += 1

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        self.asked.append(set(seen))
        self.out += 1
        self.most_out = max(self.out, self.most_out)
        try:
            if self.errors:
                raise self.errors.pop(0)
            return await super().watch(seen, wait=wait, at_rest=at_rest)
        finally:
            self.out -= 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Asked:
    return Asked(clock)


@pytest.fixture
def watcher(store: Asked, clock: FakeClock) -> Watcher:
    return Watcher(patient(store, clock, PATIENCE), clock, store.look)


def newer(
    watcher: Watcher, record: Record, *, wait: float | None = None, at_rest: bool = False
) -> Coroutine[Any, Any, Record | None]:
    return watcher.newer(record.run_id, record.version, wait=wait, at_rest=at_rest)


async def waiting(
    clock: FakeClock, watcher: Watcher, records: Sequence[Record]
) -> list[asyncio.Task[Record | None]]:
    """Begin waits at the same time."""
    tasks = [asyncio.create_task(newer(watcher, record)) for record in records]
    await clock.settle()
    return tasks


async def versions_of(tasks: Sequence[asyncio.Task[Record | None]]) -> list[Version | None]:
    return [
        None if record is None else record.version
        for record in [await result_of(task) for task in tasks]
    ]


async def test_a_wait_alone_is_one_call(store: Asked, clock: FakeClock, watcher: Watcher) -> None:
    (record,) = await stored_runs(store, count=1)
    wait = await begin(clock, newer(watcher, record))
    await store_all(store, step(record))
    assert await versions_of([wait]) == [2]
    assert len(store.asked) == 1


async def test_a_change_before_the_wait_is_answered_at_once(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    (record,) = await stored_runs(store, count=1)
    await store_all(store, step(record))
    assert await versions_of([asyncio.create_task(newer(watcher, record, wait=60))]) == [2]


async def test_waits_that_come_together_share_a_call(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    records = await stored_runs(store, count=200)
    waits = await waiting(clock, watcher, records)
    assert store.asked == [{record.run_id for record in records}]
    await store_all(store, *map(step, records))
    assert await versions_of(waits) == [2] * 200
    assert len(store.asked) == 1


async def test_later_waits_share_a_second_call(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    records = await stored_runs(store, count=100)
    waits = [
        wait
        for come in (records[:1], records[1:2], records[2:])
        for wait in await waiting(clock, watcher, come)
    ]
    while set[RunId]().union(*store.asked) < {record.run_id for record in records}:
        await asyncio.sleep(0)
    assert store.most_out == AT_ONCE
    assert len(store.asked) < 20
    await store_all(store, step(records[-1]))
    assert await versions_of(waits[-1:]) == [2]
    await store_all(store, *map(step, records[:-1]))
    assert await versions_of(waits) == [2] * 100


async def test_a_call_serves_a_bounded_number_of_waits_and_others_have_their_own(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    records = await stored_runs(store, count=3 * TOGETHER)
    waits = await waiting(clock, watcher, records)
    assert list(map(len, store.asked)) == [TOGETHER] * 3
    await store_all(store, *map(step, records))
    assert await versions_of(waits) == [2] * len(records)


async def test_waits_for_one_run_each_get_what_is_new_to_them(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    (record,) = await stored_runs(store, count=1)
    first, second = [
        await begin(clock, watcher.newer(record.run_id, Version(seen), wait=None))
        for seen in (1, 2)
    ]
    write = step(record)
    await store_all(store, write)
    assert await versions_of([first]) == [2]
    assert not second.done()
    await store_all(store, step(write))
    assert await versions_of([second]) == [3]


async def test_waits_for_a_run_at_rest_are_woken_by_nothing_else(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    (record,) = await stored_runs(store, count=1)
    rest, change = (
        await begin(clock, newer(watcher, record, at_rest=True)),
        await begin(clock, newer(watcher, record)),
    )
    write = step(record)
    await store_all(store, write)
    assert await versions_of([change]) == [2]
    assert not rest.done()
    await store_all(store, step(write, run_state=RunState.PAUSED))
    assert await versions_of([rest]) == [3]


async def test_a_wait_ends_with_its_time_and_the_others_go_on(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    one, two = await stored_runs(store, count=2)
    patient = await begin(clock, newer(watcher, two))
    assert (
        await result_at_timeout(clock, await begin(clock, newer(watcher, one, wait=50)), seconds=50)
        is None
    )
    assert await newer(watcher, one, wait=0) is None
    await store_all(store, step(two))
    assert await versions_of([patient]) == [2]


async def test_a_wait_that_is_given_up_leaves_nothing_behind(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    records = await stored_runs(store, count=10)
    waits = [await begin(clock, newer(watcher, record)) for record in records]
    for wait in waits[:9]:
        wait.cancel()
    await clock.settle()
    await store_all(store, step(records[9]))
    assert await versions_of(waits[9:]) == [2]
    await clock.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert store.out == 0


async def test_a_wait_given_up_before_its_call_leaves_nothing_behind(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    (record,) = await stored_runs(store, count=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await newer(watcher, record)
    await clock.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_reaches_every_wait_of_the_call(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    records = await stored_runs(store, count=3)
    store.errors = [StoreMismatch("the store", "it is another one")]
    errors = await asyncio.gather(
        *(newer(watcher, record) for record in records), return_exceptions=True
    )
    assert [str(error) for error in errors] == ["the store: it is another one"] * 3
    assert len({id(error) for error in errors}) == 3
    assert await versions_of(
        [asyncio.create_task(watcher.newer(records[0].run_id, NO_VERSION, wait=None))]
    ) == [1]


async def test_a_store_that_does_not_answer_is_asked_again(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    records = await stored_runs(store, count=3)
    store.errors = [StoreBusy("the store", "its queue is full") for _ in range(3)]
    waits = await waiting(clock, watcher, records)
    await clock.advance(timedelta(seconds=1))
    await store_all(store, *map(step, records))
    assert await versions_of(waits) == [2] * 3
    assert len(store.asked) == 4


async def test_a_run_may_be_waited_for_before_it_exists(
    store: Asked, clock: FakeClock, watcher: Watcher
) -> None:
    run = new_run()
    wait = await begin(clock, watcher.newer(run.run_id, NO_VERSION, wait=None))
    await store_all(store, run)
    assert await versions_of([wait]) == [1]


async def test_the_handles_of_a_client_share_their_calls(store: Asked, clock: FakeClock) -> None:
    client = Client(routed(), store, clock)
    handles = [
        await client.trigger(f"{number}", Parcel(), start_at=Route.PACKED) for number in range(20)
    ]
    waits = [asyncio.create_task(handle.wait()) for handle in handles]
    await clock.settle()
    assert store.asked == [{handle.run_id for handle in handles}]
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)


async def test_under_a_tester_each_wait_raises_that_nothing_is_left() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE] | Stay:
        return Stay() if run.foreign_id == "stuck" else Stage.DONE

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        stuck = await client.trigger("stuck", Parcel())
        handles = [await client.trigger(f"{number}", Parcel()) for number in range(20)]
        *left, end = await asyncio.gather(
            *[stuck.wait() for _ in range(3)], handles[0].wait(), return_exceptions=True
        )
        assert [type(error) for error in left] == [NothingLeft] * 3
        assert isinstance(end, Run)
        assert {
            run.status for run in await asyncio.gather(*(handle.wait() for handle in handles))
        } == {Stage.DONE}
