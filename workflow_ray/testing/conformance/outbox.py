"""Cases of RecordStore.pending and .published: the outbox of events for a stream elsewhere."""

import pytest

from workflow_ray.errors import RoleLost
from workflow_ray.ports import Records
from workflow_ray.records import (
    Committed,
    Event,
    Fenced,
    OutgoingEvent,
    Position,
    RunId,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    begin,
    result_of,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    CREATED_TOPIC,
    PAID,
    acquire,
    event,
    events_of,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)


class OutboxCases(Conformance):
    """Events stay in the outbox until they are published."""

    async def test_an_event_describes_the_version_that_its_write_made(self, store: Records) -> None:
        fence, run = await acquire(store), new_run()
        headers = {"traceparent": "00-abc-01", "naïve": "🦄"}
        await store_all(
            store,
            run,
            step(
                run,
                status=PAID,
                events=[OutgoingEvent(topic=CREATED_TOPIC, partition=3, headers=headers)],
            ),
        )
        (entry,) = await store.pending(fence, limit=10, wait=0)
        write = step(run)
        expected = Event(
            run_id=run.run_id,
            topic=CREATED_TOPIC,
            partition=3,
            version=write.version,
            status=PAID,
            headers=headers,
        )
        assert (entry.event, entry.due_at) == (expected, None)

    async def test_entries_stay_until_they_are_published(self, store: Records) -> None:
        fence = await acquire(store)
        await store_all(store, *(new_run(events=[event()]) for _ in range(5)))
        entries = await store.pending(fence, limit=10, wait=0)
        assert await store.pending(fence, limit=10, wait=0) == entries
        await store.published(fence, [entry.id for entry in entries[:3]])
        assert await store.pending(fence, limit=10, wait=0) == entries[3:]
        await store.published(
            fence, [entry.id for entry in entries]
        )  # includes the first three again
        assert await store.pending(fence, limit=10, wait=0) == []

    async def test_pending_is_in_commit_order_per_partition(self, store: Records) -> None:
        fence, committed = await acquire(store), list[tuple[int, RunId]]()
        for at in range(12):
            run = new_run(events=[event(at % 3)])
            await store_all(store, run)
            committed.append((at % 3, run.run_id))
        pending = [
            (item.partition, item.run_id)
            for item in events_of(await store.pending(fence, limit=100, wait=0))
        ]
        # Sorting is stable, so the order within each partition is compared.
        assert sorted(pending, key=partition) == sorted(committed, key=partition)

    async def test_a_runs_events_are_in_order_of_version(self, store: Records) -> None:
        fence, write = await acquire(store), new_run(events=[event()])
        writes = [write, *(write := step(write, events=[event()]) for _ in range(9))]
        await store_all(store, *writes)
        assert [
            item.version for item in events_of(await store.pending(fence, limit=100, wait=0))
        ] == list(range(1, 11))

    async def test_at_most_the_limit_of_entries_is_returned(self, store: Records) -> None:
        fence, run = await acquire(store), new_run(events=[event() for _ in range(5)])
        await store_all(store, run)
        first = await store.pending(fence, limit=2, wait=0)
        assert len(first) == 2
        assert first == (await store.pending(fence, limit=10, wait=0))[:2]

    async def test_a_partition_that_fails_is_left_out_and_delays_no_other(
        self, store: Records
    ) -> None:
        fence = await acquire(store)
        await store_all(
            store, *(new_run(events=[event(0)]) for _ in range(50)), new_run(events=[event(1)])
        )
        others = await store.pending(fence, limit=10, wait=0, without=[(CREATED_TOPIC, 0)])
        assert [item.partition for item in events_of(others)] == [1]
        assert (
            await store.pending(
                fence, limit=10, wait=0, without=[(CREATED_TOPIC, 0), (CREATED_TOPIC, 1)]
            )
            == []
        )
        assert len(await store.pending(fence, limit=100, wait=0)) == 51

    async def test_entries_that_were_sent_but_not_removed_are_pending_for_the_next_publisher(
        self, store: Records
    ) -> None:
        crashed = await acquire(store)
        await store_all(store, *(new_run(events=[event()]) for _ in range(5)))
        entries = await store.pending(crashed, limit=3, wait=0)
        await store.published(crashed, [entries[0].id])
        again = await store.pending(await acquire(store), limit=10, wait=0)
        assert again[:2] == entries[1:]
        assert len(again) == 4

    # --- events of groups ----------------------------------------------------------

    async def test_events_of_a_group_enter_the_outbox_unchanged_and_do_not_change_the_run(
        self, store: Records
    ) -> None:
        publisher, record = await acquire(store), await stored_run(store)
        lost = Event(
            run_id=record.run_id,
            topic=CREATED_TOPIC,
            partition=3,
            version=record.version,
            status=PAID,
            headers={"naïve": "🦄"},
        )
        assert await store.store([WriteGroup(events=(lost, lost))]) == [Committed(())]
        entries = await store.pending(publisher, limit=10, wait=0)
        assert [(entry.event, entry.due_at) for entry in entries] == [(lost, None)] * 2
        assert await stored(store, record.run_id) == record
        assert await versions(store, record.run_id) == [1]

    async def test_events_of_a_group_commit_with_its_writes_and_positions(
        self, store: Records
    ) -> None:
        publisher, fence, record = (
            await acquire(store),
            await acquire(store, CONSUMERS),
            await stored_run(store),
        )
        lost = Event(
            run_id=record.run_id,
            topic=CREATED_TOPIC,
            partition=0,
            version=record.version,
            status=CREATED,
        )
        position, write = Position(CONSUMERS, 0, 7), new_run(events=[event(1)])
        await store.store(
            [WriteGroup(writes=(write,), events=(lost,), positions=(position,), fence=fence)]
        )
        entries = await store.pending(publisher, limit=10, wait=0)
        assert {item.run_id for item in events_of(entries)} == {record.run_id, write.run_id}
        assert await store.positions(CONSUMERS) == [position]

    async def test_a_group_with_an_old_fence_adds_no_events(self, store: Records) -> None:
        publisher, record = await acquire(store), await stored_run(store)
        old, new = await acquire(store, CONSUMERS), await acquire(store, CONSUMERS)
        lost = Event(
            run_id=record.run_id,
            topic=CREATED_TOPIC,
            partition=0,
            version=record.version,
            status=CREATED,
        )
        assert await store.store([WriteGroup(events=(lost,), fence=old)]) == [
            Fenced(old.role, new.epoch)
        ]
        assert await store.pending(publisher, limit=10, wait=0) == []

    async def test_events_of_a_group_wake_publishers_that_wait(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, record = await acquire(store), await stored_run(store)
        pending = await begin(clock, store.pending(publisher, limit=10, wait=LONG))
        lost = Event(
            run_id=record.run_id,
            topic=CREATED_TOPIC,
            partition=0,
            version=record.version,
            status=CREATED,
        )
        await store.store([WriteGroup(events=(lost,))])
        assert events_of(await result_of(pending)) == [lost]

    # --- fences ---------------------------------------------------------------------------------

    async def test_an_old_fence_sees_and_removes_nothing(self, store: Records) -> None:
        old = await acquire(store)
        await store_all(store, new_run(events=[event()]))
        (entry,) = await store.pending(old, limit=10, wait=0)
        new = await acquire(store)
        with pytest.raises(RoleLost) as lost:
            await store.pending(old, limit=10, wait=0)
        assert (lost.value.role, lost.value.held, lost.value.current) == (
            old.role,
            old.epoch,
            new.epoch,
        )
        with pytest.raises(RoleLost):
            await store.published(old, [entry.id])
        assert await store.pending(new, limit=10, wait=0) == [entry]


def partition(item: tuple[int, RunId]) -> int:
    return item[0]
