"""Processes that share roles: several of them in one event loop, under a fake clock."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Route, RoutedRun, Stage, parcels
from workflow_ray import Cause, Client, Handle, RunState, Workflow, resource
from workflow_ray.errors import StoreInUse, StoreUnavailable
from workflow_ray.records import Fence, Fenced, Role, RoleName, Shared, WriteGroup, consumer_group
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.hosting import AnyWorkflow, roles_of
from workflow_ray.runtime.role_runner import RoleRunner
from workflow_ray.runtime.worker import Worker
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore
from workflow_ray_adapters.memory.contents import Contents

LEASE = 9.0
BEAT = timedelta(seconds=3)

shipping = Workflow("shipping", Parcel, Route)


@shipping.step(Route.NEW, shards=3)
async def pack(run: RoutedRun) -> Literal[Route.PACKED, Route.LOST]:
    return Route.PACKED


@shipping.step(Route.PACKED, shards=4)
async def send(run: RoutedRun) -> Literal[Route.SENT]:
    return Route.SENT


# ten: seven consumers, that of bulk jobs, the publisher and the sweeper
ROLES = roles_of([describe_here(shipping)])
NAMES = {role.name for role in ROLES}


class Seen(MemoryStore):
    """The store as one process uses it. The process may be cut off from it."""

    away = False

    async def release(self, fence: Fence) -> None:
        if self.away:
            raise StoreUnavailable("the store", "the test has cut it off")
        await super().release(fence)

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        if self.away:
            raise StoreUnavailable("the store", "the test has cut it off")
        return await super().share(worker, roles, held, lease=lease)


class Process:
    """A process that runs its share of the roles."""

    def __init__(
        self, contents: Contents, clock: FakeClock, workflow: AnyWorkflow = shipping
    ) -> None:
        self.store = Seen(clock, contents)
        self.workflow = workflow
        self.runner = RoleRunner([workflow], self.store, clock)
        self.worker = Worker(self.runner, self.store, clock, lease=LEASE)

    async def enter(self) -> None:
        await self.worker.join()
        described = describe_here(self.workflow)
        await self.worker.run(described.groups, await merge(self.store, [described]))

    @property
    def roles(self) -> set[RoleName]:
        return {fence.role for fence in self.runner.held()}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def contents() -> Contents:
    return Contents()


@pytest.fixture
async def processes(contents: Contents, clock: FakeClock) -> AsyncIterator[list[Process]]:
    """Three processes that may join. They leave at the end."""
    processes = [Process(contents, clock) for _ in range(3)]
    yield processes
    for process in processes:
        process.store.away = False
        await process.worker.leave()


def together(processes: Sequence[Process]) -> list[RoleName]:
    return sorted(role for process in processes for role in process.roles)


async def test_a_single_process_runs_every_role(processes: list[Process]) -> None:
    await processes[0].enter()
    assert processes[0].roles == NAMES


async def test_new_processes_get_their_share_and_no_role_runs_twice(
    processes: list[Process], clock: FakeClock
) -> None:
    for count, process in enumerate(processes, start=1):
        await process.enter()
        for _ in range(3):
            await clock.advance(BEAT)
            assert len(set(together(processes))) == len(together(processes))
        shares = sorted(len(each.roles) for each in processes[:count])
        assert (set(together(processes)), shares[-1] - shares[0] <= 1) == (NAMES, True)


async def test_what_one_leaves_the_others_take_over_at_their_next_heartbeat(
    processes: list[Process], clock: FakeClock
) -> None:
    for process in processes:
        await process.enter()
    await clock.advance(3 * BEAT)
    await processes[0].worker.leave()
    assert processes[0].roles == set()
    await clock.advance(BEAT)
    assert set(together(processes[1:])) == NAMES


async def test_what_is_given_up_is_finished_first_and_left_without_a_doubt(
    contents: Contents, processes: list[Process], clock: FakeClock
) -> None:
    first, second = processes[:2]
    await first.enter()
    client = Client(shipping, first.store, clock)
    handles = [await client.trigger(f"{number}", Parcel()) for number in range(200)]
    await second.enter()
    await clock.advance(4 * BEAT)
    assert len(second.roles) == 5
    for handle in handles:
        assert [entry.cause for entry in await handle.history()] == [
            Cause.TRIGGER,
            Cause.STEP,
            Cause.STEP,
        ]


async def test_a_process_that_is_cut_off_for_a_lease_loses_its_roles_and_writes_nothing(
    processes: list[Process], clock: FakeClock
) -> None:
    lost, other = processes[:2]
    await lost.enter()
    await other.enter()
    await clock.advance(3 * BEAT)
    old = lost.runner.held()
    lost.store.away = True
    await clock.advance(timedelta(seconds=LEASE) + BEAT)
    assert other.roles == NAMES
    for fence in old:
        (answer,) = await lost.store.store([WriteGroup(fence=fence)])
        assert isinstance(answer, Fenced)
    lost.store.away = False
    await clock.advance(3 * BEAT)
    assert len(lost.roles) == 5
    assert not set(lost.runner.held()) & set(old)


async def test_an_outage_shorter_than_a_lease_moves_no_role(
    processes: list[Process], clock: FakeClock
) -> None:
    for process in processes[:2]:
        await process.enter()
    await clock.advance(3 * BEAT)
    before = [process.runner.held() for process in processes]
    processes[0].store.away = True
    await clock.advance(1.5 * BEAT)
    processes[0].store.away = False
    await clock.advance(3 * BEAT)
    assert [process.runner.held() for process in processes] == before


async def test_where_a_process_has_the_store_for_itself_nothing_is_deployed(
    contents: Contents, processes: list[Process]
) -> None:
    contents.served = True
    with pytest.raises(StoreInUse):
        await processes[0].enter()
    assert (await processes[0].store.deployment()).version == 0


async def test_roles_of_an_old_shard_count_are_left_to_nobody(
    processes: list[Process], contents: Contents, clock: FakeClock
) -> None:
    await processes[0].enter()
    scaled = Workflow("shipping", Parcel, Route)
    scaled.step(Route.NEW, shards=2)(pack)
    scaled.step(Route.PACKED, shards=4)(send)
    newer = Process(contents, clock, scaled)
    await newer.enter()
    await clock.advance(3 * BEAT)
    first = consumer_group("shipping", Route.NEW.value)
    assert {role for role in processes[0].roles | newer.roles if role.startswith(first)} == {
        f"{first}-1-of-2",
        f"{first}-2-of-2",
    }
    await newer.worker.leave()


openings: list[str] = []


@resource
async def reluctant() -> AsyncIterator[str]:
    openings.append("tried")
    if len(openings) == 1:
        raise OSError("not yet")
    yield "open"


async def test_a_role_that_crashes_is_started_again_by_its_holder(
    contents: Contents, clock: FakeClock
) -> None:
    workflow: Parcels = parcels()
    openings.clear()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun, by: str = reluctant.value) -> Literal[Stage.DONE]:
        return Stage.DONE

    process = Process(contents, clock, workflow)
    await process.enter()
    handle = await Client(workflow, process.store, clock).trigger("1", Parcel())
    held = process.runner.held()
    await clock.advance(BEAT)
    assert (openings, (await handle.get()).status) == (["tried", "tried"], Stage.DONE)
    assert process.runner.held() == held
    await process.worker.leave()


async def test_runs_go_on_while_processes_join_and_leave(
    contents: Contents, clock: FakeClock, rng: random.Random
) -> None:
    there = [Process(contents, clock)]
    await there[0].enter()
    client = Client(shipping, MemoryStore(clock, contents), clock)
    handles: list[Handle[Parcel, Route]] = []
    for number in range(60):
        handles += [await client.trigger(f"{number}-{part}", Parcel()) for part in range(5)]
        await clock.advance(rng.uniform(0.1, 1.0) * BEAT)
        if len(there) < 4 and rng.random() < 0.3:
            there.append(Process(contents, clock))
            await there[-1].enter()
        elif len(there) > 1 and rng.random() < 0.3:
            gone = there.pop(rng.randrange(len(there)))
            if rng.random() < 0.5:
                await gone.worker.leave()
            else:
                await killed(gone)
    await clock.advance(timedelta(seconds=2 * LEASE))
    for handle in handles:
        entries = await handle.history()
        assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
        assert (entries[-1].status, entries[-1].run_state) == (Route.SENT, RunState.COMPLETED)
    for process in there:
        await process.worker.leave()


async def killed(process: Process) -> None:
    """End all tasks of the process, which tells nobody."""
    process.store.away = True
    names = {fence.role for fence in process.runner.held()}
    process.runner.abandon(names)
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == process.worker.name]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
