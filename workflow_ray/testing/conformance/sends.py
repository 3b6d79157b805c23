"""Cases of an EventStreamer: topics, what is sent, and its order."""

import asyncio
from itertools import chain

import pytest

from workflow_ray.errors import TopicMismatch
from workflow_ray.ports import EventStreamer
from workflow_ray.records import Event, Received, Role, Version, new_run_id
from workflow_ray.testing.conformance.base import (
    Another,
    Capability,
    Conformance,
    openings,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED_TOPIC,
    PARTITIONS,
    START,
    names,
    receive,
    received,
)
from workflow_ray.testing.conformance.streams import NEW_TOPIC, TOPICS, keys, sent


class SendCases(Conformance):
    """Events that are sent are received, in order, and none is lost."""

    async def test_events_are_received_as_they_were_sent(self, store: EventStreamer) -> None:
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

    async def test_events_of_a_partition_keep_the_order_in_which_they_are_sent(
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

    async def test_sending_no_events_adds_none(self, store: EventStreamer) -> None:
        await store.send([])
        assert await received(store) == []

    async def test_thousands_of_events_may_be_sent_in_one_call(self, store: EventStreamer) -> None:
        events = await sent(store, [at % PARTITIONS for at in range(2000)])
        assert sorted(names(await received(store))) == keys(events)

    async def test_processes_that_send_concurrently_lose_and_overwrite_no_event(
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

    # --- topics ---------------------------------------------------------------------------------

    async def test_preparing_topics_again_changes_nothing(self, store: EventStreamer) -> None:
        events = await sent(store, [0, 1])
        await store.prepare(TOPICS)
        await store.prepare({})
        assert sorted(names(await received(store))) == keys(events)

    async def test_a_topic_with_another_number_of_partitions_is_refused_and_none_is_created(
        self, store: EventStreamer
    ) -> None:
        self.need(Capability.SIZED_TOPICS)
        with pytest.raises(TopicMismatch):
            await store.prepare({NEW_TOPIC: 2, CREATED_TOPIC: PARTITIONS + 1})
        await store.prepare({NEW_TOPIC: 3})

    async def test_every_opening_has_the_same_stream_id(
        self, store: EventStreamer, another: Another
    ) -> None:
        async with another() as other:
            assert store.stream_id == other.stream_id
            assert store.stream_id

    # --- shards ---------------------------------------------------------------------------------

    async def test_no_event_is_lost_or_out_of_order_when_the_shard_count_changes(
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
                # The next shard receives the rest.
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
