"""Cases of RecordStore.idle: runs that nothing will wake."""

from datetime import timedelta

from workflow_ray.ports import Records
from workflow_ray.records import Event, RunId, RunState, new_run_id, status_topic
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import CREATED, CREATED_TOPIC, PAID, SHIPPED, event, new_run, step, store_all, take

MINUTES = 300.0


class IdleCases(Conformance):
    async def test_an_idle_run_is_told_as_the_event_that_should_have_woken_it(self, store: Records, clock: FakeClock) -> None:
        run = new_run(partition=3)
        moved = step(run, status=PAID)
        await store_all(store, run, moved)
        await clock.advance(timedelta(seconds=MINUTES))
        expected = Event(run_id=run.run_id, topic=status_topic("orders", PAID), partition=3, version=moved.version, status=PAID)
        assert await store.idle("orders", [PAID], seconds=MINUTES, limit=10) == [expected]

    async def test_a_run_is_idle_once_it_was_left_alone_for_as_long_as_asked(self, store: Records, clock: FakeClock) -> None:
        early, late = new_run(), new_run()
        await store_all(store, early)
        await clock.advance(timedelta(seconds=MINUTES, microseconds=-1))
        await store_all(store, late)
        assert await idle_runs(store) == []
        await clock.advance(timedelta(microseconds=1))
        assert await idle_runs(store) == [early.run_id]
        await store_all(store, step(early, status=CREATED))
        assert await idle_runs(store) == []

    async def test_only_a_run_that_could_proceed_is_idle(self, store: Records, clock: FakeClock) -> None:
        runs = {state: new_run() for state in RunState}
        for state, run in runs.items():
            await store_all(store, run, step(run, status=CREATED, run_state=state))
        await clock.advance(timedelta(seconds=MINUTES))
        assert set(await idle_runs(store)) == {runs[RunState.INITIATED].run_id, runs[RunState.RUNNING].run_id}

    async def test_a_run_that_an_entry_of_the_outbox_will_wake_is_not_idle(self, store: Records, clock: FakeClock) -> None:
        publisher, now, later = await take(store), new_run(events=[event()]), new_run(events=[event(delay=7200)])
        await store_all(store, now, later)
        await clock.advance(timedelta(seconds=MINUTES))
        assert await idle_runs(store) == []
        entries = await store.pending(publisher, limit=10, wait=0)
        await store.published(publisher, [entry.id for entry in entries])
        assert await idle_runs(store) == [now.run_id]

    async def test_only_the_workflow_and_statuses_named_are_looked_at(self, store: Records, clock: FakeClock) -> None:
        created, paid, shipped = (new_run(status=status) for status in (CREATED, PAID, SHIPPED))
        await store_all(store, created, paid, shipped, new_run(workflow="invoices"))
        await clock.advance(timedelta(seconds=MINUTES))
        found = await store.idle("orders", [CREATED, SHIPPED], seconds=MINUTES, limit=10)
        assert [(item.run_id, item.topic) for item in found] == [
            (created.run_id, CREATED_TOPIC),
            (shipped.run_id, status_topic("orders", SHIPPED)),
        ]
        assert await store.idle("orders", [], seconds=MINUTES, limit=10) == []

    async def test_idle_runs_come_by_run_id_in_pages(self, store: Records, clock: FakeClock) -> None:
        runs = [new_run(run_id=run_id) for run_id in sorted(new_run_id() for _ in range(10))]
        await store_all(store, *reversed(runs))
        await clock.advance(timedelta(seconds=MINUTES))
        pages, after = list[list[RunId]](), None
        while page := await idle_runs(store, limit=4, after=after):
            pages.append(page)
            after = page[-1]
        assert [len(page) for page in pages] == [4, 4, 2]
        assert [run_id for page in pages for run_id in page] == [run.run_id for run in runs]


async def idle_runs(store: Records, *, limit: int = 100, after: RunId | None = None) -> list[RunId]:
    return [item.run_id for item in await store.idle("orders", [CREATED], seconds=MINUTES, limit=limit, after=after)]
