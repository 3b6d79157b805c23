"""Cases of RecordStore.pending: delayed entries, and waits for entries."""

from datetime import timedelta

import pytest

from workflow_ray.errors import RoleLost
from workflow_ray.ports import Records
from workflow_ray.records import Committed, Postponed, WriteGroup
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    begin,
    result_at_timeout,
    result_of,
    result_within,
    settle,
)
from workflow_ray.testing.conformance.runs import (
    acquire,
    event,
    events_of,
    new_run,
    store_all,
    stored,
)


class OutboxWaitCases(Conformance):
    """An entry is pending once it is due, and ends the waits for it."""

    # --- delays ---------------------------------------------------------------------------------

    async def test_a_delayed_event_is_pending_only_when_it_is_due(
        self, store: Records, clock: FakeClock
    ) -> None:
        fence, committed = await acquire(store), clock.now()
        await store_all(store, new_run(events=[event(delay=90.5)]))
        await clock.advance(timedelta(seconds=90.5, microseconds=-1))
        assert await store.pending(fence, limit=10, wait=0) == []
        await clock.advance(timedelta(microseconds=1))
        (entry,) = await store.pending(fence, limit=10, wait=0)
        assert entry.due_at == committed + timedelta(seconds=90.5)

    async def test_a_delayed_event_delays_no_other(self, store: Records) -> None:
        fence, prompt = await acquire(store), new_run(events=[event()])
        await store_all(store, new_run(events=[event(delay=60)]), prompt)
        assert [item.run_id for item in events_of(await store.pending(fence, limit=1, wait=0))] == [
            prompt.run_id
        ]

    async def test_a_limit_of_one_starves_neither_delayed_entries_nor_immediate_ones(
        self, store: Records, clock: FakeClock
    ) -> None:
        fence = await acquire(store)
        late = [new_run(events=[event(delay=10)]) for _ in range(5)]
        await store_all(store, *late)
        await clock.advance(timedelta(seconds=10))
        await store_all(store, *(new_run(events=[event()]) for _ in range(5)))
        kinds = list[bool]()
        for _ in range(10):
            (entry,) = await store.pending(fence, limit=1, wait=0)
            kinds.append(entry.due_at is not None)
            await store.published(fence, [entry.id])
        assert True in kinds[:2]
        assert False in kinds[:2]
        assert sum(kinds) == 5

    # --- waiting --------------------------------------------------------------------------------

    async def test_pending_waits_and_is_woken_by_a_commit(
        self, store: Records, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event()])
        pending = await begin(clock, store.pending(fence, limit=10, wait=LONG))
        await store_all(store, run)
        assert [item.run_id for item in events_of(await result_of(pending))] == [run.run_id]

    async def test_pending_waits_for_events_to_become_due(
        self, store: Records, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event(delay=60)])
        pending = await begin(clock, store.pending(fence, limit=10, wait=LONG))
        await store_all(store, run)
        await settle(clock)
        await clock.advance(timedelta(seconds=59))
        await settle(clock)
        assert not pending.done()
        assert [
            item.run_id for item in events_of(await result_within(clock, pending, seconds=1))
        ] == [run.run_id]

    async def test_a_postponed_event_is_pending_when_its_delay_is_over(
        self, store: Records, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event()])
        await store_all(store, run)
        (entry,) = await store.pending(fence, limit=10, wait=0)
        await store.published(fence, [entry.id])
        assert entry.event is not None
        later = Postponed(event=entry.event, delay=10)
        assert await store.store([WriteGroup(postponed=(later,))]) == [Committed(())]
        assert (await stored(store, run.run_id)).version == run.version
        assert await store.pending(fence, limit=10, wait=0) == []
        (delayed,) = (await store.activity()).delayed
        assert (delayed.event, delayed.due_at) == (
            entry.event,
            clock.now() + timedelta(seconds=10),
        )
        await clock.advance(timedelta(seconds=10))
        assert events_of(await store.pending(fence, limit=10, wait=0)) == [entry.event]

    async def test_pending_ends_after_its_wait(self, store: Records, clock: FakeClock) -> None:
        fence = await acquire(store)
        assert (
            await result_at_timeout(
                clock, await begin(clock, store.pending(fence, limit=10, wait=5)), seconds=5
            )
            == []
        )

    async def test_a_publisher_that_loses_its_role_while_it_waits_gets_an_error(
        self, store: Records, clock: FakeClock
    ) -> None:
        old = await acquire(store)
        pending = await begin(clock, store.pending(old, limit=10, wait=LONG))
        new = await acquire(store)
        await store_all(store, new_run(events=[event()]))
        with pytest.raises(RoleLost):
            await result_of(pending)
        assert len(await store.pending(new, limit=10, wait=0)) == 1
