"""All that a RoleScheduler must do."""

import asyncio

import pytest

from workflow_ray.errors import PartitionsChanged, RoleRetired
from workflow_ray.ports import Records
from workflow_ray.records import PUBLISHER, Fence, Fenced, Role
from workflow_ray.testing.conformance.base import Another, openings
from workflow_ray.testing.conformance.leases import LeaseCases
from workflow_ray.testing.conformance.runs import CONSUMERS, deploy, group, new_run, take, workflow

ROLE = Role(CONSUMERS)


class RoleSchedulerConformance(LeaseCases):
    """For a `store` that is a Records, so a RecordStore and a RoleScheduler. Uses `another`."""

    async def test_each_taking_raises_the_epoch(self, store: Records) -> None:
        fences = [await take(store, CONSUMERS) for _ in range(5)]
        assert {fence.role for fence in fences} == {ROLE.name}
        epochs = [fence.epoch for fence in fences]
        assert epochs == sorted(set(epochs))
        assert epochs[0] > 0

    async def test_of_many_who_take_at_once_each_gets_an_epoch_of_its_own(self, store: Records) -> None:
        await deploy(store, workflow())
        fences = [taken.fence for taken in await asyncio.gather(*(store.take(ROLE) for _ in range(50)))]
        assert len({fence.epoch for fence in fences}) == 50
        newest = max(fences, key=lambda fence: fence.epoch)
        answers = await store.store([group(fence=fence) for fence in fences])
        refused = [answer for answer in answers if answer == Fenced(ROLE.name, newest.epoch)]
        assert len(refused) == 49

    async def test_of_many_processes_that_take_at_once_each_gets_an_epoch_of_its_own(self, store: Records, another: Another) -> None:
        await deploy(store, workflow())
        async with openings(another, count=5) as stores:
            taken = await asyncio.gather(*(other.take(ROLE) for other in stores for _ in range(5)))
            epochs = [one.fence.epoch for one in taken]
            assert sorted(epochs) == sorted(set(epochs))
            assert [one.clean for one in taken].count(True) == 1
            for one in taken:
                (answer,) = await stores[0].store([group(fence=one.fence)])
                assert isinstance(answer, Fenced) == (one.fence.epoch < max(epochs))

    async def test_taking_fences_off_the_holder_before(self, store: Records) -> None:
        old, new = await take(store, CONSUMERS), await take(store, CONSUMERS)
        assert await store.store([group(new_run(), fence=old)]) == [Fenced(old.role, new.epoch)]

    async def test_each_role_has_epochs_of_its_own(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 2}))
        one, two = Role(CONSUMERS, 1, 2), Role(CONSUMERS, 2, 2)
        first = (await store.take(one)).fence
        await store.take(two)
        await store.take(two)
        (answer,) = await store.store([group(fence=first)])
        assert not isinstance(answer, Fenced)

    # --- what the holder before left ------------------------------------------------------------

    async def test_a_role_is_in_doubt_after_a_holder_that_released_nothing(self, store: Records) -> None:
        await deploy(store, workflow())
        assert (await store.take(ROLE)).clean  # there was nobody before
        assert not (await store.take(ROLE)).clean
        assert not (await store.take(ROLE)).clean

    async def test_a_released_role_is_clean_for_the_next_holder_and_no_longer(self, store: Records) -> None:
        fence = await take(store, CONSUMERS)
        await store.release(fence)
        await store.release(fence)
        next_one = await store.take(ROLE)
        assert next_one.clean
        assert next_one.fence.epoch > fence.epoch
        assert not (await store.take(ROLE)).clean

    async def test_a_holder_before_can_release_nothing(self, store: Records) -> None:
        old = await take(store, CONSUMERS)
        await store.take(ROLE)
        await store.release(old)
        assert not (await store.take(ROLE)).clean

    async def test_releasing_a_role_that_nobody_took_does_nothing(self, store: Records) -> None:
        await deploy(store, workflow())
        await store.release(Fence(ROLE.name, 1))
        assert (await store.take(ROLE)).clean

    # --- what may be taken -----------------------------------------------------------------------

    async def test_a_group_that_is_not_deployed_has_no_roles(self, store: Records) -> None:
        with pytest.raises(RoleRetired) as retired:
            await store.take(ROLE)
        assert (retired.value.role, retired.value.current) == (ROLE.name, None)

    async def test_every_shard_of_the_current_number_may_be_taken(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 4}))
        taken = [await store.take(Role(CONSUMERS, shard, 4)) for shard in range(1, 5)]
        assert len({one.fence.role for one in taken}) == 4

    async def test_a_role_of_another_number_of_shards_is_retired(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 1}))
        await deploy(store, workflow(groups={CONSUMERS: 2}))
        with pytest.raises(RoleRetired) as retired:
            await store.take(ROLE)
        assert retired.value.current == 2
        assert (await store.take(Role(CONSUMERS, 1, 2))).fence.epoch > 0

    async def test_a_group_left_out_of_a_deploy_is_retired(self, store: Records) -> None:
        await deploy(store, workflow())
        await deploy(store, workflow(groups={}))
        with pytest.raises(RoleRetired) as retired:
            await store.take(ROLE)
        assert retired.value.current is None

    async def test_a_group_that_workflows_share_lasts_as_long_as_one_of_them(self, store: Records) -> None:
        orders, invoices = workflow("orders", groups={PUBLISHER: 1}), workflow("invoices", groups={PUBLISHER: 1})
        await deploy(store, orders, invoices)
        first = await store.take(Role(PUBLISHER))
        await deploy(store, invoices)
        assert (await store.take(Role(PUBLISHER))).fence.epoch > first.fence.epoch

    async def test_epochs_go_on_where_they_were_when_a_role_comes_back(self, store: Records) -> None:
        before = await take(store, CONSUMERS)
        await deploy(store)
        await deploy(store, workflow())
        assert (await take(store, CONSUMERS)).epoch > before.epoch

    async def test_a_refused_deploy_retires_nobody(self, store: Records) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 1}, partitions=4))
        with pytest.raises(PartitionsChanged):
            await deploy(store, workflow(groups={CONSUMERS: 2}, partitions=8))
        assert (await store.take(ROLE)).fence.role == ROLE.name
