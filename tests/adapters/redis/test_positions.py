"""Positions are merged by log and incarnation, and released by their fence."""

from random import Random

from msgspec.structs import replace

from workflow_ray.records import Fence, Position, Role, RoleName, WriteGroup
from workflow_ray.testing.conformance.runs import CONSUMERS, deploy, workflow
from workflow_ray_adapters.redis.store import RedisStore

HERE = Position(
    CONSUMERS,
    0,
    10,
    begun=20,
    trying=(10, 12),
    log="a",
    incarnation=1,
    in_use=Fence(RoleName("role"), 3),
)


async def written(store: RedisStore, *positions: Position) -> list[Position]:
    """Write the positions in a group each, and return the stored one."""
    for position in positions:
        await store.store([WriteGroup(positions=(position,))])
    return await store.positions(CONSUMERS)


def merged(before: Position | None, position: Position) -> Position:
    if before is None or position.log != before.log or position.incarnation > before.incarnation:
        return position
    if position.incarnation < before.incarnation:
        return before
    return replace(
        position,
        offset=max(before.offset, position.offset),
        begun=max(before.begun, position.begun),
    )


async def test_a_position_reads_back_as_it_was_written(store: RedisStore) -> None:
    assert await written(store, HERE) == [HERE]


async def test_a_position_of_the_same_log_never_goes_back(store: RedisStore) -> None:
    behind = replace(HERE, offset=5, begun=7, trying=(), in_use=None)
    assert await written(store, HERE, behind) == [replace(HERE, trying=(), in_use=None)]


async def test_a_later_incarnation_replaces_all_of_the_position(store: RedisStore) -> None:
    again = Position(CONSUMERS, 0, 0, log="a", incarnation=2)
    assert await written(store, HERE, again) == [again]


async def test_another_log_replaces_all_of_the_position(store: RedisStore) -> None:
    other = Position(CONSUMERS, 0, 1, begun=2, log="b")
    assert await written(store, HERE, other) == [other]


async def test_an_earlier_incarnation_changes_nothing(store: RedisStore) -> None:
    assert await written(
        store, HERE, replace(HERE, offset=99, begun=99, trying=(), incarnation=0, in_use=None)
    ) == [HERE]


async def test_several_positions_of_one_call_are_merged_as_in_separate_calls(
    store: RedisStore,
) -> None:
    ahead = replace(HERE, offset=15, begun=16)
    await store.store(
        [
            WriteGroup(positions=(HERE, ahead)),
            WriteGroup(positions=(replace(HERE, offset=1, incarnation=0),)),
        ]
    )
    assert await store.positions(CONSUMERS) == [replace(ahead, begun=20)]


async def test_random_positions_are_merged_as_the_rule_says(store: RedisStore, rng: Random) -> None:
    expected: Position | None = None
    for _ in range(100):
        position = Position(
            CONSUMERS,
            0,
            rng.randrange(30),
            begun=rng.randrange(30),
            trying=tuple(range(rng.randrange(3))),
            log=rng.choice("aab"),
            incarnation=rng.randrange(3),
            in_use=rng.choice([None, Fence(RoleName("role"), rng.randrange(3))]),
        )
        expected = merged(expected, position)
        assert await written(store, position) == [expected]


async def test_a_release_clears_the_positions_of_its_fence_even_if_the_role_has_a_newer_holder(
    store: RedisStore,
) -> None:
    await deploy(store, workflow(groups={CONSUMERS: 1}))
    fence = await store.acquire(Role(CONSUMERS))
    mine, others = (
        replace(HERE, in_use=fence),
        replace(HERE, partition=1, in_use=Fence(fence.role, fence.epoch + 1)),
    )
    await written(store, mine, others)
    newer = await store.acquire(Role(CONSUMERS))
    await store.release(fence)
    assert await store.positions(CONSUMERS) == [replace(mine, in_use=None), others]
    assert await store.store([WriteGroup(fence=newer)]) != []
    assert (await store.acquire(Role(CONSUMERS))).epoch > newer.epoch
