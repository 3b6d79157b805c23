"""All that a RoleScheduler must do."""

import asyncio

import pytest

from workflow_ray.errors import PartitionsChanged, RoleRetired
from workflow_ray.ports import Records
from workflow_ray.records import PUBLISHER, Fence, Fenced, Position, Role
from workflow_ray.testing.conformance.base import Another, openings
from workflow_ray.testing.conformance.leases import LeaseCases
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    acquire,
    deploy,
    group,
    new_run,
    workflow,
)
from workflow_ray.testing.conformance.scaling import ScalingCases

ROLE = Role(CONSUMERS)


def in_use(fence: Fence, partition: int) -> Position:
    return Position(CONSUMERS, partition, 0, begun=10, in_use=fence)


class RoleSchedulerConformance(ScalingCases, LeaseCases):
    """For a `store` that is a Records: a RecordStore and a RoleScheduler.

    Uses `another` and `fragile`.
    """

    async def test_each_acquire_raises_the_epoch(self, store: Records) -> None:
        fences = [await acquire(store, CONSUMERS) for _ in range(5)]
        assert {fence.role for fence in fences} == {ROLE.name}
        epochs = [fence.epoch for fence in fences]
        assert epochs == sorted(set(epochs))
        assert epochs[0] > 0

    async def test_concurrent_acquires_get_different_epochs(self, store: Records) -> None:
        await deploy(store, workflow())
        fences = await asyncio.gather(*(store.acquire(ROLE) for _ in range(50)))
        assert len({fence.epoch for fence in fences}) == 50
        newest = max(fences, key=lambda fence: fence.epoch)
        answers = await store.store([group(fence=fence) for fence in fences])
        refused = [answer for answer in answers if answer == Fenced(ROLE.name, newest.epoch)]
        assert len(refused) == 49

    async def test_concurrent_acquires_of_several_processes_get_different_epochs(
        self, store: Records, another: Another
    ) -> None:
        await deploy(store, workflow())
        async with openings(another, count=5) as stores:
            fences = await asyncio.gather(
                *(other.acquire(ROLE) for other in stores for _ in range(5))
            )
            epochs = [fence.epoch for fence in fences]
            assert sorted(epochs) == sorted(set(epochs))
            for fence in fences:
                (answer,) = await stores[0].store([group(fence=fence)])
                assert isinstance(answer, Fenced) == (fence.epoch < max(epochs))

    async def test_acquiring_a_role_fences_off_its_previous_holder(self, store: Records) -> None:
        old, new = await acquire(store, CONSUMERS), await acquire(store, CONSUMERS)
        assert await store.store([group(new_run(), fence=old)]) == [Fenced(old.role, new.epoch)]

    async def test_each_role_has_epochs_of_its_own(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 2}))
        one, two = Role(CONSUMERS, 1, 2), Role(CONSUMERS, 2, 2)
        first = await store.acquire(one)
        await store.acquire(two)
        await store.acquire(two)
        (answer,) = await store.store([group(fence=first)])
        assert not isinstance(answer, Fenced)

    # --- what a holder has in use ---------------------------------------------------------------

    async def test_a_release_frees_the_positions_that_name_its_fence(self, store: Records) -> None:
        fence = await acquire(store, CONSUMERS)
        await store.store([group(fence=fence, positions=[in_use(fence, 0), in_use(fence, 1)])])
        await store.release(fence)
        await store.release(fence)
        assert [position.in_use for position in await store.positions(CONSUMERS)] == [None, None]

    async def test_a_release_under_an_old_fence_frees_its_own_positions_only(
        self, store: Records
    ) -> None:
        old = await acquire(store, CONSUMERS)
        await store.store([group(fence=old, positions=[in_use(old, 0), in_use(old, 1)])])
        new = await acquire(store, CONSUMERS)
        await store.store([group(fence=new, positions=[in_use(new, 1)])])
        await store.release(old)
        assert [position.in_use for position in await store.positions(CONSUMERS)] == [None, new]

    async def test_a_new_holder_sees_which_positions_were_in_use_without_a_release(
        self, store: Records
    ) -> None:
        old = await acquire(store, CONSUMERS)
        await store.store([group(fence=old, positions=[in_use(old, 0)])])
        await acquire(store, CONSUMERS)
        assert await store.positions(CONSUMERS) == [in_use(old, 0)]

    async def test_releasing_a_role_that_was_never_acquired_does_nothing(
        self, store: Records
    ) -> None:
        await deploy(store, workflow())
        await store.release(Fence(ROLE.name, 1))
        assert (await store.acquire(ROLE)).epoch > 0

    # --- what may be acquired ---------------------------------------------------------------------

    async def test_a_group_that_is_not_deployed_has_no_roles(self, store: Records) -> None:
        with pytest.raises(RoleRetired) as retired:
            await store.acquire(ROLE)
        assert (retired.value.role, retired.value.current) == (ROLE.name, None)

    async def test_every_shard_of_the_current_count_may_be_acquired(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 4}))
        fences = [await store.acquire(Role(CONSUMERS, shard, 4)) for shard in range(1, 5)]
        assert len({fence.role for fence in fences}) == 4

    async def test_a_role_of_another_shard_count_is_retired(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 1}))
        await deploy(store, workflow(groups={CONSUMERS: 2}))
        with pytest.raises(RoleRetired) as retired:
            await store.acquire(ROLE)
        assert retired.value.current == 2
        assert (await store.acquire(Role(CONSUMERS, 1, 2))).epoch > 0

    async def test_a_group_that_a_deploy_leaves_out_is_retired(self, store: Records) -> None:
        await deploy(store, workflow())
        await deploy(store, workflow(groups={}))
        with pytest.raises(RoleRetired) as retired:
            await store.acquire(ROLE)
        assert retired.value.current is None

    async def test_a_group_of_several_workflows_lasts_as_long_as_one_of_them(
        self, store: Records
    ) -> None:
        orders, invoices = (
            workflow("orders", groups={PUBLISHER: 1}),
            workflow("invoices", groups={PUBLISHER: 1}),
        )
        await deploy(store, orders, invoices)
        first = await store.acquire(Role(PUBLISHER))
        await deploy(store, invoices)
        assert (await store.acquire(Role(PUBLISHER))).epoch > first.epoch

    async def test_epochs_continue_when_a_retired_role_is_deployed_again(
        self, store: Records
    ) -> None:
        before = await acquire(store, CONSUMERS)
        await deploy(store)
        await deploy(store, workflow())
        assert (await acquire(store, CONSUMERS)).epoch > before.epoch

    async def test_a_refused_deploy_retires_no_role(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 1}, partitions=4))
        with pytest.raises(PartitionsChanged):
            await deploy(store, workflow(groups={CONSUMERS: 2}, partitions=8))
        assert (await store.acquire(ROLE)).role == ROLE.name
