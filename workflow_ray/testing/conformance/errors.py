"""Cases of what the history keeps of failed attempts, and of versions of data."""

from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import Cause, ErrorDetail, RunQuery
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import child, parent_of
from workflow_ray.testing.conformance.runs import (
    last_entry,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
)

ERROR = ErrorDetail(type="httpx.ConnectTimeout", message="no answer 😀 'for' 5 s\n")


class ErrorCases(Conformance):
    async def test_the_history_keeps_the_error_of_a_failed_attempt(
        self, store: RecordStore
    ) -> None:
        run = new_run()
        traced = replace(ERROR, trace="Traceback (most recent call last):\n" + 'x = "é"\n' * 2000)
        failed = replace(step(run), cause=Cause.RETRY, error=ERROR)
        again = replace(step(failed), cause=Cause.FAILED, error=traced)
        await store_all(store, run)
        await store_all(store, failed)
        await store_all(store, again)
        await store_all(store, step(again))
        entries = await store.history(run.run_id)
        assert [entry.error for entry in entries] == [None, ERROR, traced, None]

    async def test_a_write_with_an_error_leaves_those_beside_it_without_one(
        self, store: RecordStore
    ) -> None:
        one, two = new_run(), await stored_run(store)
        await store_all(store, one, replace(step(one), error=ERROR), step(two))
        assert [entry.error for entry in await store.history(one.run_id)] == [None, ERROR]
        assert (await last_entry(store, two.run_id)).error is None

    # --- versions of data -----------------------------------------------------------------------

    async def test_data_has_the_version_that_its_write_names(self, store: RecordStore) -> None:
        run, plain = replace(new_run(data=b"1"), data_version=2), new_run(data=b"1")
        await store_all(store, run, plain)
        assert (await stored(store, run.run_id)).data_version == 2
        assert (await stored(store, plain.run_id)).data_version == 1
        await store_all(store, replace(step(run, data=b"2"), data_version=7))
        assert (await stored(store, run.run_id)).data_version == 7
        versions = [(entry.data, entry.data_version) for entry in await store.history(run.run_id)]
        assert versions == [(b"1", 2), (b"2", 7)]

    async def test_a_write_without_data_leaves_the_version_of_the_data(
        self, store: RecordStore
    ) -> None:
        run = replace(new_run(data=b"1"), data_version=3)
        await store_all(store, run)
        for write in (step(run), step(step(run))):
            await store_all(store, write)
            record = await stored(store, run.run_id)
            assert (record.data, record.data_version) == (b"1", 3)
        (listed,) = await store.runs(RunQuery(workflow="orders"))
        assert listed.data_version == 3

    async def test_data_may_go_back_to_its_first_version(self, store: RecordStore) -> None:
        run = new_run(data=b"1")
        newer = replace(step(run, data=b"2"), data_version=2)
        older = step(newer, data=b"3")
        await store_all(store, run)
        await store_all(store, newer)
        await store_all(store, older)
        record = await stored(store, run.run_id)
        assert (record.data, record.data_version) == (b"3", 1)

    async def test_of_several_writes_in_one_call_the_last_data_says_the_version(
        self, store: RecordStore
    ) -> None:
        run, other = new_run(data=b"1"), await stored_run(store)
        newer = replace(step(run, data=b"2"), data_version=2)
        changed = replace(step(other, data=b"2"), data_version=4)
        await store_all(store, run, newer, step(newer), changed, step(changed))
        assert (await stored(store, run.run_id)).data_version == 2
        assert (await stored(store, other.run_id)).data_version == 4

    async def test_a_child_has_a_version_of_its_own_data(self, store: RecordStore) -> None:
        started = child()
        started = replace(started, write=replace(started.write, data_version=5))
        parent = await parent_of(store, started)
        assert (await stored(store, started.write.run_id)).data_version == 5
        assert (await stored(store, parent.run_id)).data_version == 1
