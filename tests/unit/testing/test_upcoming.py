"""What is due later, as the test kit lists it."""

from datetime import timedelta

from workflow_ray.records import Removal, WriteGroup
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.posts import end
from workflow_ray.testing.conformance.runs import event, new_run, store_all
from workflow_ray.testing.upcoming import Upcoming
from workflow_ray_adapters.memory import MemoryStore


async def test_events_of_removed_runs_are_left_out() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    run = new_run(events=[event(delay=60.0)])
    await store_all(store, run, end(run))
    await store.store([WriteGroup(removals=(Removal(workflow="orders", runs=(run.run_id,)),))])
    assert len(store.delayed()) == 1
    assert Upcoming(store, {}).listed(clock.now() + timedelta(seconds=1)) == []
