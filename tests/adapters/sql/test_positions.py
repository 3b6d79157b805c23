"""The database merges positions as Python does, and releases them whoever holds the role by
then.
"""

from random import Random

from msgspec.structs import replace

from workflow_ray.records import Fence, Position, Role, RoleName, WriteGroup
from workflow_ray.testing.conformance.runs import CONSUMERS, deploy, workflow
from workflow_ray_adapters.sql.positions import merged
from workflow_ray_adapters.sql.store import SqlStore

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


async def written(store: SqlStore, *positions: Position) -> list[Position]:
    """Return what is stored after one write group each."""
    for position in positions:
        await store.store([WriteGroup(positions=(position,))])
    return await store.positions(CONSUMERS)


async def test_a_position_reads_back_as_it_was_written(store: SqlStore) -> None:
    assert await written(store, HERE) == [HERE]


async def test_a_position_of_the_same_log_never_goes_back(store: SqlStore) -> None:
    behind = replace(HERE, offset=5, begun=7, trying=(), in_use=None)
    assert await written(store, HERE, behind) == [replace(HERE, trying=(), in_use=None)]


async def test_a_later_incarnation_replaces_all_of_the_position(store: SqlStore) -> None:
    again = Position(CONSUMERS, 0, 0, log="a", incarnation=2)
    assert await written(store, HERE, again) == [again]


async def test_another_log_replaces_all_of_the_position(store: SqlStore) -> None:
    other = Position(CONSUMERS, 0, 1, begun=2, log="b")
    assert await written(store, HERE, other) == [other]


async def test_an_earlier_incarnation_changes_nothing(store: SqlStore) -> None:
    assert await written(
        store, HERE, replace(HERE, offset=99, begun=99, trying=(), incarnation=0, in_use=None)
    ) == [HERE]


async def test_the_database_merges_as_python_does(store: SqlStore, rng: Random) -> None:
    expected: Position | None = None
    for _ in range(60):
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


async def test_several_positions_of_one_transaction_come_to_what_they_come_to_one_by_one(
    store: SqlStore,
) -> None:
    ahead = replace(HERE, offset=15, begun=16)
    await store.store(
        [
            WriteGroup(positions=(HERE, ahead)),
            WriteGroup(positions=(replace(HERE, offset=1, incarnation=0),)),
        ]
    )
    assert await store.positions(CONSUMERS) == [replace(ahead, begun=20)]


async def test_a_release_clears_what_its_fence_has_in_use_also_when_the_role_has_a_newer_holder(
    store: SqlStore,
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
    assert (await store.acquire(Role(CONSUMERS))).epoch == newer.epoch + 1
