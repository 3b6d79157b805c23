"""Cases of RecordStore.store: versions, conflicts, repeats, fences and positions."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import Records
from workflow_ray.records import (
    MAX_DATA,
    MAX_FOREIGN_ID,
    NO_VERSION,
    Cause,
    Committed,
    Conflict,
    Fence,
    Fenced,
    Position,
    RoleName,
    RunState,
    Stored,
    Version,
    Write,
    new_run_id,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    PAID,
    PAID_CONSUMERS,
    SHIPPED,
    acquire,
    event,
    group,
    last_entry,
    new_run,
    results,
    step,
    store_all,
    stored,
    stored_run,
    stored_runs,
    versions,
)

WRITERS = 50

DATA = {
    "empty": b"",
    "empty object": b"{}",
    "empty text": b'""',
    "1 MiB": b'"' + b"x" * 1024 * 1024 + b'"',
    "not ASCII": '{"название": "naïve 🦄"}'.encode(),
    "with NUL": b'"a\x00b"\x00',
}

FLAWED: dict[str, Callable[[], Write]] = {
    "a long foreign id": lambda: new_run("x" * (MAX_FOREIGN_ID + 1)),
    "NUL in a foreign id": lambda: new_run("order\0"),
    "half a surrogate pair in a foreign id": lambda: new_run("order-\ud83e"),
    "a long key": lambda: new_run(key="x" * (MAX_FOREIGN_ID + 1)),
    "NUL in a key": lambda: new_run(key="\0order"),
    "half a surrogate pair in a key": lambda: new_run(key="order-\udd84"),
    "no data": lambda: replace(new_run(), data=None),
    "too much data": lambda: new_run(data=b"x" * (MAX_DATA + 1)),
}


class WriteCases(Conformance):
    async def test_a_write_makes_the_next_version(self, store: Records) -> None:
        before = await stored_run(store)
        write = step(before, status=PAID, data=b'{"paid":true}')
        assert await store_all(store, write) == [Stored(before.run_id, Version(2))]
        after = await stored(store, before.run_id)
        assert (after.version, after.visit, after.status, after.run_state) == (
            2,
            2,
            PAID,
            RunState.RUNNING,
        )
        assert (after.workflow, after.foreign_id, after.partition) == (
            before.workflow,
            before.foreign_id,
            before.partition,
        )
        assert after.data == b'{"paid":true}'

    async def test_the_history_keeps_what_the_write_said(self, store: Records) -> None:
        before = await stored_run(store)
        failure = Write(
            run_id=before.run_id,
            write_id=step(before).write_id,
            expected=before.version,
            status=before.status,
            run_state=RunState.RUNNING,
            visit=before.visit,
            cause=Cause.RETRY,
            by="orders-1-consumer-1-of-1",
            attempt=3,
            reason="ValueError: the card's issuer said 'naïve' 🦄",
        )
        await store_all(store, failure)
        record, entry = await stored(store, before.run_id), await last_entry(store, before.run_id)
        assert (record.attempt, record.cause, record.reason, record.visit) == (
            3,
            Cause.RETRY,
            failure.reason,
            1,
        )
        assert (entry.cause, entry.by, entry.reason, entry.write_id) == (
            Cause.RETRY,
            failure.by,
            failure.reason,
            failure.write_id,
        )

    async def test_a_write_without_data_leaves_it_as_it_was(self, store: Records) -> None:
        run = new_run(data=b'{"total":40}')
        await store_all(store, run, step(run, data=None))
        assert (await stored(store, run.run_id)).data == b'{"total":40}'
        assert [entry.data for entry in await store.history(run.run_id)] == [b'{"total":40}', None]

    @pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
    async def test_data_comes_back_as_it_was_given(self, store: Records, data: bytes) -> None:
        run = new_run(data=data)
        await store_all(store, run)
        assert (await stored(store, run.run_id)).data == data
        assert (await last_entry(store, run.run_id)).data == data

    async def test_a_call_may_bring_thousands_of_writes(self, store: Records) -> None:
        runs = [new_run(partition=at % 4, events=[event(at % 4)]) for at in range(2000)]
        assert await store_all(store, *runs) == [Stored(run.run_id, Version(1)) for run in runs]
        assert await store_all(store, *map(step, runs)) == [
            Stored(run.run_id, Version(2)) for run in runs
        ]
        assert [(count.status, count.runs) for count in await store.counts("orders")] == [
            (PAID, 2000)
        ]

    # --- conflicts ------------------------------------------------------------------------------

    async def test_of_many_writers_one_wins_each_version(self, store: Records) -> None:
        record = await stored_run(store)
        for _ in range(4):
            answers = await asyncio.gather(
                *(store_all(store, step(record)) for _ in range(WRITERS))
            )
            after = await stored(store, record.run_id)
            won, lost = Stored(record.run_id, after.version), Conflict(record.run_id, after.version)
            assert after.version == record.version + 1
            assert [answer for (answer,) in answers].count(won) == 1
            assert [answer for (answer,) in answers].count(lost) == WRITERS - 1
            record = after
        assert await versions(store, record.run_id) == [1, 2, 3, 4, 5]

    async def test_a_stale_write_conflicts_and_the_others_commit(self, store: Records) -> None:
        stale, fresh = await stored_runs(store, count=2)
        await store_all(store, step(stale))
        assert await store_all(store, step(stale), step(fresh)) == [
            Conflict(stale.run_id, Version(2)),
            Stored(fresh.run_id, Version(2)),
        ]

    async def test_a_write_from_the_future_conflicts(self, store: Records) -> None:
        record = await stored_run(store)
        assert await store_all(store, step(step(record))) == [Conflict(record.run_id, Version(1))]

    async def test_a_step_of_an_unknown_run_conflicts(self, store: Records) -> None:
        run_id = new_run_id()
        assert await store_all(store, step(new_run(run_id=run_id))) == [
            Conflict(run_id, NO_VERSION)
        ]

    async def test_of_two_writes_for_one_version_the_first_in_order_wins(
        self, store: Records
    ) -> None:
        one, two = await stored_runs(store, count=2)
        first, second, third, fourth = (
            step(one, status=PAID),
            step(one, status=SHIPPED),
            step(two, status=PAID),
            step(two, status=SHIPPED),
        )
        answers = results(await store.store([group(first, second, third), group(fourth)]))
        assert [type(answer) for answer in answers] == [Stored, Conflict, Stored, Conflict]
        assert [(await stored(store, record.run_id)).status for record in (one, two)] == [
            PAID,
            PAID,
        ]

    async def test_a_write_may_build_on_one_before_it_in_the_call(self, store: Records) -> None:
        run = new_run()
        second = step(run)
        third = step(second, status=SHIPPED)
        assert results(await store.store([group(run, second), group(third)])) == [
            Stored(run.run_id, Version(v)) for v in (1, 2, 3)
        ]
        assert await versions(store, run.run_id) == [1, 2, 3]

    async def test_a_conflict_leaves_no_event(self, store: Records) -> None:
        fence, record = await acquire(store), await stored_run(store)
        await store_all(
            store, step(record, events=[event()]), step(record, events=[event(), event()])
        )
        assert len(await store.pending(fence, limit=10, wait=0)) == 1

    # --- repeats --------------------------------------------------------------------------------

    async def test_a_repeat_gets_the_first_answer_and_writes_nothing(self, store: Records) -> None:
        fence, record = await acquire(store), await stored_run(store)
        write = step(record, events=[event()])
        first, after = await store_all(store, write), await stored(store, record.run_id)
        assert await store_all(store, write, write) == first + first
        assert await stored(store, record.run_id) == after
        assert await versions(store, record.run_id) == [1, 2]
        assert len(await store.pending(fence, limit=10, wait=0)) == 1

    async def test_a_repeat_after_the_run_went_on_gets_the_first_answer(
        self, store: Records
    ) -> None:
        record = await stored_run(store)
        write = step(record)
        end = step(write, status=SHIPPED, run_state=RunState.COMPLETED)
        await store_all(store, write, end)
        assert await store_all(store, write, end) == [
            Stored(record.run_id, Version(2)),
            Stored(record.run_id, Version(3)),
        ]
        assert await versions(store, record.run_id) == [1, 2, 3]

    async def test_a_write_twice_in_one_call_is_made_once(self, store: Records) -> None:
        run = new_run()
        write = step(run)
        assert await store_all(store, run, run, write, write) == [
            Stored(run.run_id, Version(v)) for v in (1, 1, 2, 2)
        ]
        assert await versions(store, run.run_id) == [1, 2]

    async def test_repeats_sent_at_once_are_made_once(self, store: Records) -> None:
        write = step(await stored_run(store))
        answers = await asyncio.gather(*(store_all(store, write) for _ in range(WRITERS)))
        assert answers == [[Stored(write.run_id, Version(2))]] * WRITERS
        assert await versions(store, write.run_id) == [1, 2]

    # --- all or nothing -------------------------------------------------------------------------

    async def test_what_commits_together_is_seen_together(self, store: Records) -> None:
        record = await stored_run(store)

        async def write() -> None:
            before = record
            for _ in range(30):
                await store.store(
                    [group(step(before), positions=[Position(CONSUMERS, 0, before.version + 1)])]
                )
                before = await stored(store, record.run_id)

        writer = asyncio.create_task(write())
        while not writer.done():
            offset = max(
                (position.offset for position in await store.positions(CONSUMERS)), default=0
            )
            (found,) = await store.lookup([record.run_id])
            assert found is not None
            assert found.version >= offset
            assert len(await store.history(record.run_id)) >= found.version
            await asyncio.sleep(0)
        await writer

    async def test_a_group_with_an_old_fence_writes_nothing(self, store: Records) -> None:
        publisher, old = await acquire(store), await acquire(store, CONSUMERS)
        new = await acquire(store, CONSUMERS)
        one, two = await stored_runs(store, count=2)
        refused = group(
            step(one, events=[event()]), fence=old, positions=[Position(CONSUMERS, 0, 7)]
        )
        answers = await store.store([refused, group(step(two), fence=new)])
        assert answers == [
            Fenced(old.role, new.epoch),
            Committed((Stored(two.run_id, Version(2)),)),
        ]
        assert await stored(store, one.run_id) == one
        assert await versions(store, one.run_id) == [1]
        assert await store.positions(CONSUMERS) == []
        assert await store.pending(publisher, limit=10, wait=0) == []

    @pytest.mark.parametrize("off", [-1, 1, 99])
    async def test_an_epoch_that_nobody_was_given_is_refused(
        self, store: Records, off: int
    ) -> None:
        held, record = await acquire(store, CONSUMERS), await stored_run(store)
        forged = Fence(held.role, held.epoch + off)
        assert await store.store([group(step(record), fence=forged)]) == [
            Fenced(held.role, held.epoch)
        ]

    async def test_the_fence_of_a_role_that_nobody_took_is_refused(self, store: Records) -> None:
        fence = Fence(RoleName("orders-1-consumer-1-of-1"), 1)
        assert await store.store([group(new_run(), fence=fence)]) == [Fenced(fence.role, 0)]

    @pytest.mark.parametrize("flawed", FLAWED.values(), ids=FLAWED.keys())
    async def test_a_rejected_write_leaves_nothing_of_the_call(
        self, store: Records, flawed: Callable[[], Write]
    ) -> None:
        good = new_run()
        with pytest.raises(WriteRejected):
            await store.store([group(good), group(flawed())])
        assert await store.lookup([good.run_id], fresh=True) == [None]

    # --- positions ------------------------------------------------------------------------------

    async def test_positions_stand_though_writes_conflict(self, store: Records) -> None:
        stale = step(step(await stored_run(store)))
        await store.store([group(stale, positions=[Position(CONSUMERS, 2, 7)])])
        assert await store.positions(CONSUMERS) == [Position(CONSUMERS, 2, 7)]

    async def test_positions_are_each_groups_own_and_listed_by_partition(
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
