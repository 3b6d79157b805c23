"""Cases of a RecordStore: positions, what runs await, and answers of bounded size."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.ports import Records
from workflow_ray.records import Awaits, Fence, Position, RoleName, RunState
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import (
    LONG,
    Conformance,
    begin,
    result_at_timeout,
    result_of,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    PAID_CONSUMERS,
    QUARTER,
    acquire,
    deploy,
    event,
    events_of,
    group,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    workflow,
)

OTHER = Fence(RoleName("orders-1-consumer-1-of-1"), 7)
READ = Position(
    CONSUMERS, 0, 10, begun=15, trying=(10, 12), log="a log", incarnation=1, in_use=OTHER
)


class ProgressCases(Conformance):
    # --- positions ------------------------------------------------------------------------------

    async def test_positions_are_stored_although_writes_conflict(self, store: Records) -> None:
        stale = step(step(await stored_run(store)))
        await store.store([group(stale, positions=[Position(CONSUMERS, 2, 7)])])
        assert await store.positions(CONSUMERS) == [Position(CONSUMERS, 2, 7)]

    async def test_each_group_has_positions_of_its_own_sorted_by_partition(
        self, store: Records
    ) -> None:
        mine = [Position(CONSUMERS, partition, 10 + partition) for partition in (3, 0, 2)]
        await store.store(
            [group(positions=mine), group(positions=[Position(PAID_CONSUMERS, 1, 5)])]
        )
        assert await store.positions(CONSUMERS) == sorted(
            mine, key=lambda position: position.partition
        )
        assert await store.positions(PAID_CONSUMERS) == [Position(PAID_CONSUMERS, 1, 5)]
        assert await store.positions("nobody") == []

    async def test_a_position_never_goes_back(self, store: Records) -> None:
        for offsets in ([5, 3], [4], [9, 7, 8]):
            await store.store(
                [group(positions=[Position(CONSUMERS, 0, offset)]) for offset in offsets]
            )
        await store.store([group(positions=[Position(CONSUMERS, 0, 2), Position(CONSUMERS, 0, 1)])])
        assert await store.positions(CONSUMERS) == [Position(CONSUMERS, 0, 9)]

    async def test_a_position_is_kept_as_it_was_written(self, store: Records) -> None:
        await store.store([group(positions=[READ])])
        assert await store.positions(CONSUMERS) == [READ]

    async def test_positions_of_one_incarnation_keep_the_further_offsets_and_the_last_other_fields(
        self, store: Records
    ) -> None:
        later = Position(CONSUMERS, 0, 12, begun=13, log="a log", incarnation=1)
        await store.store([group(positions=[READ])])
        await store.store([group(positions=[later])])
        assert await store.positions(CONSUMERS) == [replace(later, begun=15)]

    @pytest.mark.parametrize("other", [{"log": "another", "incarnation": 0}, {"incarnation": 2}])
    async def test_another_log_or_a_later_incarnation_replaces_all_of_a_position(
        self, store: Records, other: dict[str, object]
    ) -> None:
        again = replace(READ, offset=3, begun=4, trying=(), in_use=None, **other)
        await store.store([group(positions=[READ])])
        await store.store([group(positions=[again])])
        assert await store.positions(CONSUMERS) == [again]

    async def test_an_earlier_incarnation_changes_nothing(self, store: Records) -> None:
        await store.store([group(positions=[READ])])
        await store.store(
            [group(positions=[replace(READ, offset=99, begun=99, incarnation=0, in_use=None)])]
        )
        assert await store.positions(CONSUMERS) == [READ]

    async def test_positions_of_one_call_replace_each_other_in_order(self, store: Records) -> None:
        first = replace(READ, offset=20, begun=25)
        between = replace(READ, log="another", offset=1, begun=2)
        await store.store([group(positions=[first])])
        await store.store([group(positions=[replace(first, offset=30, begun=35), between, READ])])
        assert await store.positions(CONSUMERS) == [READ]

    # --- what a run waits for -------------------------------------------------------------------

    async def test_a_record_keeps_what_it_awaits_and_the_version_that_asked_for_the_step(
        self, store: Records
    ) -> None:
        run = new_run()
        moved = step(run)
        keeps = replace(step(moved), asks=False, awaited=moved.version)
        stays = replace(step(keeps), awaits=Awaits.MESSAGE, asks=False)
        ends = step(stays, run_state=RunState.COMPLETED)
        for write, expected in (
            (run, (Awaits.EVENT, 1)),
            (moved, (Awaits.EVENT, 2)),
            (keeps, (Awaits.EVENT, 2)),
            (stays, (Awaits.MESSAGE, 0)),
            (ends, (Awaits.NOBODY, 0)),
        ):
            await store_all(store, write)
            record = await stored(store, run.run_id)
            assert (record.awaits, record.awaited) == expected

    # --- the outbox -----------------------------------------------------------------------------

    async def test_due_delayed_entries_and_immediate_ones_share_an_answer(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher = await acquire(store)
        late = [new_run(events=[event(delay=10)]) for _ in range(20)]
        await store_all(store, *late)
        await clock.advance(timedelta(seconds=10))
        prompt = [new_run(events=[event()]) for _ in range(20)]
        await store_all(store, *prompt)
        found = {
            item.run_id for item in events_of(await store.pending(publisher, limit=10, wait=0))
        }
        assert found & {run.run_id for run in late}
        assert found & {run.run_id for run in prompt}

    # --- bounds ---------------------------------------------------------------------------------

    async def test_a_lookup_may_return_a_prefix_and_the_next_one_returns_the_rest(
        self, store: Records
    ) -> None:
        runs = [new_run(data=QUARTER) for _ in range(12)]
        for run in runs:
            await store_all(store, run)
        asked, found = [run.run_id for run in runs], list[str]()
        while rest := asked[len(found) :]:
            records = await store.lookup(rest)
            assert records, "one record at least is answered"
            assert len(records) <= 5, "the record that crosses the bound is the last"
            found += [record.run_id for record in records if record]
        assert found == asked

    # --- the deployment -------------------------------------------------------------------------

    async def test_a_wait_for_a_newer_deployment_ends_when_it_is_deployed(
        self, store: Records, clock: FakeClock
    ) -> None:
        first = await deploy(store, workflow())
        assert await store.deployment(newer_than=0, wait=LONG) == first
        waiting = await begin(clock, store.deployment(newer_than=first.version, wait=LONG))
        second = await deploy(
            store,
            replace(
                workflow(),
                scaled={CONSUMERS: 2},
                draining=(CONSUMERS,),
                superseded=("a",),
                paused=("restock",),
            ),
        )
        assert await result_of(waiting) == second
        waiting = await begin(clock, store.deployment(newer_than=second.version, wait=5))
        assert await result_at_timeout(clock, waiting, seconds=5) == second
