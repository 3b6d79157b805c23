"""Shard counts that change while workflows run, under a fake clock."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import msgspec
import pytest

from tests.unit.parcels import Parcel, Stage, packing
from workflow_ray import Cause, Client
from workflow_ray.errors import (
    InvalidInput,
    RoleRetired,
    RuntimeUnavailable,
    StoreUnavailable,
    UnknownWorkflow,
)
from workflow_ray.records import (
    DeployedWorkflow,
    Deployment,
    Fenced,
    Position,
    Role,
    RoleName,
    WriteGroup,
    consumer_group,
)
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.following import AGAIN, DRAINING, SoleWorker, follow
from workflow_ray.runtime.role_runner import RoleRunner
from workflow_ray.runtime.scaling import DRAIN, scale
from workflow_ray.runtime.worker import Worker
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

GROUP = consumer_group("parcels", 1)
NEW = Stage.NEW.value
SOON = timedelta(seconds=1)

workflow = packing()


def shards_of(count: int) -> set[str]:
    return {Role(GROUP, shard, count).name for shard in range(1, count + 1)}


class Store(MemoryStore):
    """Another process deploys before the first `conflicts` deploys; the first `failures` long
    polls fail.
    """

    conflicts, failures = 0, 0

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        if self.conflicts:
            self.conflicts -= 1
            await super().deploy(expected, (await self.deployment()).workflows)
        return await super().deploy(expected, workflows)

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        if self.failures and newer_than is not None:
            self.failures -= 1
            raise StoreUnavailable("the store", "the test has cut it off")
        return await super().deployment(newer_than=newer_than, wait=wait)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> Store:
    store = Store(clock)
    await merge(store, [describe_here(workflow)])
    return store


async def scaled(store: Store, clock: FakeClock, shards: int | None) -> int:
    """Scale, and let the time pass that this takes."""
    task = asyncio.create_task(scale(store, "parcels", NEW, shards=shards, clock=clock))
    await clock.advance(timedelta(seconds=2 * DRAIN))
    return await asyncio.wait_for(task, 1)


async def deployed(store: Store) -> DeployedWorkflow:
    (found,) = (await store.deployment()).workflows
    return found


# --- the change ---------------------------------------------------------------------------------


async def test_the_count_that_was_set_holds_until_it_is_reset(
    store: Store, clock: FakeClock
) -> None:
    assert await scaled(store, clock, 4) == 4
    await merge(store, [describe_here(packing())])
    found = await deployed(store)
    assert (found.shards(GROUP), found.scaled, found.draining) == (4, {GROUP: 4}, ())
    assert await scaled(store, clock, None) == 1
    found = await deployed(store)
    assert (found.shards(GROUP), found.scaled, found.draining) == (1, {}, ())


async def test_all_old_shards_are_fenced_off_and_can_not_be_acquired_any_more(
    store: Store, clock: FakeClock
) -> None:
    await scaled(store, clock, 3)
    old = [await store.acquire(Role(GROUP, shard, 3)) for shard in (1, 2, 3)]
    await scaled(store, clock, 2)
    answers = await store.store([WriteGroup(fence=fence) for fence in old])
    assert all(isinstance(answer, Fenced) for answer in answers)
    with pytest.raises(RoleRetired):
        await store.acquire(Role(GROUP, 1, 3))


async def test_old_shards_get_a_second_to_finish_and_no_more(
    store: Store, clock: FakeClock
) -> None:
    fence = await store.acquire(Role(GROUP))
    await store.store(
        [
            WriteGroup(
                positions=(Position(GROUP, 0, 0, begun=9, log="log", in_use=fence),), fence=fence
            )
        ]
    )
    scaling = asyncio.create_task(scale(store, "parcels", NEW, shards=2, clock=clock))
    await clock.advance(timedelta(seconds=DRAIN / 2))
    assert ((await deployed(store)).draining, scaling.done()) == ((GROUP,), False)
    await clock.advance(timedelta(seconds=DRAIN))
    assert await asyncio.wait_for(scaling, 1) == 2


async def test_it_goes_on_at_once_where_nothing_is_in_hand(store: Store, clock: FakeClock) -> None:
    await asyncio.wait_for(scale(store, "parcels", NEW, shards=2, clock=clock), 1)  # no time passes


@pytest.mark.parametrize("conflicts", [1, 2])
async def test_a_scaling_that_another_deploy_overtakes_begins_again(
    store: Store, clock: FakeClock, conflicts: int
) -> None:
    store.conflicts = conflicts
    assert await scaled(store, clock, 4) == 4
    assert (await deployed(store)).scaled == {GROUP: 4}


async def test_the_next_shards_are_prepared_before_the_current_ones_drain(
    store: Store, clock: FakeClock
) -> None:
    prepared: list[tuple[str, int, tuple[str, ...]]] = []

    async def prepare(group: str, shards: int) -> None:
        prepared.append((group, shards, (await deployed(store)).draining))

    for shards in (4, 4, None):
        await scale(store, "parcels", NEW, shards=shards, clock=clock, prepare=prepare)
    assert prepared == [(GROUP, 4, ()), (GROUP, 1, ())]


async def test_a_count_changes_though_its_shards_can_not_be_prepared(
    store: Store, clock: FakeClock
) -> None:
    async def prepare(_: str, __: int) -> None:
        raise RuntimeUnavailable("the deployment", "its supervisor does not answer")

    assert await scale(store, "parcels", NEW, shards=4, clock=clock, prepare=prepare) == 4
    assert (await deployed(store)).shards(GROUP) == 4


async def test_two_scalings_at_once_both_end(store: Store, clock: FakeClock) -> None:
    both = [
        asyncio.create_task(scale(store, "parcels", NEW, shards=count, clock=clock))
        for count in (2, 5)
    ]
    await clock.advance(timedelta(seconds=5 * DRAIN))
    assert await asyncio.wait_for(asyncio.gather(*both), 1) == [2, 5]
    assert (await deployed(store)).draining == ()


async def test_repeating_it_writes_nothing(store: Store, clock: FakeClock) -> None:
    await scaled(store, clock, 4)
    before = (await store.deployment()).version
    assert await scaled(store, clock, 4) == 4
    assert (await store.deployment()).version == before


@pytest.mark.parametrize(
    ("status", "shards", "why"),
    [
        (NEW, 0, "shards=0: must be from 1 to 16, the partitions of 'parcels'"),
        (NEW, 17, "shards=17: must be from 1 to 16"),
        (Stage.DONE.value, 2, "parcels.DONE: it has no step"),
        (99, 2, "parcels.99: it has no step"),
    ],
)
async def test_what_can_not_be_is_refused_without_a_write(
    store: Store, clock: FakeClock, status: int, shards: int, why: str
) -> None:
    before = await store.deployment()
    with pytest.raises(InvalidInput, match=why):
        await scale(store, "parcels", status, shards=shards, clock=clock)
    with pytest.raises(UnknownWorkflow):
        await scale(store, "letters", NEW, shards=2, clock=clock)
    assert await store.deployment() == before


async def test_a_deployment_of_the_code_ends_a_drain_and_the_scaling_begins_again(
    store: Store, clock: FakeClock
) -> None:
    fence = await store.acquire(Role(GROUP))
    await store.store(
        [
            WriteGroup(
                positions=(Position(GROUP, 0, 0, begun=9, log="log", in_use=fence),), fence=fence
            )
        ]
    )
    scaling = asyncio.create_task(scale(store, "parcels", NEW, shards=2, clock=clock))
    await clock.advance(timedelta(seconds=DRAIN / 2))
    await merge(store, [describe_here(packing())])
    assert (await deployed(store)).draining == ()
    await clock.advance(timedelta(seconds=2 * DRAIN))
    assert await asyncio.wait_for(scaling, 1) == 2


# --- those that run the roles -------------------------------------------------------------------


@pytest.fixture
async def runner(store: Store, clock: FakeClock) -> AsyncIterator[RoleRunner]:
    runner = RoleRunner([workflow], store, clock)
    yield runner
    await runner.close()


@pytest.fixture(params=["sole", "shared"])
async def working(
    request: pytest.FixtureRequest, store: Store, clock: FakeClock, runner: RoleRunner
) -> AsyncIterator[None]:
    """A process that runs all roles, alone or as one of several workers."""
    groups, deployment = describe_here(workflow).groups, await store.deployment()
    if request.param == "sole":
        task = asyncio.create_task(
            follow(deployment, store, clock, SoleWorker(runner, store, clock, groups).apply)
        )
        await clock.settle()
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    else:
        # so that no heartbeat notices the change
        worker = Worker(runner, store, clock, lease=20 * DRAINING)
        await worker.join()
        await worker.run(groups, deployment)
        await clock.settle()
        yield
        await worker.leave()


def consumers(runner: RoleRunner) -> set[RoleName]:
    return {fence.role for fence in runner.held() if fence.role.startswith(GROUP)}


@pytest.mark.usefixtures("working")
async def test_a_process_runs_the_new_shards_at_once_and_no_old_one(
    store: Store, clock: FakeClock, runner: RoleRunner
) -> None:
    client = Client(workflow, store, clock)
    handles = [await client.trigger(f"{number}", Parcel()) for number in range(40)]
    for count in (5, 2, 16, None):
        await scaled(store, clock, count)
        assert consumers(runner) == shards_of(count or 1)
        handles += [await client.trigger(f"{count}-{number}", Parcel()) for number in range(40)]
    await clock.advance(SOON)
    for handle in handles:
        assert [entry.cause for entry in await handle.history()] == [Cause.TRIGGER, Cause.STEP]


@pytest.mark.usefixtures("working")
async def test_roles_that_drain_are_released_and_begin_again_where_nothing_comes_of_it(
    store: Store, clock: FakeClock, runner: RoleRunner
) -> None:
    assert consumers(runner) == shards_of(1)
    deployment = await store.deployment()
    await store.deploy(
        deployment.version, [msgspec.structs.replace(deployment.workflows[0], draining=(GROUP,))]
    )
    await clock.advance(SOON)
    assert consumers(runner) == set()
    assert [position.in_use for position in await store.positions(GROUP) if position.in_use] == []
    await clock.advance(timedelta(seconds=DRAINING))
    assert consumers(runner) == shards_of(1)


@pytest.mark.usefixtures("working")
async def test_a_process_goes_on_following_after_errors(
    store: Store, clock: FakeClock, runner: RoleRunner
) -> None:
    store.failures = 3
    await scaled(store, clock, 2)
    await clock.advance(timedelta(seconds=4 * AGAIN))
    assert consumers(runner) == shards_of(2)


async def test_a_process_whose_code_lacks_a_step_does_not_run_its_roles(
    store: Store, clock: FakeClock
) -> None:
    runner = RoleRunner([], store, clock)
    worker = SoleWorker(runner, store, clock, {"sweeper"})
    assert await worker.apply(await store.deployment(), True)
    assert [fence.role for fence in runner.held()] == [Role("sweeper").name]
    await runner.close()
