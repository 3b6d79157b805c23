"""Cases of RecordStore.store: versions, data, conflicts and repeats."""

import asyncio

import pytest
from msgspec.structs import replace

from workflow_ray.ports import Records
from workflow_ray.records import (
    NO_VERSION,
    Cause,
    Conflict,
    RunCount,
    RunState,
    Stored,
    Version,
    Write,
    new_run_id,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import (
    PAID,
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


class WriteCases(Conformance):
    """Each write makes one version, once."""

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

    async def test_the_history_keeps_the_fields_of_the_write(self, store: Records) -> None:
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

    async def test_a_new_run_keeps_the_cause_and_the_reason_of_its_first_write(
        self, store: Records
    ) -> None:
        fork = replace(new_run(), cause=Cause.FORKED, reason="fork of another run")
        await store_all(store, fork)
        record, entry = await stored(store, fork.run_id), await last_entry(store, fork.run_id)
        for one in (record, entry):
            assert (one.cause, one.reason) == (Cause.FORKED, "fork of another run")

    async def test_a_paused_run_that_is_moved_to_the_end_has_ended(self, store: Records) -> None:
        record = await stored_run(store)
        pause = step(record, run_state=RunState.PAUSED)
        end = step(pause, status=SHIPPED, run_state=RunState.COMPLETED)
        for write in (pause, replace(end, cause=Cause.MOVED)):
            assert await store_all(store, write) == [Stored(record.run_id, write.version)]
        ended = await stored(store, record.run_id)
        assert (ended.cause, ended.run_state) == (Cause.MOVED, RunState.COMPLETED)
        again = new_run(record.foreign_id)
        assert await store_all(store, again) == [Stored(again.run_id, Version(1))]
        assert await store.counts("orders") == [
            RunCount(again.status, RunState.INITIATED, 1),
            RunCount(SHIPPED, RunState.COMPLETED, 1),
        ]

    async def test_a_write_without_data_keeps_the_previous_data(self, store: Records) -> None:
        run = new_run(data=b'{"total":40}')
        await store_all(store, run, step(run, data=None))
        assert (await stored(store, run.run_id)).data == b'{"total":40}'
        assert [entry.data for entry in await store.history(run.run_id)] == [b'{"total":40}', None]

    @pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
    async def test_data_is_read_as_it_was_written(self, store: Records, data: bytes) -> None:
        run = new_run(data=data)
        await store_all(store, run)
        assert (await stored(store, run.run_id)).data == data
        assert (await last_entry(store, run.run_id)).data == data

    async def test_a_call_may_have_thousands_of_writes(self, store: Records) -> None:
        runs = [new_run(partition=at % 4, events=[event(at % 4)]) for at in range(2000)]
        assert await store_all(store, *runs) == [Stored(run.run_id, Version(1)) for run in runs]
        assert await store_all(store, *map(step, runs)) == [
            Stored(run.run_id, Version(2)) for run in runs
        ]
        assert [(count.status, count.runs) for count in await store.counts("orders")] == [
            (PAID, 2000)
        ]

    # --- conflicts ------------------------------------------------------------------------------

    async def test_one_of_many_writers_wins_each_version(self, store: Records) -> None:
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

    async def test_the_first_of_two_writes_for_the_same_version_wins(self, store: Records) -> None:
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

    async def test_a_write_may_build_on_an_earlier_one_in_the_same_call(
        self, store: Records
    ) -> None:
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

    async def test_a_repeat_gets_the_first_answer_after_the_run_has_moved_on(
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

    async def test_a_write_that_is_twice_in_one_call_is_made_once(self, store: Records) -> None:
        run = new_run()
        write = step(run)
        assert await store_all(store, run, run, write, write) == [
            Stored(run.run_id, Version(v)) for v in (1, 1, 2, 2)
        ]
        assert await versions(store, run.run_id) == [1, 2]

    async def test_concurrent_repeats_are_made_once(self, store: Records) -> None:
        write = step(await stored_run(store))
        answers = await asyncio.gather(*(store_all(store, write) for _ in range(WRITERS)))
        assert answers == [[Stored(write.run_id, Version(2))]] * WRITERS
        assert await versions(store, write.run_id) == [1, 2]
