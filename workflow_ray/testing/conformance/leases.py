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
"""Seconds."""
SHARDS = 12
ROLES = [Role(CONSUMERS, shard, SHARDS) for shard in range(1, SHARDS + 1)]


class Member:
    """A process that shares roles: it plays what it is given, and gives up at once what it is to leave."""

    def __init__(self, store: Records, name: str, roles: Sequence[Role] = ROLES) -> None:
        self.store, self.name, self.roles = store, name, roles
        self.held: dict[RoleName, Fence] = {}

    async def beat(self) -> Shared:
        shared = await self.store.share(self.name, self.roles, list(self.held.values()), lease=LEASE)
        for role in shared.lost:
            del self.held[role]
        for role in shared.surplus:
            await self.store.release(self.held.pop(role))
        self.held |= {taken.fence.role: taken.fence for taken in shared.taken}
        return shared


class LeaseCases(Conformance):
    @pytest.fixture
    async def deployed(self, store: Records) -> Records:
        await deploy(store, workflow(groups={CONSUMERS: SHARDS}, partitions=SHARDS))
        return store

    async def test_who_comes_first_takes_all_that_it_can_play(self, deployed: Records) -> None:
        member = Member(deployed, "a", ROLES[:5])
        shared = await member.beat()
        assert {taken.fence.role for taken in shared.taken} == {role.name for role in ROLES[:5]}
        assert all(taken.clean for taken in shared.taken)
        assert (shared.lost, shared.surplus) == ((), ())
        for fence in member.held.values():
            assert isinstance(await answer(deployed, fence), Committed)

    async def test_heartbeats_keep_what_is_held_beyond_its_lease(self, deployed: Records, clock: FakeClock) -> None:
        one, two = Member(deployed, "a"), Member(deployed, "b")
        await beats(one, two, one, two)
        before = dict(one.held), dict(two.held)
        for _ in range(5):
            await clock.advance(timedelta(seconds=LEASE * 0.7))
            assert [await one.beat(), await two.beat()] == [Shared(), Shared()]
        assert (one.held, two.held) == before

    async def test_a_second_member_gets_its_fair_share_of_what_the_first_releases(self, deployed: Records) -> None:
        one, two = Member(deployed, "a"), Member(deployed, "b")
        await one.beat()
        assert (await two.beat()).taken == ()
        assert len((await one.beat()).surplus) == SHARDS // 2
        shared = await two.beat()
        assert len(shared.taken) == SHARDS // 2
        assert all(taken.clean for taken in shared.taken), "they were released"
        share_all_between([one, two])

    async def test_surplus_stays_the_holders_until_it_is_released(self, deployed: Records, clock: FakeClock) -> None:
        one, two = Member(deployed, "a"), Member(deployed, "b")
        await beats(one, two)
        for _ in range(3):
            await clock.advance(timedelta(seconds=LEASE / 2))
            shared = await deployed.share("a", ROLES, list(one.held.values()), lease=LEASE)
            assert (len(shared.surplus), shared.lost) == (SHARDS // 2, ())
            assert (await two.beat()).taken == ()

    async def test_a_member_that_stopped_is_replaced_when_its_leases_are_over_and_not_before(
        self, deployed: Records, clock: FakeClock
    ) -> None:
        stopped, other = Member(deployed, "a"), Member(deployed, "b")
        await beats(stopped)
        await clock.advance(timedelta(seconds=LEASE, microseconds=-1))
        assert (await other.beat()).taken == ()
        await clock.advance(timedelta(microseconds=1))
        shared = await other.beat()
        assert len(shared.taken) == SHARDS
        assert not any(taken.clean for taken in shared.taken), "nobody released them"
        for role, fence in stopped.held.items():
            assert await answer(deployed, fence) == Fenced(role, other.held[role].epoch)
        held = set(stopped.held)
        assert set((await stopped.beat()).lost) == held

    async def test_a_member_that_was_late_keeps_what_nobody_took_meanwhile(self, deployed: Records, clock: FakeClock) -> None:
        member = Member(deployed, "a")
        await member.beat()
        before = dict(member.held)
        await clock.advance(timedelta(seconds=LEASE * 10))
        assert await member.beat() == Shared()
        assert member.held == before

    async def test_who_leaves_is_replaced_at_once(self, deployed: Records) -> None:
        one, two = Member(deployed, "a"), Member(deployed, "b")
        await beats(one, two, one, two)
        await deployed.leave("a")
        await deployed.leave("a")
        await deployed.leave("nobody")
        assert {taken.fence.role for taken in (await two.beat()).taken} == set(one.held)

    async def test_a_released_role_is_free_at_once(self, deployed: Records) -> None:
        one, two = Member(deployed, "a", ROLES[:1]), Member(deployed, "b", ROLES[:1])
        await beats(one, two)
        (fence,) = one.held.values()
        await deployed.release(fence)
        await deployed.leave("a")
        (taken,) = (await two.beat()).taken
        assert (taken.clean, taken.fence.epoch > fence.epoch) == (True, True)

    async def test_a_heartbeat_whose_answer_was_lost_gets_the_same_again(self, deployed: Records) -> None:
        first = await deployed.share("a", ROLES, [], lease=LEASE)
        again = await deployed.share("a", ROLES, [], lease=LEASE)
        assert {taken.fence for taken in again.taken} == {taken.fence for taken in first.taken}

    async def test_a_role_that_is_taken_is_lost_to_who_shares_it_and_free_for_others(self, deployed: Records) -> None:
        member = Member(deployed, "a")
        await member.beat()
        taken = await deployed.take(ROLES[0])
        assert (await member.beat()).lost == (ROLES[0].name,)
        await member.beat()  # at the latest now: it has no lease
        assert member.held[ROLES[0].name].epoch > taken.fence.epoch

    async def test_what_is_retired_weighs_nothing_in_a_fair_share(self, deployed: Records) -> None:
        new = [Role(CONSUMERS, shard, 4) for shard in range(1, 5)]
        await beats(Member(deployed, "a", [*ROLES, *new]))
        await deploy(deployed, workflow(groups={CONSUMERS: 4}, partitions=SHARDS))
        await beats(member := Member(deployed, "b", new))
        assert len(member.held) == 2, "the other two are for the member whose roles are retired by now"

    async def test_a_role_of_another_number_of_shards_is_lost_and_never_taken(self, deployed: Records) -> None:
        member = Member(deployed, "a")
        await member.beat()
        await deploy(deployed, workflow(groups={CONSUMERS: 2}, partitions=SHARDS))
        held = set(member.held)
        shared = await member.beat()
        assert (set(shared.lost), shared.taken) == (held, ())
        member.roles = [Role(CONSUMERS, shard, 2) for shard in (1, 2)]
        assert len((await member.beat()).taken) == 2

    async def test_what_a_member_can_play_no_more_is_surplus(self, deployed: Records) -> None:
        member = Member(deployed, "a")
        await member.beat()
        member.roles = ROLES[1:]
        assert (await member.beat()).surplus == (ROLES[0].name,)

    async def test_roles_go_only_to_members_that_can_play_them(self, deployed: Records) -> None:
        one, two = Member(deployed, "a", ROLES[:8]), Member(deployed, "b", ROLES[8:])
        await beats(one, two, one, two)
        assert set(one.held) == {role.name for role in ROLES[:8]}
        assert set(two.held) == {role.name for role in ROLES[8:]}

    # --- several processes -----------------------------------------------------------------------

    async def test_of_members_that_beat_at_once_each_role_goes_to_one(self, deployed: Records, another: Another) -> None:
        async with openings(another, count=6) as stores:
            members = [Member(store, f"member-{at}") for at, store in enumerate(stores)]
            for _ in range(6):
                await asyncio.gather(*(member.beat() for member in members))
                held_once(members)
        share_all_between(members)

    @pytest.mark.parametrize("seed", [1, 2])
    async def test_members_come_and_go_and_roles_are_shared_fairly(
        self, deployed: Records, another: Another, clock: FakeClock, seed: int
    ) -> None:
        chance = random.Random(seed)
        async with openings(another, count=4) as stores:
            present = [Member(chance.choice(stores), "member")]
            for number in range(8):
                if len(present) > 1 and chance.random() < 0.4:
                    await gone(present.pop(chance.randrange(len(present))), clock, present, cleanly=chance.random() < 0.5)
                else:
                    present.append(Member(chance.choice(stores), f"member-{number}"))
                for _ in range(3):
                    await beats(*chance.sample(present, len(present)))
                    held_once(present)
                share_all_between(present)


async def beats(*members: Member) -> None:
    for member in members:
        await member.beat()


async def gone(member: Member, clock: FakeClock, others: Sequence[Member], *, cleanly: bool) -> None:
    """It leaves; or else it dies, and its leases end while the others live on."""
    if cleanly:
        await member.store.leave(member.name)
    for _ in range(0 if cleanly else 2):
        await clock.advance(timedelta(seconds=LEASE * 0.6))
        await beats(*others)


async def answer(store: Records, fence: Fence) -> object:
    """To a write under the fence."""
    (answer,) = await store.store([group(new_run(), fence=fence)])
    return answer


def held_once(members: Collection[Member]) -> None:
    held = list(chain.from_iterable(member.held for member in members))
    assert len(held) == len(set(held))


def share_all_between(members: Collection[Member]) -> None:
    """Every role is held, and nobody holds two more than another."""
    held_once(members)
    loads = [len(member.held) for member in members]
    assert (sum(loads), max(loads) - min(loads) <= 1) == (SHARDS, True)
