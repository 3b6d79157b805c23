"""Cases of OutboxMover.move: order, crashes, several processes, and fences."""

import asyncio

import pytest

from workflow_ray.errors import RoleLost
from workflow_ray.records import BATCH_DATA, Event, Fence, RunId, Version, Write, WriteGroup
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    GRACE,
    LONG,
    Another,
    Conformance,
    Fragile,
    MovingStore,
    begin,
    result_across_processes,
    result_of,
)
from workflow_ray.testing.conformance.faults import cuts, holds
from workflow_ray.testing.conformance.runs import (
    CREATED,
    CREATED_TOPIC,
    PAID,
    START,
    acquire,
    event,
    names,
    new_run,
    receive,
    received,
    step,
    store_all,
    stored,
)

MIB = 1024 * 1024


class MoveCases(Conformance):
    """Each event in the outbox is published once, in commit order."""

    async def test_moved_events_are_received_in_commit_order_per_partition(
        self, store: MovingStore
    ) -> None:
        fence, runs = (
            await acquire(store),
            [new_run(partition=at % 3, events=[event(at % 3)]) for at in range(12)],
        )
        for run in runs:
            await store_all(store, run)
        assert [await store.move(fence, limit=5, wait=0) for _ in range(4)] == [5, 5, 2, 0]
        items = await received(store)
        for partition in range(3):
            assert names(items, partition) == [
                (run.run_id, run.version) for run in runs[partition::3]
            ]
            offsets = [item.offset for item in items if item.event.partition == partition]
            assert offsets == sorted(set(offsets))

    async def test_a_runs_events_move_in_order_of_version(self, store: MovingStore) -> None:
        fence, write = await acquire(store), new_run(events=[event()])
        writes = [write, *(write := step(write, events=[event()]) for _ in range(9))]
        await store_all(store, *writes)
        assert await store.move(fence, limit=100, wait=0) == 10
        assert [item.event.version for item in await received(store)] == list(range(1, 11))

    async def test_a_moved_event_is_not_pending_any_more(self, store: MovingStore) -> None:
        fence, run = await acquire(store), new_run(events=[event(), event(1)])
        await store_all(store, run)
        await store.move(fence, limit=1, wait=0)
        assert len(await store.pending(fence, limit=10, wait=0)) == 1

    async def test_events_that_are_sent_and_moved_share_the_offsets(
        self, store: MovingStore
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event()])
        await store_all(store, run)
        (entry,) = await store.pending(fence, limit=10, wait=0)
        assert entry.event is not None
        await store.send([entry.event])
        await store.move(fence, limit=10, wait=0)
        first, second = await received(store)
        assert first.event == second.event
        assert first.offset < second.offset

    async def test_concurrent_moves_publish_each_event_once(self, store: MovingStore) -> None:
        fence, runs = await acquire(store), [new_run(events=[event(at % 4)]) for at in range(40)]
        await store_all(store, *runs)
        moved = await asyncio.gather(*(store.move(fence, limit=7, wait=0) for _ in range(10)))
        assert sum(moved) == 40
        assert sorted(names(await received(store))) == sorted(
            (run.run_id, run.version) for run in runs
        )

    async def test_a_reader_that_follows_the_offsets_misses_no_event_while_others_write_and_move(
        self, store: MovingStore
    ) -> None:
        fence, runs = await acquire(store), [new_run(events=[event(at % 4)]) for at in range(200)]

        offsets, seen = dict(START), list[tuple[RunId, Version]]()
        async with asyncio.timeout(20), asyncio.TaskGroup() as others:
            for run in runs:
                others.create_task(store_all(store, run))
            moving = others.create_task(store.move(fence, limit=7, wait=LONG))
            while len(seen) < len(runs):
                items = await receive(store, CREATED_TOPIC, offsets, limit=5, wait=LONG)
                offsets |= {item.event.partition: item.offset + 1 for item in items}
                seen += names(items)
            moving.cancel()
        assert sorted(seen) == sorted((run.run_id, run.version) for run in runs)

    async def test_offsets_follow_commit_order_although_a_transaction_is_open_during_a_move(
        self, store: MovingStore, fragile: Fragile
    ) -> None:
        fence, offset = await acquire(store), 0
        async for _, hold in holds(fragile):
            late, prompt = new_run(events=[event()]), new_run(events=[event()])
            async with hold(store_all(fragile.store, late)) as storing:
                moving = asyncio.create_task(_stored_and_moved(store, fence, prompt))
                # It goes first, or waits for the open transaction.
                await asyncio.wait({moving}, timeout=GRACE)
                before = await receive(store, CREATED_TOPIC, {0: offset}, limit=10, wait=0)
                offset = max([offset, *(item.offset + 1 for item in before)])
            await result_of(storing)
            await result_of(moving)
            await store.move(fence, limit=10, wait=0)
            after = await receive(store, CREATED_TOPIC, {0: offset}, limit=10, wait=0)
            offset = max(item.offset + 1 for item in (*before, *after))
            assert sorted(names([*before, *after])) == sorted(
                (run.run_id, run.version) for run in (late, prompt)
            )

    async def test_a_move_cut_after_any_message_neither_loses_nor_repeats_an_event(
        self, store: MovingStore, fragile: Fragile
    ) -> None:
        expected: list[tuple[RunId, Version]] = []
        async for _, cut in cuts(fragile):
            fence, runs = await acquire(store), [new_run(events=[event()]) for _ in range(3)]
            await store_all(store, *runs)
            with cut:
                await fragile.store.move(fence, limit=10, wait=0)
            # The role is acquired again, so that the move that was cut has ended.
            await store.move(await acquire(store), limit=10, wait=0)
            expected += [(run.run_id, run.version) for run in runs]
            assert names(await received(store)) == expected

    async def test_events_that_were_sent_but_not_removed_are_moved_again(
        self, store: MovingStore
    ) -> None:
        crashed, runs = await acquire(store), [new_run(events=[event()]) for _ in range(5)]
        await store_all(store, *runs)
        entries = await store.pending(crashed, limit=3, wait=0)
        await store.send([entry.event for entry in entries if entry.event is not None])
        await store.move(await acquire(store), limit=10, wait=0)
        expected = [(run.run_id, run.version) for run in runs]
        assert names(await received(store)) == expected[:3] + expected

    async def test_events_of_a_group_are_moved(self, store: MovingStore) -> None:
        fence, run = await acquire(store), new_run()
        lost = Event(
            run_id=run.run_id, topic=CREATED_TOPIC, partition=0, version=run.version, status=CREATED
        )
        await store.store([WriteGroup(writes=(run,), events=(lost,))])
        assert await store.move(fence, limit=10, wait=0) == 1
        assert [item.event for item in await received(store)] == [lost]

    # --- several processes ----------------------------------------------------------------------

    async def test_a_move_publishes_what_other_processes_commit(
        self, store: MovingStore, another: Another, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event()])
        receiving = await begin(clock, receive(store, CREATED_TOPIC, START, limit=10, wait=LONG))
        moving = await begin(clock, store.move(fence, limit=10, wait=LONG))
        async with another() as other:
            await store_all(other, run)
            assert names(await result_across_processes(clock, receiving)) == [
                (run.run_id, run.version)
            ]
        moving.cancel()

    async def test_a_move_ends_when_another_process_acquires_its_role(
        self, store: MovingStore, another: Another, clock: FakeClock
    ) -> None:
        moving = await begin(clock, store.move(await acquire(store), limit=10, wait=LONG))
        async with another() as other:
            await acquire(other)
            await store_all(other, new_run(events=[event()]))
            with pytest.raises(RoleLost):
                await result_across_processes(clock, moving)
        assert await received(store) == []

    # --- records beside events ------------------------------------------------------------------

    async def test_an_event_is_received_with_the_current_record_of_its_run(
        self, store: MovingStore
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event()])
        await store_all(store, run)
        await store.move(fence, limit=10, wait=0)
        await store_all(store, step(run, status=PAID))
        (item,) = await received(store)
        assert (item.event.version, item.record) == (1, await stored(store, run.run_id))

    async def test_a_batch_is_bounded_by_its_data(self, store: MovingStore) -> None:
        fence, runs = (
            await acquire(store),
            [new_run(data=b"x" * MIB, events=[event(at % 4)]) for at in range(12)],
        )
        await store_all(store, *runs)
        await store.move(fence, limit=100, wait=0)
        batch = await received(store)
        size = sum(len(item.record.data) for item in batch if item.record)
        assert len(batch) == sum(item.record is not None for item in batch)
        assert 0 < size <= BATCH_DATA + MIB

    async def test_the_event_of_a_run_larger_than_a_batch_is_received_alone(
        self, store: MovingStore
    ) -> None:
        fence, run = await acquire(store), new_run(data=b"x" * (BATCH_DATA + 1), events=[event()])
        await store_all(store, run)
        await store.move(fence, limit=100, wait=0)
        assert names(await received(store)) == [(run.run_id, run.version)]

    # --- fences ---------------------------------------------------------------------------------

    async def test_an_old_fence_moves_nothing(self, store: MovingStore) -> None:
        old, new = await acquire(store), await acquire(store)
        await store_all(store, new_run(events=[event()]))
        with pytest.raises(RoleLost) as lost:
            await store.move(old, limit=10, wait=0)
        assert (lost.value.role, lost.value.held, lost.value.current) == (
            old.role,
            old.epoch,
            new.epoch,
        )
        assert await received(store) == []
        assert await store.move(new, limit=10, wait=0) == 1

    async def test_a_move_that_loses_its_role_while_it_waits_moves_nothing(
        self, store: MovingStore, clock: FakeClock
    ) -> None:
        old = await acquire(store)
        move = await begin(clock, store.move(old, limit=10, wait=LONG))
        new = await acquire(store)
        await store_all(store, new_run(events=[event()]))
        with pytest.raises(RoleLost):
            await result_of(move)
        assert await store.move(new, limit=10, wait=0) == 1


async def _stored_and_moved(store: MovingStore, fence: Fence, run: Write) -> None:
    await store_all(store, run)
    await store.move(fence, limit=10, wait=0)
