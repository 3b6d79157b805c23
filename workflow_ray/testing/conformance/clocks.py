"""Cases of a clock that jumps: the time of day is set forward or back, while no time passes.

A jump delays events by at most its own length, and does not change the length of waits.
"""

from datetime import timedelta

import pytest

from workflow_ray.ports import Records, TimeoutStore
from workflow_ray.records import Role, Shared, WaitingQuery
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    begin,
    result_at_timeout,
    result_within,
    settle,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    acquire,
    deploy,
    event,
    events_of,
    new_run,
    store_all,
    workflow,
)
from workflow_ray.testing.conformance.timeouts import ALL, at

JUMP = 120.0
DELAY, LEASE, QUIET = 20.0, 30.0, 300.0
WAYS = pytest.mark.parametrize("way", [JUMP, -JUMP], ids=["forward", "back"])


class ClockCases(Conformance):
    """For a RecordStore and RoleScheduler."""

    @WAYS
    async def test_a_delayed_event_is_late_by_at_most_the_jump(
        self, store: Records, clock: FakeClock, way: float
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event(delay=DELAY)])
        await store_all(store, run)
        pending = await begin(clock, store.pending(fence, limit=10, wait=LONG))
        jump(clock, way)
        assert [
            item.run_id
            for item in events_of(await result_within(clock, pending, seconds=DELAY + JUMP))
        ] == [run.run_id]

    async def test_an_event_written_while_the_clock_is_ahead_is_late_by_at_most_the_jump(
        self, store: Records, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event(delay=DELAY)])
        pending = await begin(clock, store.pending(fence, limit=10, wait=LONG))
        jump(clock, JUMP)
        await store_all(store, run)
        await settle(clock)
        jump(clock, -JUMP)
        assert [
            item.run_id
            for item in events_of(await result_within(clock, pending, seconds=DELAY + JUMP))
        ] == [run.run_id]

    async def test_an_event_written_once_the_clock_is_right_again_is_not_late(
        self, store: Records, clock: FakeClock
    ) -> None:
        fence, run = await acquire(store), new_run(events=[event(delay=DELAY)])
        pending = await begin(clock, store.pending(fence, limit=10, wait=LONG))
        jump(clock, JUMP)
        await store_all(store, new_run())
        jump(clock, -JUMP)
        await store_all(store, run)
        assert [
            item.run_id for item in events_of(await result_within(clock, pending, seconds=DELAY))
        ] == [run.run_id]

    @WAYS
    async def test_a_wait_keeps_its_length(
        self, store: Records, clock: FakeClock, way: float
    ) -> None:
        pending = await begin(clock, store.pending(await acquire(store), limit=10, wait=5))
        jump(clock, way)
        assert await result_at_timeout(clock, pending, seconds=5) == []

    @WAYS
    async def test_a_live_worker_keeps_its_roles(
        self, store: Records, clock: FakeClock, way: float
    ) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 1}))
        held = (await store.share("live", [Role(CONSUMERS)], [], lease=LEASE)).acquired
        for by in (way, -way):
            jump(clock, by)
            assert await store.share("live", [Role(CONSUMERS)], held, lease=LEASE) == Shared()
            assert (await store.share("other", [Role(CONSUMERS)], [], lease=LEASE)).acquired == ()

    async def test_the_lease_of_a_dead_worker_is_longer_by_at_most_the_jump(
        self, store: Records, clock: FakeClock
    ) -> None:
        await deploy(store, workflow(groups={CONSUMERS: 1}))
        jump(clock, JUMP)
        await store.share("dead", [Role(CONSUMERS)], [], lease=LEASE)
        jump(clock, -JUMP)
        await clock.advance(timedelta(seconds=LEASE + JUMP))
        assert len((await store.share("other", [Role(CONSUMERS)], [], lease=LEASE)).acquired) == 1

    async def test_a_run_counts_as_quiet_late_by_at_most_the_jump(
        self, store: Records, clock: FakeClock
    ) -> None:
        jump(clock, JUMP)
        run = new_run()
        await store_all(store, run)
        jump(clock, -JUMP)
        await clock.advance(timedelta(seconds=QUIET + JUMP))
        look = await store.waiting(WaitingQuery(workflow="orders", partition=0, quiet=QUIET))
        assert [item.run_id for item in look.events] == [run.run_id]


class TimeoutClockCases(Conformance):
    """For a TimeoutStore."""

    @WAYS
    async def test_a_timeout_is_late_by_at_most_the_jump(
        self, store: TimeoutStore, clock: FakeClock, way: float
    ) -> None:
        timeout = at(DELAY)
        await store.create([timeout])
        waiting = await begin(clock, store.due("orders", CREATED, ALL, limit=10, wait=LONG))
        jump(clock, way)
        assert await result_within(clock, waiting, seconds=DELAY + JUMP) == [timeout]

    async def test_a_completed_timeout_is_forgotten_late_by_at_most_the_jump(
        self, store: TimeoutStore, clock: FakeClock
    ) -> None:
        timeout = at(-1)
        await store.create([timeout])
        jump(clock, JUMP)
        await store.complete([timeout.key])
        jump(clock, -JUMP)
        assert await store.trim_timeouts(completed=QUIET, limit=10) == 0
        await clock.advance(timedelta(seconds=QUIET + JUMP))
        assert await store.trim_timeouts(completed=QUIET, limit=10) == 1


def jump(clock: FakeClock, seconds: float) -> None:
    clock.jump_time_of_day(clock.now() + timedelta(seconds=seconds))
