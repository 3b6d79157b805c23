"""Roles: which ones a deployment fences off, and how workers share them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.errors import RoleLost, RoleRetired
from workflow_ray.records import (
    PUBLISHER,
    Committed,
    Fence,
    Fenced,
    Role,
    RoleName,
    Shared,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, begin, result_of
from workflow_ray.testing.conformance.runs import CONSUMERS, deploy, workflow
from workflow_ray_adapters.redis import RedisAdapter, leases
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import Served, client_of
from .helpers import acquired

GROUPS = {CONSUMERS: 2, PUBLISHER: 1}
SHARDS = [Role(CONSUMERS, shard, 2) for shard in (1, 2)]


async def test_another_shard_count_fences_every_role_of_the_group_and_no_other(
    store: RedisStore,
) -> None:
    await deploy(store, workflow(groups=GROUPS))
    old = [await store.acquire(role) for role in SHARDS]
    beside = await store.acquire(Role(PUBLISHER))
    await deploy(store, replace(workflow(groups=GROUPS), scaled={CONSUMERS: 4}))
    answers = await store.store([WriteGroup(fence=fence) for fence in (*old, beside)])
    assert [type(answer) for answer in answers] == [Fenced, Fenced, Committed]
    with pytest.raises(RoleRetired):
        await store.acquire(SHARDS[0])
    new = await store.acquire(Role(CONSUMERS, 1, 4))
    await deploy(store, workflow(groups=GROUPS))
    assert isinstance((await store.store([WriteGroup(fence=new)]))[0], Fenced)
    assert (await store.acquire(SHARDS[0])).epoch > old[0].epoch


async def test_a_retired_group_is_fenced_off_and_its_epochs_continue_when_it_is_deployed_again(
    store: RedisStore,
) -> None:
    await deploy(store, workflow(groups=GROUPS))
    old = await store.acquire(SHARDS[0])
    await deploy(store)
    (answer,) = await store.store([WriteGroup(fence=old)])
    assert isinstance(answer, Fenced)
    await deploy(store, workflow(groups=GROUPS))
    assert (await store.acquire(SHARDS[0])).epoch > answer.current


async def test_a_deployment_that_changes_no_shard_count_fences_no_role(store: RedisStore) -> None:
    await deploy(store, workflow(groups=GROUPS))
    fence = await store.acquire(SHARDS[0])
    await deploy(store, replace(workflow(groups=GROUPS), code="another", draining=(CONSUMERS,)))
    assert await store.store([WriteGroup(fence=fence)]) == [Committed(())]


async def test_the_settings_of_an_operator_are_kept_with_the_deployment(store: RedisStore) -> None:
    wanted = replace(
        workflow(), scaled={CONSUMERS: 3}, draining=(CONSUMERS,), superseded=("a", "b")
    )
    deployed = await deploy(store, wanted)
    assert (await store.deployment()).workflows == deployed.workflows == (wanted,)


async def test_a_publisher_that_waits_gets_an_error_at_once_when_it_is_fenced_off(
    store: RedisStore, clock: FakeClock
) -> None:
    old = await acquired(store)
    waiting = [
        await begin(clock, store.pending(old, limit=10, wait=LONG)),
        await begin(clock, store.move(old, limit=10, wait=LONG)),
    ]
    await deploy(store, replace(workflow(), scaled={PUBLISHER: 2}))
    for call in waiting:
        with pytest.raises(RoleLost):
            await result_of(call)


async def test_a_wait_for_a_newer_deployment_ends_when_it_is_deployed(
    store: RedisStore, clock: FakeClock
) -> None:
    first = await deploy(store, workflow())
    assert (await store.deployment(newer_than=0, wait=LONG)).version == first.version
    assert await store.deployment(newer_than=first.version, wait=0) == first
    waiting = await begin(clock, store.deployment(newer_than=first.version, wait=LONG))
    second = await deploy(store, replace(workflow(), code="another"))
    assert await result_of(waiting) == second


# --- heartbeats ---------------------------------------------------------------------------------


async def test_roles_with_a_newer_epoch_are_lost_and_roles_of_another_worker_are_surplus(
    store: RedisStore,
) -> None:
    await deploy(store, workflow(groups=GROUPS))
    first = await store.share("a", SHARDS, [], lease=10)
    held = {fence.role: fence for fence in first.acquired}
    assert set(held) == {role.name for role in SHARDS}
    await store.acquire(SHARDS[0])
    assert await store.share("a", SHARDS[1:], list(held.values()), lease=10) == Shared(
        lost=(SHARDS[0].name,)
    )
    kept = [held[SHARDS[1].name]]
    assert await store.share("a", [], kept, lease=10) == Shared(surplus=(SHARDS[1].name,))
    unknown = Fence(RoleName("orders-9-consumer-1-of-1"), 5)
    assert (await store.share("a", SHARDS, [unknown], lease=10)).lost == (unknown.role,)


async def test_a_heartbeat_is_two_calls_however_many_are_concurrent(
    own: Served, clock: FakeClock
) -> None:
    """It used to be repeated while other heartbeats changed something."""
    with own({}) as server, client_of(server) as client:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            await deploy(store, workflow(groups={CONSUMERS: 16}, partitions=16))
            roles = [Role(CONSUMERS, shard, 16) for shard in range(1, 17)]
            await store.share("first", roles, [], lease=10)  # this sends the scripts
            before = calls(client.info("commandstats"))
            await asyncio.gather(
                *(store.share(f"worker-{at}", roles, [], lease=10) for at in range(50))
            )
            assert calls(client.info("commandstats")) - before == 100


def calls(stats: Mapping[str, Mapping[str, int]]) -> int:
    return sum(
        stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats
    )


async def test_a_role_that_another_acquires_while_a_fair_share_is_decided_stays_with_it(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deploy(store, workflow(groups=GROUPS))
    decide = leases.fair_share

    def all_of_them(snapshot: leases.Snapshot, heartbeat: leases.Heartbeat) -> set[RoleName]:
        return decide(snapshot, heartbeat) | {role.name for role in heartbeat.roles}

    # as it was before the heartbeat of the other
    monkeypatch.setattr(leases, "fair_share", all_of_them)
    answers = await asyncio.gather(*(store.share(name, SHARDS, [], lease=10) for name in "abcd"))
    acquired_roles = [fence.role for answer in answers for fence in answer.acquired]
    assert sorted(acquired_roles) == sorted(role.name for role in SHARDS)


async def test_a_fair_share_is_decided_outside_of_the_script(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deploy(store, workflow(groups=GROUPS))
    decided = list[Sequence[Any]]()

    def assigned(
        able: Mapping[RoleName, Sequence[str]], holders: Mapping[RoleName, str]
    ) -> dict[RoleName, str]:
        decided.append((able, holders))
        return {role: "a" for role in able if role == SHARDS[1].name}

    monkeypatch.setattr(leases, "assigned", assigned)
    assert [fence.role for fence in (await store.share("a", SHARDS, [], lease=10)).acquired] == [
        SHARDS[1].name
    ]
    assert len(decided) == 1
