"""Cases of RecordStore.activity: the holders of roles, and delayed events."""

from datetime import timedelta

from workflow_ray.ports import Records
from workflow_ray.records import Activity, Fence, Role, RoleHolder, Version, new_run_id
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    acquire,
    deploy,
    event,
    new_run,
    step,
    store_all,
    workflow,
)

LEASE = 30.0
"""In seconds."""


class ActivityCases(Conformance):
    async def test_a_new_store_has_no_role_holders_and_no_delayed_events(
        self, store: Records, clock: FakeClock
    ) -> None:
        assert await store.activity() == Activity(now=clock.now())

    async def test_the_holder_of_a_role_is_known_until_its_lease_ends(
        self, store: Records, clock: FakeClock
    ) -> None:
        roles = [Role(CONSUMERS, shard, 2) for shard in (1, 2)]
        await deploy(store, workflow(groups={CONSUMERS: 2}, partitions=2))
        shared = await store.share("worker", roles, [], lease=LEASE)
        until = clock.now() + timedelta(seconds=LEASE)
        held = tuple(
            RoleHolder(role=fence.role, epoch=fence.epoch, worker="worker", until=until)
            for fence in sorted(shared.acquired, key=lambda fence: fence.role)
        )
        assert (await store.activity()).holders == held
        await store.release(Fence(held[0].role, held[0].epoch))
        assert (await store.activity()).holders == held[1:]
        await clock.advance(timedelta(seconds=LEASE))
        assert (await store.activity()).holders == ()

    async def test_a_role_that_is_acquired_without_a_lease_has_no_holder(
        self, store: Records
    ) -> None:
        await acquire(store)
        assert (await store.activity()).holders == ()

    async def test_delayed_events_are_sorted_by_due_time(
        self, store: Records, clock: FakeClock
    ) -> None:
        delays = (60, 10, 3600, 20)
        runs = [new_run(events=[event(delay=delay)]) for delay in delays]
        await store_all(store, *runs, new_run(events=[event()]))
        by_delay = [run.run_id for _, run in sorted(zip(delays, runs, strict=True))]
        found = (await store.activity()).delayed
        assert [entry.event and entry.event.run_id for entry in found] == by_delay
        assert found[0].due_at == clock.now() + timedelta(seconds=10)

    async def test_at_most_the_limit_of_delayed_events_is_read(self, store: Records) -> None:
        runs = [new_run(events=[event(delay=delay)]) for delay in (30, 20, 10)]
        await store_all(store, *runs)
        found = (await store.activity(limit=2)).delayed
        expected = [runs[2].run_id, runs[1].run_id]
        assert [entry.event and entry.event.run_id for entry in found] == expected

    async def test_the_delayed_events_that_ask_for_steps_are_read(
        self, store: Records, clock: FakeClock
    ) -> None:
        runs = [new_run(events=[event(delay=delay)]) for delay in (30, 20, 10)]
        await store_all(store, *runs, *[new_run(events=[event(delay=5)]) for _ in range(3)])
        first, second, due = [run.run_id for run in runs]
        await store_all(store, step(runs[1], events=[event(delay=40)]))
        await clock.advance(timedelta(seconds=10))
        steps = {first: Version(1), second: Version(2), due: Version(1), new_run_id(): Version(1)}
        found = (await store.activity(steps=steps)).delayed
        asked = [(entry.event.run_id, entry.event.version) for entry in found if entry.event]
        assert asked == [(first, Version(1)), (second, Version(2))]
        limited = (await store.activity(limit=1, steps=steps)).delayed
        assert limited == found[:1]
        assert (await store.activity(steps={})).delayed == ()

    async def test_an_event_that_is_due_is_not_delayed_any_more(
        self, store: Records, clock: FakeClock
    ) -> None:
        await store_all(store, new_run(events=[event(delay=10)]), new_run(events=[event(delay=20)]))
        await clock.advance(timedelta(seconds=10))
        assert len((await store.activity()).delayed) == 1
