"""Published events: reads, trims, and the events that a topic retains."""

import pytest

from workflow_ray.errors import RoleLost
from workflow_ray.records import Fence, RoleName
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import CREATED_TOPIC, event, new_run, store_all
from workflow_ray.testing.conformance.streams import sent
from workflow_ray_adapters.redis import RedisAdapter
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import BASE, Driver
from .helpers import acquired


@pytest.fixture
async def publisher(store: RedisStore) -> Fence:
    return await acquired(store)


async def test_events_are_trimmed_below_the_offsets_up_to_the_limit_and_offsets_stay(
    store: RedisStore, publisher: Fence
) -> None:
    await store_all(store, *(new_run(partition=at % 2, events=[event(at % 2)]) for at in range(20)))
    await store.move(publisher, limit=100, wait=0)
    trimmed = [await store.trim(publisher, CREATED_TOPIC, {0: 6, 1: 8}, limit=5) for _ in range(4)]
    assert trimmed == [5, 5, 4, 0]
    assert await store.ends(CREATED_TOPIC, [0, 1]) == {0: 10, 1: 10}
    arrivals = await store.receive(CREATED_TOPIC, {0: 0, 1: 0}, reader="test", limit=100, wait=0)
    assert sorted((item.event.partition, item.offset) for item in arrivals.events) == [
        *((0, at) for at in range(6, 10)),
        (1, 8),
        (1, 9),
    ]
    assert (arrivals.read, arrivals.lost) == ({0: 10, 1: 10}, {})


async def test_a_reader_below_the_trimmed_events_continues_after_them_without_a_report(
    store: RedisStore, publisher: Fence, caplog: pytest.LogCaptureFixture
) -> None:
    await sent(store, [0] * 5)
    await store.trim(publisher, CREATED_TOPIC, {0: 5}, limit=10)
    assert await store.lag(CREATED_TOPIC, {0: 0, 1: 0}) == 0
    arrivals = await store.receive(CREATED_TOPIC, {0: 0, 1: 0}, reader="test", limit=100, wait=0)
    assert (arrivals.events, arrivals.read) == ((), {0: 5, 1: 0})
    await sent(store, [0] * 3)
    assert await store.lag(CREATED_TOPIC, {0: 0}) == 3
    arrivals = await store.receive(CREATED_TOPIC, {0: 2}, reader="test", limit=100, wait=0)
    assert [item.offset for item in arrivals.events] == [5, 6, 7]
    assert "are gone" not in caplog.text


async def test_trimming_beyond_the_end_keeps_the_end(store: RedisStore, publisher: Fence) -> None:
    await sent(store, [0] * 3)
    assert await store.trim(publisher, CREATED_TOPIC, {0: 99, 1: 5}, limit=10) == 3
    assert await store.ends(CREATED_TOPIC, [0, 1]) == {0: 3, 1: 0}
    await sent(store, [0])
    assert await store.ends(CREATED_TOPIC, [0]) == {0: 4}


async def test_an_old_fence_trims_no_event(
    store: RedisStore, publisher: Fence, behind: Driver
) -> None:
    await sent(store, [0] * 3)
    await acquired(store)
    with pytest.raises(RoleLost):
        await store.trim(publisher, CREATED_TOPIC, {0: 3}, limit=5)
    assert behind.xlen(f"{BASE}:stream:0:{CREATED_TOPIC}") == 3


async def test_a_store_without_the_role_is_trimmed_under_its_fence(
    store: RedisStore,
) -> None:
    await sent(store, [0] * 3)
    elsewhere = Fence(RoleName("outbox-publisher-1-of-1"), 7)
    assert await store.trim(elsewhere, CREATED_TOPIC, {0: 2}, limit=5) == 2


async def test_a_trim_keeps_as_many_events_as_the_url_says(
    url: str, clock: FakeClock, behind: Driver
) -> None:
    async with RedisAdapter().open_records(
        f"{url}?retain=1000", clock=clock, exclusive=False
    ) as store:
        publisher = await acquired(store)
        await sent(store, [0] * 3000)
        assert await store.trim(publisher, CREATED_TOPIC, {0: 500}, limit=10_000) == 500
        assert await store.trim(publisher, CREATED_TOPIC, {0: 3000}, limit=10_000) == 1500
        assert behind.xlen(f"{BASE}:stream:0:{CREATED_TOPIC}") == 1000
        assert await store.ends(CREATED_TOPIC, [0]) == {0: 3000}


async def test_an_answer_says_how_far_each_partition_was_read(store: RedisStore) -> None:
    await sent(store, [0] * 5 + [1])
    arrivals = await store.receive(
        CREATED_TOPIC, {0: 0, 1: 0, 2: 0}, reader="test", limit=3, wait=0
    )
    by_partition = {0: [0], 1: [0], 2: []}
    assert {
        at: [item.offset for item in arrivals.events if item.event.partition == at]
        for at in range(3)
    } == by_partition
    assert arrivals.read == {0: 1, 1: 1, 2: 0}
