"""Cases of RecordStore.parked: waits for a change."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import Record, RunState, Version, Write
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Another,
    Conformance,
    begin,
    result_across_processes,
    result_at_timeout,
    result_of,
    settle,
)
from workflow_ray.testing.conformance.flow import (
    ORDERS,
    admitted,
    new_parked,
    parked_at,
    paused,
    resumed,
    store_admitted,
    store_parked,
    summary,
)
from workflow_ray.testing.conformance.posts import callback, end, post
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
)

CHANGES: dict[str, Callable[[Record, Record], Write]] = {
    "parks": lambda _, __: new_parked("a"),
    "parks with another key": lambda _, __: new_parked("z", -1),
    "comes with a slot": lambda run, _: replace(new_run(), parking=run.parking),
    "is admitted": lambda run, _: admitted(run),
    "goes on": lambda _, slot: step(slot),
    "goes on before it was admitted": lambda run, _: step(run),
    "enters its status again": lambda _, slot: parked_at(step(slot, status=CREATED), "a"),
    "is paused": lambda _, slot: paused(slot),
    "is paused before it was admitted": lambda run, _: paused(run),
    "ends": lambda _, slot: end(slot),
    "is cancelled": lambda run, _: end(run, status=CREATED, run_state=RunState.CANCELLED),
}


class ParkingWaitCases(Conformance):
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
    async def test_a_wait_is_woken_when_a_run(
        self, store: RecordStore, clock: FakeClock, change: Callable[[Record, Record], Write]
    ) -> None:
        (run,), (slot,) = await store_parked(store, "a"), await store_admitted(store, "a")
        seen = (await store.parked(ORDERS)).change
        waiting = await begin(clock, store.parked(replace(ORDERS, seen=seen), wait=LONG))
        await store_all(store, change(run, slot))
        found = await result_of(waiting)
        now = await store.parked(ORDERS)
        assert found.change == now.change != seen
        assert (found.keys, found.admitted) == (now.keys, now.admitted)

    async def test_a_wait_is_woken_when_a_run_is_resumed(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        (run,) = await store_parked(store, "a")
        await store_all(store, paused(run))
        seen = (await store.parked(ORDERS)).change
        waiting = await begin(clock, store.parked(replace(ORDERS, seen=seen), wait=LONG))
        await store_all(store, resumed(await stored(store, run.run_id)))
        assert summary(await result_of(waiting)) == [("a", 0, [run.run_id])]

    async def test_a_wait_for_a_page_is_woken_by_changes_beyond_it(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await store_parked(store, "a", count=3)
        page = replace(ORDERS, keys=1, per_key=1)
        seen = (await store.parked(page)).change
        waiting = await begin(clock, store.parked(replace(page, seen=seen), wait=LONG))
        await store_parked(store, "z")
        found = await result_of(waiting)
        assert ([of.key for of in found.keys], found.more) == (["a"], True)

    async def test_a_wait_returns_at_once_what_has_changed_since(self, store: RecordStore) -> None:
        seen = (await store.parked(ORDERS)).change
        (run,) = await store_parked(store, "a")
        found = await store.parked(replace(ORDERS, seen=seen), wait=LONG)
        assert summary(found) == [("a", 0, [run.run_id])]
        assert await store.parked(replace(ORDERS, seen=seen), wait=0) == found

    async def test_a_call_without_a_seen_change_does_not_wait(self, store: RecordStore) -> None:
        found = await store.parked(ORDERS, wait=LONG)
        assert found.keys == ()

    async def test_a_wait_ends_with_its_time(self, store: RecordStore, clock: FakeClock) -> None:
        (run,) = await store_parked(store, "a")
        seen = await store.parked(ORDERS)
        waiting = asyncio.create_task(store.parked(replace(ORDERS, seen=seen.change), wait=5.0))
        found = await result_at_timeout(clock, waiting, seconds=5)
        assert (found.change, summary(found)) == (seen.change, [("a", 0, [run.run_id])])
        assert found.now >= seen.now + timedelta(seconds=5)

    async def test_changes_elsewhere_wake_nobody(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        (run,), plain = await store_parked(store, "a"), await stored_run(store)
        seen = (await store.parked(ORDERS)).change
        waiting = await begin(clock, store.parked(replace(ORDERS, seen=seen), wait=LONG))
        other = new_parked("a", workflow="invoices")
        await store_all(store, new_run(), step(plain, status=CREATED), other)
        await store_all(store, parked_at(step(await stored_run(store), status=PAID)))
        await post(store, callback(run))
        await settle(clock)
        assert not waiting.done()
        await store_all(store, admitted(run))
        assert summary(await result_of(waiting)) == [("a", 1, [])]

    async def test_a_write_that_is_left_out_or_repeated_wakes_nobody(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        (run,) = await store_parked(store, "a")
        write = admitted(run)
        await store_all(store, write)
        seen = (await store.parked(ORDERS)).change
        waiting = await begin(clock, store.parked(replace(ORDERS, seen=seen), wait=LONG))
        await store_all(store, write, admitted(run))
        await settle(clock)
        assert not waiting.done()
        await store_all(store, step(write))
        assert summary(await result_of(waiting)) == []

    async def test_all_who_wait_are_woken(self, store: RecordStore, clock: FakeClock) -> None:
        seen = (await store.parked(ORDERS)).change
        queries = [replace(ORDERS, seen=seen, keys=keys) for keys in (1, 10)]
        waiting = [await begin(clock, store.parked(query, wait=LONG)) for query in queries]
        (run,) = await store_parked(store, "a")
        for each in waiting:
            assert summary(await result_of(each)) == [("a", 0, [run.run_id])]

    async def test_a_wait_is_woken_by_another_process(
        self, store: RecordStore, another: Another, clock: FakeClock
    ) -> None:
        seen = (await store.parked(ORDERS)).change
        waiting = await begin(clock, store.parked(replace(ORDERS, seen=seen), wait=LONG))
        async with another() as other:
            run = new_parked("a")
            await store_all(other, run)
            found = await result_across_processes(clock, waiting)
            assert summary(found) == [("a", 0, [run.run_id])]
            waiting = await begin(
                clock, store.parked(replace(ORDERS, seen=found.change), wait=LONG)
            )
            await store_all(other, admitted(run))
            assert summary(await result_across_processes(clock, waiting)) == [("a", 1, [])]
            assert (await stored(store, run.run_id)).version == Version(2)
