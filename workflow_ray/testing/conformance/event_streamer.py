"""All that an EventStreamer must do."""

import asyncio
import logging
from collections.abc import Iterable
from itertools import chain

import pytest

from workflow_ray.errors import TopicMismatch
from workflow_ray.ports import EventStreamer
from workflow_ray.records import Event, Received, Role, RunId, Topic, Version, new_run_id
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Another,
    Capability,
    Conformance,
    begun,
    ended,
    heard,
    openings,
    timed_out,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    CREATED_TOPIC,
    PARTITIONS,
    START,
    names,
    receive,
    received,
)

OTHER_TOPIC, NEW_TOPIC = Topic("orders-2"), Topic("orders-3")
TOPICS = {CREATED_TOPIC: PARTITIONS, OTHER_TOPIC: PARTITIONS}


class EventStreamerConformance(Conformance):
    """For a `store` that is an EventStreamer, and uses `another`.

    What it does with an outbox and records of its own is OutboxMoverConformance. What an adapter
    does about events that it can't send, or keeps no longer, is for its own tests: only they can
    bring that about.
    """

    @pytest.fixture(autouse=True)
    async def prepared(self, store: EventStreamer) -> None:
        await store.prepare(TOPICS)

    async def test_events_come_back_as_they_were_sent(self, store: EventStreamer) -> None:
        event = Event(
            run_id=new_run_id(),
            topic=CREATED_TOPIC,
            partition=3,
            version=Version(2**40),
            status=2**31 - 1,
            headers={"traceparent": "00-abc-01", "naïve": "🦄"},
        )
        await store.send([event])
        (item,) = await received(store)
        assert (item.event, item.record) == (event, None)

    async def test_offsets_ascend_in_the_order_of_sending(self, store: EventStreamer) -> None:
        events = await sent(store, [0] * 5) + await sent(store, [0] * 5)
        items = await received(store)
        assert [item.event for item in items] == events
        offsets = [item.offset for item in items]
        assert offsets == sorted(set(offsets))
        assert offsets[0] >= 0

    async def test_within_a_partition_events_keep_the_order_given(
        self, store: EventStreamer
    ) -> None:
        events = await sent(store, [2, 0, 1, 0, 2, 2, 1, 0])
        items = await received(store)
        assert len(items) == len(events)
        for partition in range(3):
            assert names(items, partition) == [
                (event.run_id, event.version) for event in events if event.partition == partition
            ]

    async def test_a_repeat_is_appended_again(self, store: EventStreamer) -> None:
        (event,) = await sent(store, [0])
        await store.send([event])
        assert [item.event for item in await received(store)] == [event, event]

    async def test_nothing_sent_is_nothing_received(self, store: EventStreamer) -> None:
        await store.send([])
        assert await received(store) == []

    async def test_thousands_may_be_sent_at_once(self, store: EventStreamer) -> None:
        events = await sent(store, [at % PARTITIONS for at in range(2000)])
        assert sorted(names(await received(store))) == keys(events)

    # --- offsets --------------------------------------------------------------------------------

    async def test_the_same_offsets_give_the_same_events_again(self, store: EventStreamer) -> None:
        await sent(store, [0] * 10)
        items = await receive(store, CREATED_TOPIC, {0: 0}, limit=10, wait=0)
        middle = items[4].offset
        for _ in range(2):
            assert await receive(store, CREATED_TOPIC, {0: middle}, limit=10, wait=0) == items[4:]
        assert (
            await receive(store, CREATED_TOPIC, {0: items[-1].offset + 1}, limit=10, wait=0) == []
        )

    async def test_batches_that_follow_each_other_give_every_event_once(
        self, store: EventStreamer
    ) -> None:
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

    async def test_lag_counts_what_stands_at_or_after_the_offsets(
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

    async def test_who_begins_at_the_earliest_gets_all_and_at_the_latest_what_comes_then(
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

    async def test_what_was_never_sent_to_ends_where_it_begins(self, store: EventStreamer) -> None:
        assert await store.ends(OTHER_TOPIC, range(PARTITIONS)) == START

    async def test_a_partition_that_ends_below_its_offset_is_lost_alone(
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

    async def test_a_lost_partition_is_read_from_its_beginning_beside_the_others(
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

    async def test_that_a_partition_lost_events_is_logged_once(
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

    async def test_what_was_read_is_told_for_each_partition(self, store: EventStreamer) -> None:
        await sent(store, [0, 0, 1])
        arrivals = await store.receive(CREATED_TOPIC, START, reader="conformance", limit=10, wait=0)
        ends = await store.ends(CREATED_TOPIC, range(PARTITIONS))
        assert arrivals.read.items() >= {partition: ends[partition] for partition in (0, 1)}.items()
        assert await receive(store, CREATED_TOPIC, arrivals.read, limit=10, wait=0) == []

    # --- topics ---------------------------------------------------------------------------------

    async def test_preparing_again_changes_nothing(self, store: EventStreamer) -> None:
        events = await sent(store, [0, 1])
        await store.prepare(TOPICS)
        await store.prepare({})
        assert sorted(names(await received(store))) == keys(events)

    async def test_a_topic_with_another_number_of_partitions_is_refused_and_none_made(
        self, store: EventStreamer
    ) -> None:
        self.need(Capability.SIZED_TOPICS)
        with pytest.raises(TopicMismatch):
            await store.prepare({NEW_TOPIC: 2, CREATED_TOPIC: PARTITIONS + 1})
        await store.prepare({NEW_TOPIC: 3})

    async def test_every_opening_names_the_same_log(
        self, store: EventStreamer, another: Another
    ) -> None:
        async with another() as other:
            assert store.stream_id == other.stream_id
            assert store.stream_id

    # --- shards ---------------------------------------------------------------------------------

    async def test_nothing_is_lost_or_out_of_order_when_the_number_of_shards_changes(
        self, store: EventStreamer
    ) -> None:
        events = list[Event]()
        positions, seen = dict(START), list[Received]()
        for shards in (1, 3, 2, 4, 1):
            events += await sent(store, [at * at % PARTITIONS for at in range(24)])
            for shard in range(1, shards + 1):
                owned = {
                    partition: positions[partition]
                    for partition in Role(CONSUMERS, shard, shards).owned(PARTITIONS)
                }
                # and leaves the rest to who comes next
                items = await receive(store, CREATED_TOPIC, owned, limit=5, wait=0)
                positions |= {item.event.partition: item.offset + 1 for item in items}
                seen += items
        while items := await receive(store, CREATED_TOPIC, positions, limit=50, wait=0):
            positions |= {item.event.partition: item.offset + 1 for item in items}
            seen += items
        for partition in range(PARTITIONS):
            assert names(seen, partition) == [
                (event.run_id, event.version) for event in events if event.partition == partition
            ]

    # --- fairness -------------------------------------------------------------------------------

    async def test_no_partition_waits_for_anothers_backlog(self, store: EventStreamer) -> None:
        await sent(store, [0] * 100 + [3])
        for _ in range(PARTITIONS):  # not by turns only: each time
            items = await receive(store, CREATED_TOPIC, START, limit=10, wait=0)
            assert 3 in {item.event.partition for item in items}

    async def test_a_limit_below_the_number_of_partitions_starves_none(
        self, store: EventStreamer
    ) -> None:
        await sent(store, list(range(PARTITIONS)) * 20)
        offsets, seen = dict(START), set[int]()
        for _ in range(4 * PARTITIONS):
            (item,) = await receive(store, CREATED_TOPIC, offsets, limit=1, wait=0)
            offsets[item.event.partition] = item.offset + 1
            seen.add(item.event.partition)
        assert seen == set(range(PARTITIONS))

    # --- waiting --------------------------------------------------------------------------------

    async def test_receive_waits_and_is_woken(self, store: EventStreamer, clock: FakeClock) -> None:
        receiving = await begun(clock, receive(store, CREATED_TOPIC, START, limit=10, wait=LONG))
        events = await sent(store, [2])
        assert [item.event for item in await ended(receiving)] == events

    async def test_receive_hears_of_what_another_process_sends(
        self, store: EventStreamer, another: Another, clock: FakeClock
    ) -> None:
        receiving = await begun(clock, receive(store, CREATED_TOPIC, START, limit=10, wait=LONG))
        async with another() as other:
            events = await sent(other, [3])
            assert [item.event for item in await heard(clock, receiving)] == events

    async def test_processes_that_send_at_once_lose_and_overwrite_nothing(
        self, store: EventStreamer, another: Another
    ) -> None:
        async with openings(another, count=3) as stores:
            batches = await asyncio.gather(
                *(sent(stores[at % 3], [0, 1, 0, 2]) for at in range(15))
            )
        items = await received(store)
        assert sorted(names(items)) == keys(chain.from_iterable(batches))
        for partition in range(PARTITIONS):
            offsets = [item.offset for item in items if item.event.partition == partition]
            assert offsets == sorted(set(offsets))
        in_order = names(items, 0)
        for batch in batches:
            assert [name for name in in_order if name in keys(batch)] == [
                (event.run_id, event.version) for event in (batch[0], batch[2])
            ]

    async def test_receive_ends_with_its_wait(self, store: EventStreamer, clock: FakeClock) -> None:
        receiving = await begun(clock, receive(store, CREATED_TOPIC, {0: 0}, limit=10, wait=5))
        await sent(store, [1])
        await sent(store, [0], topic=OTHER_TOPIC)
        assert await timed_out(clock, receiving, seconds=5) == []

    async def test_what_came_before_is_received_without_waiting(self, store: EventStreamer) -> None:
        await sent(store, [0])
        assert len(await receive(store, CREATED_TOPIC, START, limit=10, wait=LONG)) == 1


async def sent(
    store: EventStreamer, partitions: list[int], *, topic: Topic = CREATED_TOPIC
) -> list[Event]:
    """An event for each of the partitions, in that order, sent in one call."""
    events = [
        Event(
            run_id=new_run_id(),
            topic=topic,
            partition=partition,
            version=Version(1),
            status=CREATED,
        )
        for partition in partitions
    ]
    await store.send(events)
    return events


def keys(events: Iterable[Event]) -> list[tuple[RunId, Version]]:
    return sorted((event.run_id, event.version) for event in events)
