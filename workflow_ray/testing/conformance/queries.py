"""Cases of a RecordStore's reads: records, pages, counts, histories and watches."""

import asyncio

import pytest

from workflow_ray.ports import RecordStore
from workflow_ray.records import RunCount, RunState, Version, new_run_id
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    begin,
    result_at_timeout,
    result_of,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    QUARTER,
    SHIPPED,
    heavy_runs,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    stored_runs,
    versions,
)


class QueryCases(Conformance):
    # --- single runs ----------------------------------------------------------------------------

    @pytest.mark.parametrize("fresh", [False, True])
    async def test_a_lookup_returns_records_in_the_order_of_its_arguments(
        self, store: RecordStore, fresh: bool
    ) -> None:
        one, two, three = await stored_runs(store, count=3)
        run_ids = [three.run_id, new_run_id(), one.run_id, two.run_id, one.run_id]
        assert await store.lookup(run_ids, fresh=fresh) == [three, None, one, two, one]
        assert await store.lookup([], fresh=fresh) == []

    async def test_a_lookup_may_name_thousands_of_runs(self, store: RecordStore) -> None:
        runs = [new_run() for _ in range(2000)]
        await store_all(store, *runs)
        found = await store.lookup([run.run_id for run in runs])
        assert [record and record.run_id for record in found] == [run.run_id for run in runs]

    async def test_latest_is_the_newest_run_whether_finished_or_not(
        self, store: RecordStore
    ) -> None:
        first, second = new_run("order-42"), new_run("order-42")
        other = new_run("order-43")
        await store_all(store, first, step(first, run_state=RunState.COMPLETED), second)
        await store_all(
            store,
            step(second, run_state=RunState.CANCELLED),
            other,
            new_run("order-42", workflow="invoices"),
        )
        found = await store.latest("orders", ["order-43", "unknown", "order-42"])
        assert found == [
            await stored(store, other.run_id),
            None,
            await stored(store, second.run_id),
        ]

    async def test_history_is_ascending_and_read_in_pages(self, store: RecordStore) -> None:
        write = new_run()
        writes = [write, *(write := step(write) for _ in range(9))]
        await store_all(store, *writes)
        run_id = write.run_id
        assert [entry.write_id for entry in await store.history(run_id)] == [
            write.write_id for write in writes
        ]
        pages = [
            await store.history(run_id, after=Version(after), limit=4) for after in (0, 4, 8, 10)
        ]
        assert [[entry.version for entry in page] for page in pages] == [
            [1, 2, 3, 4],
            [5, 6, 7, 8],
            [9, 10],
            [],
        ]

    async def test_a_page_of_history_ends_with_the_entry_whose_data_exceeds_the_bound(
        self, store: RecordStore
    ) -> None:
        write = new_run(data=QUARTER)
        await store_all(store, write)
        for at in range(10):
            write = step(write, data=QUARTER if at % 2 else None)
            await store_all(store, write)
        pages = [await store.history(write.run_id, after=Version(after)) for after in (0, 9, 11)]
        assert [[entry.version for entry in page] for page in pages] == [
            [1, 2, 3, 4, 5, 6, 7, 8, 9],
            [10, 11],
            [],
        ]
        assert [
            entry.version for entry in await store.history(write.run_id, after=Version(1), limit=7)
        ] == [2, 3, 4, 5, 6, 7, 8]

    async def test_an_unknown_run_has_no_history(self, store: RecordStore) -> None:
        assert await store.history(new_run_id()) == []

    # --- counts ---------------------------------------------------------------------------------

    async def test_counts_are_by_current_status_and_run_state(self, store: RecordStore) -> None:
        one, two, three, _ = await stored_runs(store, count=4)
        await store_all(
            store,
            new_run(workflow="invoices"),
            step(one),
            step(two),
            step(three, run_state=RunState.PAUSED),
        )
        await store_all(
            store,
            step(await stored(store, two.run_id), status=SHIPPED, run_state=RunState.COMPLETED),
        )
        assert await store.counts("orders") == [
            RunCount(CREATED, RunState.INITIATED, 1),
            RunCount(PAID, RunState.RUNNING, 1),
            RunCount(PAID, RunState.PAUSED, 1),
            RunCount(SHIPPED, RunState.COMPLETED, 1),
        ]

    # --- watching -------------------------------------------------------------------------------

    async def test_a_watch_returns_newer_versions_at_once(self, store: RecordStore) -> None:
        one, two, three = await stored_runs(store, count=3)
        await store_all(store, step(one), step(three))
        changed = [await stored(store, record.run_id) for record in (one, three)]
        seen = {record.run_id: record.version for record in (three, two, one)}
        assert await store.watch(seen, wait=LONG) == sorted(
            changed, key=lambda record: record.run_id
        )

    async def test_a_waiting_watch_is_woken_by_a_write(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        one, two = await stored_runs(store, count=2)
        watch = await begin(
            clock, store.watch({one.run_id: one.version, two.run_id: two.version}, wait=LONG)
        )
        await store_all(store, step(two))
        assert await result_of(watch) == [await stored(store, two.run_id)]

    async def test_a_watch_notices_a_new_run(self, store: RecordStore, clock: FakeClock) -> None:
        run = new_run()
        watch = await begin(clock, store.watch({run.run_id: Version(0)}, wait=LONG))
        await store_all(store, run)
        assert await result_of(watch) == [await stored(store, run.run_id)]

    async def test_a_watch_ends_after_its_wait(self, store: RecordStore, clock: FakeClock) -> None:
        record, other = await stored_runs(store, count=2)
        watch = await begin(clock, store.watch({record.run_id: record.version}, wait=5))
        await store_all(store, step(other))
        assert await result_at_timeout(clock, watch, seconds=5) == []

    async def test_a_watch_for_runs_at_rest_ignores_other_runs(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        one, two = await stored_runs(store, count=2)
        seen = {one.run_id: one.version, two.run_id: two.version}
        await store_all(store, step(one))
        assert await store.watch(seen, wait=0, at_rest=True) == []
        watch = await begin(clock, store.watch(seen, wait=LONG, at_rest=True))
        await store_all(store, step(await stored(store, one.run_id)))
        await store_all(store, step(two, run_state=RunState.PAUSED))
        assert await result_of(watch) == [await stored(store, two.run_id)]
        await store_all(store, step(await stored(store, one.run_id), run_state=RunState.COMPLETED))
        assert await store.watch(seen, wait=LONG, at_rest=True) == [
            await stored(store, run_id) for run_id in sorted(seen)
        ]

    async def test_a_watch_returns_at_most_a_page_of_runs(self, store: RecordStore) -> None:
        runs = await heavy_runs(store)
        seen = dict.fromkeys(runs, Version(0))
        first = await store.watch(seen, wait=LONG)
        assert [record.run_id for record in first] == sorted(runs)[:5]
        rest = await store.watch(
            seen | {record.run_id: record.version for record in first}, wait=LONG
        )
        assert [record.run_id for record in rest] == sorted(runs)[5:]

    async def test_a_write_wakes_every_watch_of_its_run(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        record = await stored_run(store)
        watches = [
            await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
            for _ in range(10)
        ]
        await store_all(store, step(record))
        assert (
            await asyncio.gather(*map(result_of, watches))
            == [[await stored(store, record.run_id)]] * 10
        )

    async def test_a_cancelled_watch_does_not_affect_others(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        record = await stored_run(store)
        watch = await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
        watch.cancel()
        await asyncio.wait([watch])
        await store_all(store, step(record))
        assert await versions(store, record.run_id) == [1, 2]
