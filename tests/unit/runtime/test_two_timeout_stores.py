"""Timeouts of which some are with the records, although another store holds them."""

import asyncio
from datetime import timedelta

import pytest

from workflow_ray.ports import Store, TimeoutStore
from workflow_ray.records import RunId, Timeout, TimeoutKey, Version
from workflow_ray.runtime.mixed import mixed
from workflow_ray.testing.clock import FakeClock
from workflow_ray_adapters.memory import MemoryStore

WAIT = 20.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def records(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def timeouts(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def store(records: MemoryStore, timeouts: MemoryStore) -> Store:
    return mixed(records, None, timeouts)


def timeout(clock: FakeClock, name: str, *, seconds: float = 0.0) -> Timeout:
    """A timeout of the workflow `parcels` that is due in some seconds."""
    return Timeout(
        key=TimeoutKey(RunId("r"), Version(1), name),
        workflow="parcels",
        status=1,
        partition=0,
        due_at=clock.now() + timedelta(seconds=seconds),
    )


async def due(
    store: TimeoutStore, *, limit: int = 10, wait: float = 0.0, after: Timeout | None = None
) -> list[str]:
    listed = await store.due("parcels", 1, [0], limit=limit, wait=wait, after=after)
    return [each.key.name for each in listed]


async def test_those_that_a_client_has_left_with_the_records_are_due_too(
    store: Store, records: MemoryStore, clock: FakeClock
) -> None:
    await records.create([timeout(clock, "left")])
    await store.create([timeout(clock, "made")])
    assert await due(store) == ["left", "made"]


async def test_new_ones_are_made_where_the_timeouts_are(
    store: Store, records: MemoryStore, timeouts: MemoryStore, clock: FakeClock
) -> None:
    await store.create([timeout(clock, "made")])
    assert (await due(timeouts), await due(records)) == (["made"], [])


async def test_they_are_listed_in_the_order_in_which_they_are_due_up_to_the_limit(
    store: Store, records: MemoryStore, clock: FakeClock
) -> None:
    first, second, third = (timeout(clock, name, seconds=-3 + at) for at, name in enumerate("abc"))
    await records.create([second])
    await store.create([first, third])
    assert await due(store, limit=2) == ["a", "b"]
    assert await due(store, limit=2, after=second) == ["c"]


@pytest.mark.parametrize("where", ["records", "timeouts"])
async def test_a_wait_ends_when_one_is_due_in_either_store(
    store: Store, where: str, clock: FakeClock, request: pytest.FixtureRequest
) -> None:
    holder: MemoryStore = request.getfixturevalue(where)
    await holder.create([timeout(clock, "late", seconds=5)])
    waiting = asyncio.create_task(due(store, wait=WAIT))
    await clock.advance(timedelta(seconds=4.9))
    assert not waiting.done()
    await clock.advance(timedelta(seconds=0.1))
    assert await waiting == ["late"]


async def test_a_wait_ends_though_none_is_due(store: Store, clock: FakeClock) -> None:
    waiting = asyncio.create_task(due(store, wait=WAIT))
    await clock.advance(timedelta(seconds=WAIT))
    assert await waiting == []


async def test_those_of_both_stores_are_completed_and_trimmed(
    store: Store, records: MemoryStore, clock: FakeClock
) -> None:
    made = [timeout(clock, name) for name in ("left", "made")]
    await records.create(made[:1])
    await store.create(made[1:])
    await store.complete([each.key for each in made])
    assert await due(store) == []
    assert await store.trim_timeouts(completed=0.0, limit=1) == 1
    assert await store.trim_timeouts(completed=0.0, limit=2) == 1
