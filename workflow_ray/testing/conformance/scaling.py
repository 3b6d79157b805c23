"""Cases of deploys that change shard counts, and so fence off every shard, dead or alive."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from workflow_ray.errors import RoleRetired
from workflow_ray.ports import Records
from workflow_ray.records import Committed, Deployment, Fence, Fenced, Position, Role
from workflow_ray.testing.conformance.base import GRACE, Another, Conformance, Fragile, result_of
from workflow_ray.testing.conformance.faults import holds
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    PAID_CONSUMERS,
    acquire,
    deploy,
    event,
    group,
    new_run,
    workflow,
)

DEPLOYED = workflow(groups={CONSUMERS: 2, PAID_CONSUMERS: 1}, partitions=8)


class ScalingCases(Conformance):
    async def test_another_shard_count_fences_off_every_shard_of_the_group(
        self, store: Records
    ) -> None:
        await scale(store, 2)
        old = [await store.acquire(Role(CONSUMERS, shard, 2)) for shard in (1, 2)]
        other = await store.acquire(Role(PAID_CONSUMERS))
        await scale(store, 4)
        assert await fenced_off(store, [*old, other]) == [True, True, False]
        with pytest.raises(RoleRetired):
            await store.acquire(Role(CONSUMERS, 1, 2))
        assert (await store.acquire(Role(CONSUMERS, 4, 4))).epoch > 0

    async def test_an_earlier_shard_count_does_not_revive_old_shards(self, store: Records) -> None:
        await scale(store, 2)
        first = await store.acquire(Role(CONSUMERS, 1, 2))
        await scale(store, 4)
        between = await store.acquire(Role(CONSUMERS, 1, 4))
        await scale(store, 2)
        assert await fenced_off(store, [first, between]) == [True, True]
        again = await store.acquire(Role(CONSUMERS, 1, 2))
        assert again.epoch > first.epoch
        assert await fenced_off(store, [first, between, again]) == [True, True, False]

    async def test_the_shard_count_of_the_code_applies_once_the_operators_is_reset(
        self, store: Records
    ) -> None:
        await scale(store, 4)
        old = await store.acquire(Role(CONSUMERS, 1, 4))
        await deploy(store, DEPLOYED)
        assert await fenced_off(store, [old]) == [True]
        assert (await store.acquire(Role(CONSUMERS, 1, 2))).epoch > 0

    async def test_a_group_that_is_retired_is_fenced_off(self, store: Records) -> None:
        fence = await acquire(store, CONSUMERS)
        await deploy(store)
        assert await fenced_off(store, [fence]) == [True]

    async def test_a_deploy_that_changes_no_shard_count_fences_no_role(
        self, store: Records
    ) -> None:
        fence = await acquire(store, CONSUMERS)
        await deploy(store, replace(workflow(), code="another", draining=(CONSUMERS,)))
        assert await fenced_off(store, [fence]) == [False]

    async def test_positions_in_use_by_old_shards_stay_in_doubt_for_the_new_ones(
        self, store: Records
    ) -> None:
        await scale(store, 2)
        old = await store.acquire(Role(CONSUMERS, 1, 2))
        left = Position(CONSUMERS, 0, 3, begun=7, trying=(4, 5), in_use=old)
        await store.store([group(fence=old, positions=[left])])
        await scale(store, 4)
        await store.acquire(Role(CONSUMERS, 1, 4))
        assert await store.positions(CONSUMERS) == [left]
        await store.release(old)
        assert await store.positions(CONSUMERS) == [replace(left, in_use=None)], (
            "it lives, and gives back what it had in hand"
        )

    async def test_no_shard_of_the_old_count_may_write_if_acquired_while_the_count_changes(
        self, store: Records, another: Another
    ) -> None:
        await scale(store, 2)
        async with another() as other:
            acquiring = [other.acquire(Role(CONSUMERS, at % 2 + 1, 2)) for at in range(10)]
            answers = await asyncio.gather(scale(store, 4), *acquiring, return_exceptions=True)
        fences = [answer for answer in answers if isinstance(answer, Fence)]
        refused = [answer for answer in answers if isinstance(answer, RoleRetired)]
        assert len(fences) + len(refused) == 10
        assert await fenced_off(store, fences) == [True] * len(fences)

    async def test_a_shard_count_changed_while_a_transaction_is_open_fences_the_old_shards(
        self, store: Records, fragile: Fragile
    ) -> None:
        count = 2
        await scale(store, count)
        async for _, hold in holds(fragile):
            old = await store.acquire(Role(CONSUMERS, 1, count))
            run = new_run(events=[event()])
            async with hold(fragile.store.store([group(run, fence=old)])) as storing:
                scaling = asyncio.create_task(scale(store, 6 - count))
                # It goes first, or waits for the open transaction.
                await asyncio.wait({scaling}, timeout=GRACE)
                before = await store.lookup([run.run_id], fresh=True) if scaling.done() else None
            (answer,), count = await result_of(storing), 6 - count
            await result_of(scaling)
            after = await store.lookup([run.run_id], fresh=True)
            assert isinstance(answer, Committed) == (after != [None])
            assert before in (None, after), "a write of an old shard was stored after the change"
            assert await fenced_off(fragile.store, [old]) == [True]


async def scale(store: Records, shards: int) -> Deployment:
    """Set the shard count as an operator does."""
    return await deploy(store, replace(DEPLOYED, scaled={CONSUMERS: shards}))


async def fenced_off(store: Records, fences: Sequence[Fence]) -> list[bool]:
    """Say for each fence whether writes under it are refused."""
    answers = await store.store([group(new_run(), fence=fence) for fence in fences])
    return [isinstance(answer, Fenced) for answer in answers]
