"""Cases of RoleScheduler.share and .leave: roles that several processes share by heartbeats."""

import asyncio
import random
from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import chain

import pytest

from workflow_ray.ports import Records
from workflow_ray.records import Committed, Fence, Fenced, Role, RoleName, Shared
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Another, Conformance, openings
from workflow_ray.testing.conformance.runs import CONSUMERS, deploy, group, new_run, workflow

LEASE = 30.0
"""In seconds."""
SHARDS = 12
ROLES = [Role(CONSUMERS, shard, SHARDS) for shard in range(1, SHARDS + 1)]


class Worker:
    """A process that shares roles: it holds what it acquires, and releases surplus at once."""

    def __init__(self, store: Records, name: str, roles: Sequence[Role] = ROLES) -> None:
        self.store = store
        self.name = name
        self.roles = roles
        self.held: dict[RoleName, Fence] = {}

    async def heartbeat(self) -> Shared:
        shared = await self.store.share(
            self.name, self.roles, list(self.held.values()), lease=LEASE
        )
        for role in shared.lost:
            del self.held[role]
        for role in shared.surplus:
            await self.store.release(self.held.pop(role))
        self.held |= {fence.role: fence for fence in shared.acquired}
        return shared


class LeaseCases(Conformance):
    """Each role has one holder, and live workers have fair shares."""

    @pytest.fixture
    async def deployed(self, store: Records) -> Records:
        await deploy(store, workflow(groups={CONSUMERS: SHARDS}, partitions=SHARDS))
        return store

    async def test_the_first_worker_acquires_every_role_that_it_can_run(
        self, deployed: Records
    ) -> None:
        worker = Worker(deployed, "a", ROLES[:5])
        shared = await worker.heartbeat()
        assert {fence.role for fence in shared.acquired} == {role.name for role in ROLES[:5]}
        assert (shared.lost, shared.surplus) == ((), ())
        for fence in worker.held.values():
            assert isinstance(await write_under(deployed, fence), Committed)

    async def test_heartbeats_renew_leases(self, deployed: Records, clock: FakeClock) -> None:
        one, two = Worker(deployed, "a"), Worker(deployed, "b")
        await heartbeats(one, two, one, two)
        before = dict(one.held), dict(two.held)
        for _ in range(5):
            await clock.advance(timedelta(seconds=LEASE * 0.7))
            assert [await one.heartbeat(), await two.heartbeat()] == [Shared(), Shared()]
        assert (one.held, two.held) == before

    async def test_a_second_worker_gets_its_fair_share_once_the_first_has_released_it(
        self, deployed: Records
    ) -> None:
        one, two = Worker(deployed, "a"), Worker(deployed, "b")
        await one.heartbeat()
        assert (await two.heartbeat()).acquired == ()
        assert len((await one.heartbeat()).surplus) == SHARDS // 2
        shared = await two.heartbeat()
        assert len(shared.acquired) == SHARDS // 2
        check_fair_shares([one, two])

    async def test_a_surplus_role_stays_with_its_holder_until_it_is_released(
        self, deployed: Records, clock: FakeClock
    ) -> None:
        one, two = Worker(deployed, "a"), Worker(deployed, "b")
        await heartbeats(one, two)
        for _ in range(3):
            await clock.advance(timedelta(seconds=LEASE / 2))
            shared = await deployed.share("a", ROLES, list(one.held.values()), lease=LEASE)
            assert (len(shared.surplus), shared.lost) == (SHARDS // 2, ())
            assert (await two.heartbeat()).acquired == ()

    async def test_a_worker_that_stopped_is_replaced_only_when_its_leases_are_over(
        self, deployed: Records, clock: FakeClock
    ) -> None:
        stopped, other = Worker(deployed, "a"), Worker(deployed, "b")
        await heartbeats(stopped)
        await clock.advance(timedelta(seconds=LEASE, microseconds=-1))
        assert (await other.heartbeat()).acquired == ()
        await clock.advance(timedelta(microseconds=1))
        shared = await other.heartbeat()
        assert len(shared.acquired) == SHARDS
        for role, fence in stopped.held.items():
            assert await write_under(deployed, fence) == Fenced(role, other.held[role].epoch)
        held = set(stopped.held)
        assert set((await stopped.heartbeat()).lost) == held

    async def test_a_worker_that_was_late_keeps_the_roles_that_no_other_acquired(
        self, deployed: Records, clock: FakeClock
    ) -> None:
        worker = Worker(deployed, "a")
        await worker.heartbeat()
        before = dict(worker.held)
        await clock.advance(timedelta(seconds=LEASE * 10))
        assert await worker.heartbeat() == Shared()
        assert worker.held == before

    async def test_a_worker_that_leaves_is_replaced_at_once(self, deployed: Records) -> None:
        one, two = Worker(deployed, "a"), Worker(deployed, "b")
        await heartbeats(one, two, one, two)
        await deployed.leave("a")
        await deployed.leave("a")
        await deployed.leave("nobody")
        assert {fence.role for fence in (await two.heartbeat()).acquired} == set(one.held)

    async def test_a_released_role_is_free_at_once(self, deployed: Records) -> None:
        one, two = Worker(deployed, "a", ROLES[:1]), Worker(deployed, "b", ROLES[:1])
        await heartbeats(one, two)
        (fence,) = one.held.values()
        await deployed.release(fence)
        await deployed.leave("a")
        (acquired,) = (await two.heartbeat()).acquired
        assert acquired.epoch > fence.epoch

    async def test_a_release_under_an_old_fence_keeps_the_lease_of_the_next_holder(
        self, deployed: Records, clock: FakeClock
    ) -> None:
        old, new = Worker(deployed, "a", ROLES[:1]), Worker(deployed, "b", ROLES[:1])
        await heartbeats(old)
        await clock.advance(timedelta(seconds=LEASE))
        await heartbeats(new)
        (fence,) = old.held.values()
        await deployed.release(fence)
        assert (await old.heartbeat()).acquired == ()
        assert await new.heartbeat() == Shared()

    async def test_a_worker_that_leaves_ends_only_its_own_leases(self, deployed: Records) -> None:
        one, two = Worker(deployed, "a", ROLES[:6]), Worker(deployed, "b", ROLES[6:])
        await heartbeats(one, two)
        await deployed.leave("a")
        assert await two.heartbeat() == Shared()
        (answered,) = {type(await write_under(deployed, fence)) for fence in two.held.values()}
        assert answered is Committed

    async def test_a_repeated_heartbeat_gets_the_same_answer(self, deployed: Records) -> None:
        first = await deployed.share("a", ROLES, [], lease=LEASE)
        again = await deployed.share("a", ROLES, [], lease=LEASE)
        assert set(again.acquired) == set(first.acquired)

    async def test_a_role_that_another_process_acquires_is_lost_and_then_free_for_others(
        self, deployed: Records
    ) -> None:
        worker = Worker(deployed, "a")
        await worker.heartbeat()
        acquired = await deployed.acquire(ROLES[0])
        assert (await worker.heartbeat()).lost == (ROLES[0].name,)
        await worker.heartbeat()  # at the latest now: it has no lease
        assert worker.held[ROLES[0].name].epoch > acquired.epoch

    async def test_retired_roles_do_not_count_in_a_fair_share(self, deployed: Records) -> None:
        new = [Role(CONSUMERS, shard, 4) for shard in range(1, 5)]
        await heartbeats(Worker(deployed, "a", [*ROLES, *new]))
        await deploy(deployed, workflow(groups={CONSUMERS: 4}, partitions=SHARDS))
        await heartbeats(worker := Worker(deployed, "b", new))
        assert len(worker.held) == 2, (
            "the other two are for the worker whose roles are retired by now"
        )

    async def test_a_role_of_another_shard_count_is_lost_and_never_acquired(
        self, deployed: Records
    ) -> None:
        worker = Worker(deployed, "a")
        await worker.heartbeat()
        await deploy(deployed, workflow(groups={CONSUMERS: 2}, partitions=SHARDS))
        held = set(worker.held)
        shared = await worker.heartbeat()
        assert (set(shared.lost), shared.acquired) == (held, ())
        worker.roles = [Role(CONSUMERS, shard, 2) for shard in (1, 2)]
        assert len((await worker.heartbeat()).acquired) == 2

    async def test_a_role_that_a_worker_can_no_longer_run_is_surplus(
        self, deployed: Records
    ) -> None:
        worker = Worker(deployed, "a")
        await worker.heartbeat()
        worker.roles = ROLES[1:]
        assert (await worker.heartbeat()).surplus == (ROLES[0].name,)

    async def test_roles_go_only_to_workers_that_can_run_them(self, deployed: Records) -> None:
        one, two = Worker(deployed, "a", ROLES[:8]), Worker(deployed, "b", ROLES[8:])
        await heartbeats(one, two, one, two)
        assert set(one.held) == {role.name for role in ROLES[:8]}
        assert set(two.held) == {role.name for role in ROLES[8:]}

    # --- several processes ----------------------------------------------------------------------

    async def test_concurrent_heartbeats_give_each_role_to_one_worker(
        self, deployed: Records, another: Another
    ) -> None:
        async with openings(another, count=6) as stores:
            workers = [Worker(store, f"worker-{at}") for at, store in enumerate(stores)]
            for _ in range(6):
                await asyncio.gather(*(worker.heartbeat() for worker in workers))
                check_held_once(workers)
        check_fair_shares(workers)

    @pytest.mark.parametrize("seed", [1, 2])
    async def test_roles_are_shared_fairly_while_workers_come_and_go(
        self, deployed: Records, another: Another, clock: FakeClock, seed: int
    ) -> None:
        chance = random.Random(seed)
        async with openings(another, count=4) as stores:
            present = [Worker(chance.choice(stores), "worker")]
            for number in range(8):
                if len(present) > 1 and chance.random() < 0.4:
                    await depart(
                        present.pop(chance.randrange(len(present))),
                        clock,
                        present,
                        cleanly=chance.random() < 0.5,
                    )
                else:
                    present.append(Worker(chance.choice(stores), f"worker-{number}"))
                for _ in range(3):
                    await heartbeats(*chance.sample(present, len(present)))
                    check_held_once(present)
                check_fair_shares(present)


async def heartbeats(*workers: Worker) -> None:
    for worker in workers:
        await worker.heartbeat()


async def depart(
    worker: Worker, clock: FakeClock, others: Sequence[Worker], *, cleanly: bool
) -> None:
    """Let the worker leave, or let it die: its leases end while the others send heartbeats."""
    if cleanly:
        await worker.store.leave(worker.name)
    for _ in range(0 if cleanly else 2):
        await clock.advance(timedelta(seconds=LEASE * 0.6))
        await heartbeats(*others)


async def write_under(store: Records, fence: Fence) -> object:
    """Write under the fence, and return the answer."""
    (answer,) = await store.store([group(new_run(), fence=fence)])
    return answer


def check_held_once(workers: Collection[Worker]) -> None:
    held = list(chain.from_iterable(worker.held for worker in workers))
    assert len(held) == len(set(held))


def check_fair_shares(workers: Collection[Worker]) -> None:
    """Check that every role is held, and that the shares differ by one role at most."""
    check_held_once(workers)
    loads = [len(worker.held) for worker in workers]
    assert (sum(loads), max(loads) - min(loads) <= 1) == (SHARDS, True)
