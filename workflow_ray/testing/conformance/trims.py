"""Cases of Trimmer.trim: it removes published events that no group needs any more."""

import logging

import pytest

from workflow_ray.errors import RoleLost
from workflow_ray.records import Fence, Received, RoleName
from workflow_ray.testing.conformance.base import Conformance, MovingStore
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    PARTITIONS,
    acquire,
    event,
    new_run,
    received,
    store_all,
)
from workflow_ray.testing.conformance.streams import sent

ALL = range(PARTITIONS)
ELSEWHERE = Fence(RoleName("elsewhere-publisher-1-of-1"), 7)


class TrimCases(Conformance):
    """For a store that holds records and events."""

    async def test_events_below_the_offsets_are_trimmed_up_to_the_limit_and_offsets_stay(
        self, store: MovingStore
    ) -> None:
        fence = await acquire(store)
        before, ends = await published(store, fence, [0] * 10), await store.ends(CREATED_TOPIC, ALL)
        offsets = {0: before[7].offset, 1: 0}
        assert [await store.trim(fence, CREATED_TOPIC, offsets, limit=5) for _ in range(3)] == [
            5,
            2,
            0,
        ]
        assert (await received(store), await store.ends(CREATED_TOPIC, ALL)) == (before[7:], ends)

    async def test_the_limit_covers_all_partitions_named_and_others_are_not_trimmed(
        self, store: MovingStore
    ) -> None:
        fence = await acquire(store)
        before, ends = (
            await published(store, fence, [0, 1, 2] * 4),
            await store.ends(CREATED_TOPIC, ALL),
        )
        removed = [
            await store.trim(fence, CREATED_TOPIC, {0: ends[0], 1: ends[1]}, limit=3)
            for _ in range(4)
        ]
        assert (removed[0], sum(removed), removed[-1]) == (3, 8, 0)
        assert await received(store) == [item for item in before if item.event.partition == 2]

    async def test_the_next_event_after_a_trim_of_all_gets_the_end_as_its_offset(
        self, store: MovingStore
    ) -> None:
        fence = await acquire(store)
        await published(store, fence, [0] * 3)
        end = (await store.ends(CREATED_TOPIC, [0]))[0]
        assert await store.trim(fence, CREATED_TOPIC, {0: end + 99}, limit=10) == 3
        assert await store.lag(CREATED_TOPIC, {0: 0}) == 0
        assert [item.offset for item in await published(store, fence, [0])] == [end]
        assert await store.lag(CREATED_TOPIC, {0: 0}) == 1

    async def test_a_reader_below_the_trimmed_events_continues_after_them_and_loses_nothing(
        self, store: MovingStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        fence = await acquire(store)
        before = await published(store, fence, [0] * 5)
        await store.trim(fence, CREATED_TOPIC, {0: before[3].offset}, limit=10)
        with caplog.at_level(logging.WARNING):
            arrivals = await store.receive(
                CREATED_TOPIC, {0: 0}, reader="conformance", limit=10, wait=0
            )
        assert (list(arrivals.events), arrivals.lost) == (before[3:], {})
        assert not caplog.records, "trimmed events are not reported as lost"

    async def test_an_old_fence_trims_nothing(self, store: MovingStore) -> None:
        old = await acquire(store)
        before, ends = await published(store, old, [0] * 3), await store.ends(CREATED_TOPIC, ALL)
        new = await acquire(store)
        with pytest.raises(RoleLost) as lost:
            await store.trim(old, CREATED_TOPIC, ends, limit=5)
        assert (lost.value.role, lost.value.held, lost.value.current) == (
            old.role,
            old.epoch,
            new.epoch,
        )
        assert await received(store) == before

    async def test_a_store_without_the_role_trims_for_the_records_of_another_store(
        self, store: MovingStore
    ) -> None:
        await sent(store, [0])
        (item,) = await received(store)
        assert await store.trim(ELSEWHERE, CREATED_TOPIC, {0: item.offset + 1}, limit=5) == 1
        assert await received(store) == []


async def published(store: MovingStore, fence: Fence, partitions: list[int]) -> list[Received]:
    """Publish an event to each of the partitions, and return all events of the topic."""
    for partition in partitions:
        await store_all(store, new_run(partition=partition, events=[event(partition)]))
    await store.move(fence, limit=100, wait=0)
    return await received(store)
