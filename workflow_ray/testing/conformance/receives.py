"""Cases of EventStreamer.receive: fairness between partitions, and waits."""

from workflow_ray.ports import EventStreamer
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Another,
    Conformance,
    begin,
    result_across_processes,
    result_at_timeout,
    result_of,
)
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    PARTITIONS,
    START,
    receive,
)
from workflow_ray.testing.conformance.streams import OTHER_TOPIC, sent


class ReceiveCases(Conformance):
    """No partition delays another, and an event ends the waits for it."""

    # --- fairness -------------------------------------------------------------------------------

    async def test_the_backlog_of_a_partition_delays_no_other(self, store: EventStreamer) -> None:
        await sent(store, [0] * 100 + [3])
        for _ in range(PARTITIONS):  # in each call, not only in turns
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

    async def test_a_new_event_wakes_a_reader_that_waits(
        self, store: EventStreamer, clock: FakeClock
    ) -> None:
        receiving = await begin(clock, receive(store, CREATED_TOPIC, START, limit=10, wait=LONG))
        events = await sent(store, [2])
        assert [item.event for item in await result_of(receiving)] == events

    async def test_a_reader_notices_the_events_of_another_process(
        self, store: EventStreamer, another: Another, clock: FakeClock
    ) -> None:
        receiving = await begin(clock, receive(store, CREATED_TOPIC, START, limit=10, wait=LONG))
        async with another() as other:
            events = await sent(other, [3])
            assert [
                item.event for item in await result_across_processes(clock, receiving)
            ] == events

    async def test_receive_ends_after_its_wait(
        self, store: EventStreamer, clock: FakeClock
    ) -> None:
        receiving = await begin(clock, receive(store, CREATED_TOPIC, {0: 0}, limit=10, wait=5))
        await sent(store, [1])
        await sent(store, [0], topic=OTHER_TOPIC)
        assert await result_at_timeout(clock, receiving, seconds=5) == []

    async def test_earlier_events_are_received_without_waiting(self, store: EventStreamer) -> None:
        await sent(store, [0])
        assert len(await receive(store, CREATED_TOPIC, START, limit=10, wait=LONG)) == 1
