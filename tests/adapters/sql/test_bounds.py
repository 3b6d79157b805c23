"""Data that nobody needs any more is removed, a bounded amount at a time; nothing that is due hides
behind something else.
"""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.errors import RoleLost
from workflow_ray.records import (
    PUBLISHER,
    Event,
    Fence,
    NewTimeout,
    Role,
    TimeoutKey,
    Version,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    CREATED,
    CREATED_TOPIC,
    deploy,
    event,
    new_run,
    store_all,
    workflow,
)
from workflow_ray_adapters.sql.store import SqlStore

from .stores import opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(each_url: str, clock: FakeClock) -> AsyncIterator[SqlStore]:
    async with opened(each_url, clock) as store:
        yield store


async def publisher(store: SqlStore) -> Fence:
    await deploy(store, workflow())
    return await store.acquire(Role(PUBLISHER))


# --- events -------------------------------------------------------------------------------------


async def test_events_are_trimmed_below_the_offsets_by_a_bounded_amount_and_offsets_stay(
    store: SqlStore,
) -> None:
    fence = await publisher(store)
    await store_all(store, *(new_run(partition=at % 2, events=[event(at % 2)]) for at in range(20)))
    await store.move(fence, limit=100, wait=0)
    trimmed = [await store.trim(fence, CREATED_TOPIC, {0: 6, 1: 8}, limit=5) for _ in range(4)]
    assert trimmed == [5, 5, 4, 0]
    assert await store.ends(CREATED_TOPIC, [0, 1]) == {0: 10, 1: 10}
    arrivals = await store.receive(
        CREATED_TOPIC, {0: 0, 1: 0}, reader="consumer", limit=100, wait=0
    )
    assert sorted((item.event.partition, item.offset) for item in arrivals.events) == [
        *((0, at) for at in range(6, 10)),
        (1, 8),
        (1, 9),
    ]
    assert (arrivals.read, arrivals.lost) == ({0: 10, 1: 10}, {})


async def test_who_begins_below_what_was_trimmed_goes_on_behind_it(store: SqlStore) -> None:
    fence = await publisher(store)
    await store_all(store, *(new_run(events=[event()]) for _ in range(5)))
    await store.move(fence, limit=100, wait=0)
    await store.trim(fence, CREATED_TOPIC, {0: 5}, limit=10)
    assert await store.lag(CREATED_TOPIC, {0: 0, 1: 0}) == 0
    arrivals = await store.receive(
        CREATED_TOPIC, {0: 0, 1: 0}, reader="consumer", limit=100, wait=0
    )
    assert (arrivals.events, arrivals.read) == ((), {0: 5, 1: 0})
    await store_all(store, *(new_run(events=[event()]) for _ in range(3)))
    await store.move(fence, limit=100, wait=0)
    assert await store.lag(CREATED_TOPIC, {0: 0}) == 3


async def test_who_has_lost_its_role_trims_nothing(store: SqlStore) -> None:
    fence = await publisher(store)
    await store.acquire(Role(PUBLISHER))
    with pytest.raises(RoleLost):
        await store.trim(fence, CREATED_TOPIC, {0: 6}, limit=5)


async def test_a_store_of_events_alone_trims_for_a_role_of_another_store(store: SqlStore) -> None:
    """The records, and with them the fences, are elsewhere."""
    await store.send(
        [
            Event(
                run_id=new_run().run_id,
                topic=CREATED_TOPIC,
                partition=0,
                version=Version(1),
                status=1,
            )
            for _ in range(3)
        ]
    )
    elsewhere = Fence(Role(PUBLISHER).name, 7)
    assert await store.trim(elsewhere, CREATED_TOPIC, {0: 2}, limit=10) == 2


async def test_a_partition_that_ends_below_its_offset_is_lost_and_the_others_go_on(
    store: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    fence = await publisher(store)
    await store_all(store, new_run(partition=1, events=[event(1)]))
    await store.move(fence, limit=100, wait=0)
    arrivals = await store.receive(
        CREATED_TOPIC, {0: 5, 1: 0}, reader="consumer", limit=100, wait=60
    )
    assert (arrivals.lost, [item.offset for item in arrivals.events], arrivals.read) == (
        {0: 0},
        [0],
        {1: 1},
    )
    await store.receive(CREATED_TOPIC, {0: 5, 1: 1}, reader="consumer", limit=100, wait=0)
    assert caplog.text.count("Partition 0 of orders-1 ends at 0, and was read up to 5") == 1


# --- the outbox ---------------------------------------------------------------------------------


async def test_delayed_entries_that_are_due_and_immediate_ones_share_the_publisher(
    store: SqlStore, clock: FakeClock
) -> None:
    fence = await publisher(store)
    late = [new_run(events=[event(delay=1)]) for _ in range(5)]
    await store_all(store, *late)
    await clock.advance(timedelta(seconds=2))
    await store_all(store, *(new_run(events=[event()]) for _ in range(50)))
    for limit, least in ((10, 5), (2, 1)):
        found = [
            entry.event and entry.event.run_id
            for entry in await store.pending(fence, limit=limit, wait=0)
        ]
        assert len(found) == limit
        assert len([run for run in late if run.run_id in found]) >= least
    both = [await store.pending(fence, limit=1, wait=0) for _ in range(2)]
    assert sorted(entry.due_at is None for (entry,) in both) == [False, True]


async def test_timeouts_for_another_store_are_carried_by_the_outbox(store: SqlStore) -> None:
    fence = await publisher(store)
    timeout = NewTimeout(name="late", workflow="orders", partition=3, after=60)
    run = replace(new_run(events=[event()]), timeouts=(timeout,))
    await store.store([WriteGroup(writes=(run,), timeouts_apart=True)])
    assert await store.move(fence, limit=10, wait=0) == 1
    (entry,) = await store.pending(fence, limit=10, wait=0, without=[(CREATED_TOPIC, 0)])
    assert entry.event is None
    assert entry.timeout is not None
    assert (entry.timeout.key, entry.timeout.partition) == (
        TimeoutKey(run.run_id, run.visit, "late"),
        3,
    )
    assert await store.pending(fence, limit=10, wait=0, timeouts_only=True) == [entry]
    await store.published(fence, [entry.id])
    assert await store.pending(fence, limit=10, wait=0) == []


async def test_neither_timeouts_nor_events_in_the_outbox_hide_the_others(
    store: SqlStore, clock: FakeClock
) -> None:
    """Also while the store that holds the timeouts does not answer."""
    fence = await publisher(store)
    late = [new_run(events=[event(delay=1)]) for _ in range(20)]
    timeout = NewTimeout(name="late", workflow="orders", partition=0, after=60)
    runs = [replace(new_run(events=[event()]), timeouts=(timeout,)) for _ in range(20)]
    await store.store([WriteGroup(writes=tuple(late))])
    await store.store([WriteGroup(writes=tuple(runs), timeouts_apart=True)])
    await clock.advance(timedelta(seconds=2))
    found = await store.pending(fence, limit=12, wait=0)
    kinds = Counter(
        "timeout" if entry.timeout else "immediate" if entry.due_at is None else "delayed"
        for entry in found
    )
    assert kinds == {"timeout": 4, "immediate": 4, "delayed": 4}
    one_by_one = [await store.pending(fence, limit=1, wait=0) for _ in range(3)]
    assert sorted((entry.timeout is None, entry.due_at is None) for (entry,) in one_by_one) == [
        (False, True),
        (True, False),
        (True, True),
    ]
    only = await store.pending(fence, limit=100, wait=0, timeouts_only=True)
    assert [entry.timeout and entry.timeout.key.run_id for entry in only] == [
        run.run_id for run in runs
    ]
    assert await store.move(fence, limit=100, wait=0) == 40
    assert await store.pending(fence, limit=100, wait=0) == only


# --- timeouts -----------------------------------------------------------------------------------


async def test_due_timeouts_that_cannot_be_completed_hide_no_later_ones(
    store: SqlStore, clock: FakeClock
) -> None:
    runs = [
        replace(
            new_run(),
            timeouts=(NewTimeout(name="t", workflow="orders", partition=0, after=1 + at // 3),),
        )
        for at in range(9)
    ]
    await store_all(store, *runs)
    await clock.advance(timedelta(seconds=10))
    everything = await store.due("orders", CREATED, [0], limit=100, wait=0)
    assert len(everything) == 9
    found = await store.due("orders", CREATED, [0], limit=2, wait=0)
    while page := await store.due("orders", CREATED, [0], limit=2, wait=0, after=found[-1]):
        found += page
    assert found == everything


async def test_timeouts_are_forgotten_some_time_after_they_were_completed(
    store: SqlStore, clock: FakeClock
) -> None:
    runs = [
        replace(
            new_run(), timeouts=(NewTimeout(name="t", workflow="orders", partition=0, after=1),)
        )
        for _ in range(5)
    ]
    await store_all(store, *runs)
    await clock.advance(timedelta(seconds=10))
    due = await store.due("orders", CREATED, [0], limit=100, wait=0)
    await store.complete([timeout.key for timeout in due[:4]])
    assert await store.trim_timeouts(completed=60, limit=10) == 0
    await clock.advance(timedelta(seconds=60))
    assert [await store.trim_timeouts(completed=60, limit=3) for _ in range(3)] == [3, 1, 0]
    assert await store.due("orders", CREATED, [0], limit=100, wait=0) == due[4:]
