"""Cases of runs under flow control, and of RecordStore.parked: where a run stands."""

from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    MAX_FOREIGN_ID,
    NO_VERSION,
    Awaits,
    MessageOutcome,
    Parked,
    ParkedRun,
    Parking,
    RunQuery,
    RunState,
    Stored,
    Version,
    WaitingQuery,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.flow import (
    ORDERS,
    admitted,
    new_parked,
    parked_at,
    parked_now,
    paused,
    resumed,
    store_admitted,
    store_parked,
)
from workflow_ray.testing.conformance.kin import child, parent_of
from workflow_ray.testing.conformance.posts import (
    awaited,
    callback,
    end,
    fail,
    failure,
    message_of,
    outcome_of,
    post,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
)


class ParkingCases(Conformance):
    # --- what is stored -------------------------------------------------------------------------

    async def test_a_store_without_parked_runs_has_no_keys(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        await stored_run(store)
        found = await store.parked(ORDERS)
        assert found == Parked(now=clock.now(), change=found.change)

    async def test_a_run_is_parked_until_it_is_admitted_and_holds_a_slot_until_it_goes_on(
        self, store: RecordStore
    ) -> None:
        (run,) = await store_parked(store, "tenant-1", 7)
        assert (run.parking, run.parked) == (Parking(key="tenant-1", priority=7), True)
        assert run.awaits is Awaits.PARKED
        (key,) = (await store.parked(ORDERS)).keys
        assert key.parked == (ParkedRun(run_id=run.run_id, priority=7),)
        await store_all(store, admitted(run))
        record = await stored(store, run.run_id)
        assert (record.parking, record.parked) == (run.parking, False)
        assert (record.awaits, record.awaited) == (Awaits.EVENT, 2)
        assert await parked_now(store) == [("tenant-1", 1, [])]
        await store_all(store, step(record))
        gone = await stored(store, run.run_id)
        assert (gone.parking, gone.parked) == (None, False)
        assert await parked_now(store) == []

    async def test_a_run_parks_at_a_later_status(self, store: RecordStore) -> None:
        run = await stored_run(store)
        await store_all(store, parked_at(step(run, status=PAID), "a"))
        assert await parked_now(store) == []
        assert await parked_now(store, status=PAID) == [("a", 0, [run.run_id])]

    async def test_an_attempt_that_is_repeated_keeps_the_slot(self, store: RecordStore) -> None:
        (run,) = await store_admitted(store, "a")
        again = replace(step(run, status=CREATED), visit=run.visit, attempt=1, parking=run.parking)
        await store_all(store, again)
        assert await parked_now(store) == [("a", 1, [])]
        assert (await stored(store, run.run_id)).parking == run.parking

    async def test_a_run_may_enter_a_status_with_a_slot_at_once(self, store: RecordStore) -> None:
        run = replace(new_run(), parking=Parking(key="a"))
        await store_all(store, run)
        assert await parked_now(store) == [("a", 1, [])]

    async def test_a_run_that_enters_its_status_again_may_have_another_key(
        self, store: RecordStore
    ) -> None:
        (run,) = await store_admitted(store, "a")
        await store_all(store, parked_at(step(run, status=CREATED), "b", 3))
        assert await parked_now(store) == [("b", 0, [run.run_id])]

    async def test_of_several_writes_in_one_call_the_last_says_where_the_run_stands(
        self, store: RecordStore
    ) -> None:
        runs = [new_parked("a", 1) for _ in range(4)]
        writes = [admitted(run) for run in runs[1:]]
        gone = step(writes[1])
        back = parked_at(step(writes[2], status=CREATED), "b")
        await store_all(store, *runs, *writes, gone, back)
        assert await parked_now(store) == [
            ("a", 1, [runs[0].run_id]),
            ("b", 0, [runs[3].run_id]),
        ]

    async def test_a_paused_run_is_neither_parked_nor_holds_a_slot_until_it_is_resumed(
        self, store: RecordStore
    ) -> None:
        (waits,), (works,) = await store_parked(store, "a", 5), await store_admitted(store, "a")
        await store_all(store, paused(waits), paused(works))
        assert await parked_now(store) == []
        stopped = [await stored(store, run.run_id) for run in (waits, works)]
        assert [(record.parking, record.parked) for record in stopped] == [
            (Parking(key="a", priority=5), True),
            (Parking(key="a"), False),
        ]
        await store_all(store, *(resumed(record) for record in stopped))
        assert await parked_now(store) == [("a", 1, [waits.run_id])]

    @pytest.mark.parametrize("run_state", [RunState.CANCELLED, RunState.COMPLETED])
    async def test_a_finished_run_is_neither_parked_nor_holds_a_slot(
        self, store: RecordStore, run_state: RunState
    ) -> None:
        (waits,), (works,) = await store_parked(store, "a"), await store_admitted(store, "b")
        (stopped,) = await store_parked(store, "c")
        await store_all(store, paused(stopped))
        stopped = await stored(store, stopped.run_id)
        ends = [end(run, status=CREATED, run_state=run_state) for run in (waits, works, stopped)]
        await store_all(store, *ends)
        assert await parked_now(store) == []
        assert (await stored(store, stopped.run_id)).parking is None

    async def test_a_child_may_park(self, store: RecordStore) -> None:
        started = child()
        started = replace(started, write=parked_at(started.write, "a"))
        await parent_of(store, started)
        assert await parked_now(store, workflow="invoices") == [("a", 0, [started.write.run_id])]
        assert await parked_now(store) == []

    async def test_parked_runs_are_found_as_all_others(self, store: RecordStore) -> None:
        (run,) = await store_parked(store, "a", labels={"region": "eu"})
        every: list[dict[str, Any]] = [
            {"statuses": (CREATED,)},
            {"run_states": (RunState.INITIATED,)},
            {"labels": {"region": "eu"}},
            {"foreign_id": run.foreign_id},
        ]
        for filters in every:
            assert await store.runs(RunQuery(workflow="orders", **filters)) == [run]
        assert await store.latest("orders", [run.foreign_id]) == [run]
        assert await store.watch({run.run_id: NO_VERSION}, wait=0) == [run]

    async def test_no_event_is_missed_for_a_parked_run(self, store: RecordStore) -> None:
        (waits,), (works,) = await store_parked(store), await store_admitted(store)
        found = await store.waiting(WaitingQuery(workflow="orders", partition=0, quiet=0))
        assert waits.run_id not in [event.run_id for event in found.events]
        assert (await stored(store, works.run_id)).awaits is Awaits.EVENT

    async def test_a_flow_control_key_that_not_every_store_can_keep_is_refused(
        self, store: RecordStore
    ) -> None:
        for key in ("x" * (MAX_FOREIGN_ID + 1), "a\0b", "\ud800"):
            with pytest.raises(WriteRejected):
                await store_all(store, new_parked(key))

    # --- messages -------------------------------------------------------------------------------

    async def test_a_parked_run_that_gets_a_message_awaits_an_event_and_stays_parked(
        self, store: RecordStore
    ) -> None:
        (run,) = await store_parked(store, "a")
        await post(store, callback(run))
        assert await awaited(store, run) == (Awaits.EVENT, NO_VERSION)
        assert (await stored(store, run.run_id)).parked
        assert await parked_now(store) == [("a", 0, [run.run_id])]

    async def test_a_run_that_parks_with_an_accepted_message_awaits_an_event(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        await post(store, callback(run, statuses=(PAID,), kept_at=None))
        await store_all(store, parked_at(step(run, status=PAID)))
        assert (await stored(store, run.run_id)).awaits is Awaits.EVENT
        assert await parked_now(store, status=PAID) == [("", 0, [run.run_id])]

    @pytest.mark.parametrize("asked", [False, True], ids=["", "with a version that is awaited"])
    async def test_a_parked_run_whose_message_fails_for_good_is_held_back_again(
        self, store: RecordStore, asked: bool
    ) -> None:
        run = new_parked("a")
        await store_all(store, replace(run, awaited=Version(1)) if asked else run)
        first, second = callback(run, "m-1"), callback(run, "m-2")
        await post(store, first, second)
        await fail(store, failure(await message_of(store, first.key)))
        assert (await stored(store, run.run_id)).awaits is Awaits.EVENT
        await fail(store, failure(await message_of(store, second.key)))
        record = await stored(store, run.run_id)
        assert (record.awaits, record.parked) == (Awaits.PARKED, True)
        assert await outcome_of(store, second.key) == (MessageOutcome.FAILED, Version(1))
        assert await parked_now(store) == [("a", 0, [run.run_id])]
        assert await store_all(store, admitted(run)) == [Stored(run.run_id, Version(2))]
