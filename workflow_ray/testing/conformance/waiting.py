"""Cases of RecordStore.waiting: runs that await an event that is not in the outbox."""

from datetime import timedelta

from msgspec.structs import replace

from workflow_ray.ports import Records
from workflow_ray.records import (
    Awaits,
    Event,
    RunId,
    RunState,
    WaitingQuery,
    new_run_id,
    status_topic,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import PAID, acquire, event, new_run, step, store_all

MINUTES = 300.0


class WaitingCases(Conformance):
    async def test_a_waiting_run_is_returned_as_the_event_that_should_have_woken_it(
        self, store: Records, clock: FakeClock
    ) -> None:
        run = new_run(partition=3)
        moved = step(run, status=PAID)
        await store_all(store, run, moved)
        await clock.advance(timedelta(seconds=MINUTES))
        expected = Event(
            run_id=run.run_id,
            topic=status_topic("orders", PAID),
            partition=3,
            version=moved.version,
            status=PAID,
        )
        found = await store.waiting(WaitingQuery(workflow="orders", partition=3, quiet=MINUTES))
        assert found.events == (expected,)

    async def test_a_run_is_returned_once_it_has_been_quiet_for_the_given_time(
        self, store: Records, clock: FakeClock
    ) -> None:
        early, late = new_run(), new_run()
        await store_all(store, early)
        await clock.advance(timedelta(seconds=MINUTES, microseconds=-1))
        await store_all(store, late)
        assert await waiting_runs(store) == []
        await clock.advance(timedelta(microseconds=1))
        assert await waiting_runs(store) == [early.run_id]

    async def test_only_runs_that_await_an_event_are_returned(
        self, store: Records, clock: FakeClock
    ) -> None:
        run, rests, ends = new_run(), new_run(), new_run()
        stays = replace(step(rests), awaits=Awaits.MESSAGE, asks=False)
        await store_all(store, run, rests, stays, ends, step(ends, run_state=RunState.COMPLETED))
        await clock.advance(timedelta(seconds=MINUTES))
        assert await waiting_runs(store) == [run.run_id]

    async def test_a_run_with_an_event_in_the_outbox_is_left_out(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, now, later = (
            await acquire(store),
            new_run(events=[event()]),
            new_run(events=[event(delay=7200)]),
        )
        await store_all(store, now, later)
        await clock.advance(timedelta(seconds=MINUTES))
        assert await waiting_runs(store) == []
        entries = await store.pending(publisher, limit=10, wait=0)
        await store.published(publisher, [entry.id for entry in entries])
        assert await waiting_runs(store) == [now.run_id]

    async def test_only_runs_of_the_workflow_and_partition_are_returned(
        self, store: Records, clock: FakeClock
    ) -> None:
        one = new_run(partition=1)
        await store_all(store, one, new_run(partition=2), new_run(workflow="invoices", partition=1))
        await clock.advance(timedelta(seconds=MINUTES))
        found = await store.waiting(WaitingQuery(workflow="orders", partition=1, quiet=MINUTES))
        assert [item.run_id for item in found.events] == [one.run_id]

    async def test_bounded_queries_reach_the_end_and_return_each_run_once(
        self, store: Records, clock: FakeClock
    ) -> None:
        """Most runs that a query examines have an event in the outbox, and are not returned."""
        lost = {
            run_id
            for at, run_id in enumerate(sorted(new_run_id() for _ in range(24)))
            if at % 5 == 4
        }
        runs = [new_run(run_id=run_id) for run_id in lost] + [
            new_run(events=[event(delay=7200)]) for _ in range(19)
        ]
        await store_all(store, *runs)
        await clock.advance(timedelta(seconds=MINUTES))
        found, after, looks = list[RunId](), None, 0
        while looks == 0 or after is not None:
            look = await store.waiting(
                WaitingQuery(workflow="orders", partition=0, quiet=MINUTES, after=after, limit=4)
            )
            found += [item.run_id for item in look.events]
            after = look.after
            looks += 1
            assert looks <= len(runs)
        assert found == sorted(lost)


async def waiting_runs(store: Records) -> list[RunId]:
    look = await store.waiting(
        WaitingQuery(workflow="orders", partition=0, quiet=MINUTES, limit=100)
    )
    return [item.run_id for item in look.events]
