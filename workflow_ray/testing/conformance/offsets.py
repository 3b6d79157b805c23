"""Cases of an EventStreamer: offsets, ends, and partitions that have lost their tail."""

import logging

import pytest

from workflow_ray.ports import EventStreamer
from workflow_ray.records import RunId, Version
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
)
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    PARTITIONS,
    START,
    names,
    receive,
    received,
)
from workflow_ray.testing.conformance.streams import OTHER_TOPIC, keys, sent


class OffsetCases(Conformance):
    """A reader names its offsets; the streamer keeps no cursor."""

    async def test_the_same_offsets_give_the_same_events_again(self, store: EventStreamer) -> None:
        await sent(store, [0] * 10)
        items = await receive(store, CREATED_TOPIC, {0: 0}, limit=10, wait=0)
        middle = items[4].offset
        for _ in range(2):
            assert await receive(store, CREATED_TOPIC, {0: middle}, limit=10, wait=0) == items[4:]
        assert (
            await receive(store, CREATED_TOPIC, {0: items[-1].offset + 1}, limit=10, wait=0) == []
        )

    async def test_successive_batches_give_every_event_once(self, store: EventStreamer) -> None:
        events = await sent(store, [at * at % PARTITIONS for at in range(50)])
        offsets, seen = dict(START), list[tuple[RunId, Version]]()
        while items := await receive(store, CREATED_TOPIC, offsets, limit=7, wait=0):
            assert len(items) <= 7
            offsets |= {item.event.partition: item.offset + 1 for item in items}
            seen += names(items)
        assert sorted(seen) == keys(events)

    async def test_only_the_topic_and_partitions_named_are_received(
        self, store: EventStreamer
    ) -> None:
        await sent(store, [0], topic=OTHER_TOPIC)
        events = await sent(store, [0, 1, 2, 3])
        items = await receive(store, CREATED_TOPIC, {1: 0, 3: 0}, limit=10, wait=0)
        assert sorted(names(items)) == keys(event for event in events if event.partition in (1, 3))

    async def test_lag_counts_the_events_at_or_after_the_offsets(
        self, store: EventStreamer
    ) -> None:
        await sent(store, [0, 0, 0, 1, 1, 2])
        items = await receive(store, CREATED_TOPIC, {0: 0}, limit=10, wait=0)
        assert await store.lag(CREATED_TOPIC, START) == 6
        assert await store.lag(CREATED_TOPIC, {0: items[1].offset, 1: 0}) == 4
        assert await store.lag(CREATED_TOPIC, {0: items[-1].offset + 1, 3: 0}) == 0
        assert await store.lag(CREATED_TOPIC, {0: items[-1].offset + 100, 1: 0}) == 2
        assert await store.lag(OTHER_TOPIC, START) == 0

    # --- ends -----------------------------------------------------------------------------------

    async def test_readers_begin_at_the_start_with_every_event_or_at_the_end_with_later_ones(
        self, store: EventStreamer
    ) -> None:
        before = await sent(store, [0, 1, 1, 3])
        ends = await store.ends(CREATED_TOPIC, range(PARTITIONS))
        assert await receive(store, CREATED_TOPIC, ends, limit=10, wait=0) == []
        after = await sent(store, [1, 2])
        assert sorted(names(await receive(store, CREATED_TOPIC, ends, limit=10, wait=0))) == keys(
            after
        )
        assert sorted(names(await received(store))) == keys([*before, *after])

    async def test_the_end_is_the_offset_of_the_next_event(self, store: EventStreamer) -> None:
        await sent(store, [0, 0])
        ends = await store.ends(CREATED_TOPIC, [0, 2])
        assert set(ends) == {0, 2}
        await sent(store, [2, 0])
        items = await receive(store, CREATED_TOPIC, ends, limit=10, wait=0)
        assert {item.event.partition: item.offset for item in items} == ends

    async def test_a_partition_without_events_ends_at_its_start(self, store: EventStreamer) -> None:
        assert await store.ends(OTHER_TOPIC, range(PARTITIONS)) == START

    async def test_a_partition_that_ends_below_its_offset_is_lost_and_others_are_read(
        self, store: EventStreamer
    ) -> None:
        events = await sent(store, [0, 0, 1])
        ends = await store.ends(CREATED_TOPIC, range(PARTITIONS))
        asked = {0: ends[0] + 1, 1: 0, 2: 5}
        arrivals = await store.receive(
            CREATED_TOPIC, asked, reader="conformance", limit=10, wait=LONG
        )
        assert arrivals.lost == {0: ends[0], 2: ends[2]}
        assert names(arrivals.events) == [(events[2].run_id, events[2].version)]
        assert not arrivals.read.keys() & arrivals.lost.keys()

    async def test_a_lost_partition_ends_a_wait(self, store: EventStreamer) -> None:
        arrivals = await store.receive(
            CREATED_TOPIC, {3: 7}, reader="conformance", limit=10, wait=LONG
        )
        assert (arrivals.events, set(arrivals.lost)) == ((), {3})

    async def test_a_lost_partition_is_read_from_its_start_along_with_the_others(
        self, store: EventStreamer
    ) -> None:
        events = await sent(store, [0, 1])
        lost = (
            await store.receive(CREATED_TOPIC, {0: 9, 1: 0}, reader="conformance", limit=10, wait=0)
        ).lost
        assert set(lost) == {0}
        arrivals = await store.receive(
            CREATED_TOPIC, {0: 0, 1: 0}, reader="conformance", limit=10, wait=0
        )
        assert (sorted(names(arrivals.events)), arrivals.lost) == (keys(events), {})

    async def test_the_loss_of_events_is_logged_once_per_partition(
        self, store: EventStreamer, caplog: pytest.LogCaptureFixture
    ) -> None:
        await sent(store, [0])
        for _ in range(3):
            assert (
                await store.receive(
                    CREATED_TOPIC, {0: 9, 1: 0}, reader="conformance", limit=10, wait=0
                )
            ).lost
        assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1

    async def test_an_answer_says_how_far_each_partition_was_read(
        self, store: EventStreamer
    ) -> None:
        await sent(store, [0, 0, 1])
        arrivals = await store.receive(CREATED_TOPIC, START, reader="conformance", limit=10, wait=0)
        ends = await store.ends(CREATED_TOPIC, range(PARTITIONS))
        assert arrivals.read.items() >= {partition: ends[partition] for partition in (0, 1)}.items()
        assert await receive(store, CREATED_TOPIC, arrivals.read, limit=10, wait=0) == []
