"""Cases of OutboxMover.move: delayed entries, and moves that wait for entries."""

import asyncio
from datetime import timedelta

from workflow_ray.records import RunId, Version
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    MovingStore,
    begin,
    result_at_timeout,
    result_of,
    result_within,
    settle,
)
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    START,
    acquire,
    event,
    names,
    new_run,
    receive,
    received,
    store_all,
)


class MoveWaitCases(Conformance):
    """A move publishes an entry once it is due."""

    # --- delays ---------------------------------------------------------------------------------

    async def test_a_delayed_event_moves_only_when_it_is_due(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        fence = await acquire(store)
        await store_all(store, new_run(events=[event(delay=60)]))
        await clock.advance(timedelta(seconds=60, microseconds=-1))
        assert await store.move(fence, limit=10, wait=0) == 0
        await clock.advance(timedelta(microseconds=1))
        assert await store.move(fence, limit=10, wait=0) == 1

    async def test_a_move_does_not_wait_for_delayed_events(self, store: MovingStore) -> None:
        fence, prompt = await acquire(store), new_run(events=[event()])
        await store_all(store, new_run(events=[event(delay=60)]), prompt)
        assert await store.move(fence, limit=10, wait=0) == 1
        assert names(await received(store)) == [(prompt.run_id, prompt.version)]

    async def test_events_that_are_due_move_in_commit_order(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        fence, runs = (
            await acquire(store),
            [new_run(events=[event(delay=delay)]) for delay in (30, 10, 0, 20)],
        )
        for run in runs:
            await store_all(store, run)
        await clock.advance(timedelta(seconds=60))
        await store.move(fence, limit=10, wait=0)
        assert names(await received(store)) == [(run.run_id, run.version) for run in runs]

    # --- waiting --------------------------------------------------------------------------------

    async def test_a_move_that_waits_publishes_events_as_they_are_committed(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        fence, runs = await acquire(store), [new_run(events=[event()]) for _ in range(3)]
        move = await begin(clock, store.move(fence, limit=10, wait=5))
        for at, run in enumerate(runs):
            await store_all(store, run)
            assert names(await receive(store, CREATED_TOPIC, {0: at}, limit=10, wait=LONG)) == [
                (run.run_id, run.version)
            ]
        assert await result_at_timeout(clock, move, seconds=5) == 3

    async def test_a_move_that_waits_publishes_more_events_than_its_limit(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        fence, runs = await acquire(store), [new_run(events=[event()]) for _ in range(25)]
        await store_all(store, *runs[:20])
        move = await begin(clock, store.move(fence, limit=3, wait=5))
        await store_all(store, *runs[20:])
        offsets, seen = dict(START), list[tuple[RunId, Version]]()
        while len(seen) < len(runs):
            items = await receive(store, CREATED_TOPIC, offsets, limit=50, wait=LONG)
            offsets |= {item.event.partition: item.offset + 1 for item in items}
            seen += names(items)
        assert seen == [(run.run_id, run.version) for run in runs]
        assert await result_at_timeout(clock, move, seconds=5) == 25

    async def test_a_move_waits_for_events_to_become_due(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        fence = await acquire(store)
        move = await begin(clock, store.move(fence, limit=10, wait=LONG))
        await store_all(store, new_run(events=[event(delay=60)]))
        await settle(clock)
        await clock.advance(timedelta(seconds=59))
        await settle(clock)
        assert await received(store) == []
        receiving = asyncio.create_task(receive(store, CREATED_TOPIC, START, limit=10, wait=LONG))
        assert len(await result_within(clock, receiving, seconds=1)) == 1
        move.cancel()

    async def test_a_move_ends_after_its_wait(self, store: MovingStore, clock: FakeClock) -> None:
        fence = await acquire(store)
        move = await begin(clock, store.move(fence, limit=10, wait=5))
        await store_all(store, new_run())  # it has no event
        assert await result_at_timeout(clock, move, seconds=5) == 0

    async def test_a_move_wakes_readers_that_wait(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event(2)])
        receiving = await begin(clock, receive(store, CREATED_TOPIC, START, limit=10, wait=LONG))
        await store_all(store, run)
        await store.move(fence, limit=10, wait=0)
        assert names(await result_of(receiving)) == [(run.run_id, run.version)]

    async def test_a_waiting_move_that_is_cancelled_loses_no_event(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        fence = await acquire(store)
        move = await begin(clock, store.move(fence, limit=10, wait=LONG))
        move.cancel()
        await asyncio.wait([move])
        await store_all(store, new_run(events=[event()]))
        await store.move(fence, limit=10, wait=0)
        assert len(await received(store)) == 1
