"""All that an EventStreamer must do."""

from workflow_ray.ports import EventStreamer
from workflow_ray.records import Event, RunId, Topic, Version, new_run_id
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, Conformance, begun, ended, timed_out
from workflow_ray.testing.conformance.runs import CREATED, CREATED_TOPIC, PARTITIONS, START, names, received

OTHER_TOPIC = Topic("orders-2")


class EventStreamerConformance(Conformance):
    """For a `store` that is an EventStreamer; what it does with an outbox and records of its own is OutboxMoverConformance."""

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

    async def test_within_a_partition_events_keep_the_order_given(self, store: EventStreamer) -> None:
        events = await sent(store, [2, 0, 1, 0, 2, 2, 1, 0])
        items = await received(store)
        assert len(items) == len(events)
        for partition in range(3):
            assert names(items, partition) == [(event.run_id, event.version) for event in events if event.partition == partition]

    async def test_a_repeat_is_appended_again(self, store: EventStreamer) -> None:
        (event,) = await sent(store, [0])
        await store.send([event])
        assert [item.event for item in await received(store)] == [event, event]

    async def test_nothing_sent_is_nothing_received(self, store: EventStreamer) -> None:
        await store.send([])
        assert await received(store) == []

    async def test_thousands_may_be_sent_at_once(self, store: EventStreamer) -> None:
        events = await sent(store, [at % PARTITIONS for at in range(2000)])
        assert sorted(names(await received(store))) == sorted((event.run_id, event.version) for event in events)

    # --- offsets ---------------------------------------------------------------------------------

    async def test_the_same_offsets_give_the_same_events_again(self, store: EventStreamer) -> None:
        await sent(store, [0] * 10)
        items = await store.receive(CREATED_TOPIC, {0: 0}, limit=10, wait=0)
        middle = items[4].offset
        for _ in range(2):
            assert await store.receive(CREATED_TOPIC, {0: middle}, limit=10, wait=0) == items[4:]
        assert await store.receive(CREATED_TOPIC, {0: items[-1].offset + 1}, limit=10, wait=0) == []

    async def test_batches_that_follow_each_other_give_every_event_once(self, store: EventStreamer) -> None:
        events = await sent(store, [at * at % PARTITIONS for at in range(50)])
        offsets, seen = dict(START), list[tuple[RunId, Version]]()
        while items := await store.receive(CREATED_TOPIC, offsets, limit=7, wait=0):
            assert len(items) <= 7
            offsets |= {item.event.partition: item.offset + 1 for item in items}
            seen += names(items)
        assert sorted(seen) == sorted((event.run_id, event.version) for event in events)

    async def test_only_the_topic_and_partitions_named_are_received(self, store: EventStreamer) -> None:
        await sent(store, [0], topic=OTHER_TOPIC)
        events = await sent(store, [0, 1, 2, 3])
        items = await store.receive(CREATED_TOPIC, {1: 0, 3: 0}, limit=10, wait=0)
        assert sorted(names(items)) == sorted((event.run_id, event.version) for event in events if event.partition in (1, 3))

    async def test_lag_counts_what_stands_at_or_after_the_offsets(self, store: EventStreamer) -> None:
        await sent(store, [0, 0, 0, 1, 1, 2])
        items = await store.receive(CREATED_TOPIC, {0: 0}, limit=10, wait=0)
        assert await store.lag(CREATED_TOPIC, START) == 6
        assert await store.lag(CREATED_TOPIC, {0: items[1].offset, 1: 0}) == 4
        assert await store.lag(CREATED_TOPIC, {0: items[-1].offset + 1, 3: 0}) == 0
        assert await store.lag(CREATED_TOPIC, {0: items[-1].offset + 100, 1: 0}) == 2
        assert await store.lag(OTHER_TOPIC, START) == 0

    # --- fairness --------------------------------------------------------------------------------

    async def test_no_partition_waits_for_anothers_backlog(self, store: EventStreamer) -> None:
        await sent(store, [0] * 100 + [3])
        for _ in range(PARTITIONS):  # not by turns only: each time
            items = await store.receive(CREATED_TOPIC, START, limit=10, wait=0)
            assert 3 in {item.event.partition for item in items}

    async def test_a_limit_below_the_number_of_partitions_starves_none(self, store: EventStreamer) -> None:
        await sent(store, list(range(PARTITIONS)) * 20)
        offsets, seen = dict(START), set[int]()
        for _ in range(4 * PARTITIONS):
            (item,) = await store.receive(CREATED_TOPIC, offsets, limit=1, wait=0)
            offsets[item.event.partition] = item.offset + 1
            seen.add(item.event.partition)
        assert seen == set(range(PARTITIONS))

    # --- waiting ---------------------------------------------------------------------------------

    async def test_receive_waits_and_is_woken(self, store: EventStreamer, clock: FakeClock) -> None:
        receive = await begun(clock, store.receive(CREATED_TOPIC, START, limit=10, wait=LONG))
        events = await sent(store, [2])
        assert [item.event for item in await ended(receive)] == events

    async def test_receive_ends_with_its_wait(self, store: EventStreamer, clock: FakeClock) -> None:
        receive = await begun(clock, store.receive(CREATED_TOPIC, {0: 0}, limit=10, wait=5))
        await sent(store, [1])
        await sent(store, [0], topic=OTHER_TOPIC)
        assert await timed_out(clock, receive, seconds=5) == []

    async def test_what_came_before_is_received_without_waiting(self, store: EventStreamer) -> None:
        await sent(store, [0])
        assert len(await store.receive(CREATED_TOPIC, START, limit=10, wait=LONG)) == 1


async def sent(store: EventStreamer, partitions: list[int], *, topic: Topic = CREATED_TOPIC) -> list[Event]:
    """An event for each of the partitions, in that order, sent in one call."""
    events = [Event(run_id=new_run_id(), topic=topic, partition=partition, version=Version(1), status=CREATED) for partition in partitions]
    await store.send(events)
    return events
