"""Cases of results of `once`, which are stored for the visit of a run."""

import asyncio

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    MAX_FOREIGN_ID,
    NO_VERSION,
    Awaits,
    Fenced,
    Kept,
    OnceResult,
    Record,
    RunState,
    Version,
    VisitOver,
    Write,
    WriteGroup,
    new_run_id,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    commit,
    end,
    keep_result,
    pause,
    rest,
    stay,
)
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    acquire,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    stored_runs,
    versions,
)
from workflow_ray.testing.conformance.triggers import FOREIGN_IDS


class OnceCases(Conformance):
    # --- what is stored -------------------------------------------------------------------------

    async def test_a_result_is_stored_under_its_name_and_makes_no_version(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        charge = once(run, "charge", b'"\xf0\x9f\xa6\x84"')
        assert await keep_result(store, charge) == [
            Kept(run.run_id, "charge", b'"\xf0\x9f\xa6\x84"')
        ]
        assert await store.results([run.run_id]) == [charge]
        record = await stored(store, run.run_id)
        assert (record.has_results, record.version) == (True, Version(1))
        assert record.updated_at == run.updated_at
        assert await versions(store, run.run_id) == [1]

    async def test_a_name_that_has_a_result_keeps_the_first_one(self, store: RecordStore) -> None:
        run = await stored_run(store)
        first = once(run, "charge", b"1")
        answers = await keep_result(store, first, once(run, "charge", b"2"))
        assert answers == [Kept(run.run_id, "charge", b"1")] * 2
        assert await keep_result(store, once(run, "charge", b"3")) == answers[:1]
        assert await store.results([run.run_id]) == [first]

    async def test_each_run_and_each_name_has_a_result_of_its_own(self, store: RecordStore) -> None:
        one, two = await stored_runs(store, count=2)
        kept = [once(one, "charge", b"1"), once(one, "Charge", b"2"), once(two, "charge", b"3")]
        assert await keep_result(store, *kept) == [
            Kept(result.run_id, result.name, result.result) for result in kept
        ]
        found = await store.results([one.run_id, two.run_id, new_run_id()])
        assert sorted(found, key=lambda result: result.result) == kept
        assert await store.results([]) == []

    @pytest.mark.parametrize("name", FOREIGN_IDS.values(), ids=FOREIGN_IDS.keys())
    async def test_a_name_is_stored_as_it_was_given(self, store: RecordStore, name: str) -> None:
        run = await stored_run(store)
        await keep_result(store, once(run, name))
        assert [result.name for result in await store.results([run.run_id])] == [name]

    async def test_all_of_many_concurrent_callers_get_the_result_of_one(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        answers = await asyncio.gather(
            *(keep_result(store, once(run, "charge", str(at).encode())) for at in range(CALLERS))
        )
        (kept,) = await store.results([run.run_id])
        assert answers == [[Kept(run.run_id, "charge", kept.result)]] * CALLERS

    # --- whether it is stored -------------------------------------------------------------------

    async def test_a_result_of_an_earlier_visit_is_left_out(self, store: RecordStore) -> None:
        run = await stored_run(store)
        await store_all(store, rest(run))
        assert await keep_result(store, once(run)) == [VisitOver(run.run_id, Version(2))]
        assert await store.results([run.run_id]) == []
        assert not (await stored(store, run.run_id)).has_results

    async def test_a_result_of_a_run_that_does_not_exist_is_left_out(
        self, store: RecordStore
    ) -> None:
        result = once(new_run())
        assert await keep_result(store, result) == [VisitOver(result.run_id, NO_VERSION)]

    async def test_a_result_of_a_paused_run_is_stored(self, store: RecordStore) -> None:
        run = await stored_run(store)
        await store_all(store, pause(run, visit=1))
        charge = once(run)
        assert await keep_result(store, charge) == [Kept(run.run_id, "charge", charge.result)]
        assert await store.results([run.run_id]) == [charge]
        assert (await stored(store, run.run_id)).has_results

    @pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.COMPLETED])
    async def test_a_result_of_a_finished_run_is_left_out(
        self, store: RecordStore, state: RunState
    ) -> None:
        run = await stored_run(store)
        rests = step(run, status=CREATED, run_state=state)
        await store_all(store, replace(rests, visit=Version(1)))
        assert await keep_result(store, once(run)) == [VisitOver(run.run_id, Version(1))]
        assert await store.results([run.run_id]) == []

    async def test_a_result_that_comes_after_a_write_of_its_group_is_judged_by_it(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        answer = await commit(store, WriteGroup(writes=(rest(run),), results=(once(run),)))
        assert answer.once == (VisitOver(run.run_id, Version(2)),)

    async def test_a_group_with_an_old_fence_stores_no_result(self, store: Records) -> None:
        run, old = await stored_run(store), await acquire(store, CONSUMERS)
        new = await acquire(store, CONSUMERS)
        answers = await store.store([WriteGroup(results=(once(run),), fence=old)])
        assert answers == [Fenced(old.role, new.epoch)]
        assert await store.results([run.run_id]) == []

    async def test_a_name_that_not_every_store_can_hold_is_refused(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        for name in ("x" * (MAX_FOREIGN_ID + 1), "charge\0"):
            with pytest.raises(WriteRejected):
                await keep_result(store, once(run, name))

    # --- how long it is stored ------------------------------------------------------------------

    async def test_a_result_outlives_writes_of_its_visit_and_a_pause(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        charge = once(run)
        await keep_result(store, charge)
        again = stay(run, visit=1)
        paused = pause(again, visit=1)
        await store_all(store, again, paused, stay(paused, visit=1))
        assert await store.results([run.run_id]) == [charge]
        assert (await stored(store, run.run_id)).has_results

    @pytest.mark.parametrize("status", [CREATED, 2], ids=["the same status", "another status"])
    async def test_the_results_of_a_visit_are_removed_when_a_write_leaves_it(
        self, store: RecordStore, status: int
    ) -> None:
        run, other = await stored_runs(store, count=2)
        await keep_result(store, once(run), once(other))
        await store_all(store, moved := rest(run, status=status))
        assert await store.results([run.run_id, other.run_id]) == [once(other)]
        assert not (await stored(store, run.run_id)).has_results
        charge = once(moved, result=b"2")
        assert await keep_result(store, charge) == [Kept(run.run_id, "charge", b"2")]
        assert await store.results([run.run_id]) == [charge]

    @pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.COMPLETED])
    async def test_the_results_of_a_run_are_removed_when_it_ends(
        self, store: RecordStore, state: RunState
    ) -> None:
        run = await stored_run(store)
        await keep_result(store, once(run))
        await store_all(store, replace(end(run, run_state=state), visit=Version(1)))
        assert await store.results([run.run_id]) == []
        assert not (await stored(store, run.run_id)).has_results

    async def test_a_result_that_races_against_the_end_of_its_visit_is_never_left_behind(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        assert run.awaits is Awaits.EVENT
        groups = [WriteGroup(results=(once(run, f"call-{at}"),)) for at in range(CALLERS)]
        middle = CALLERS // 2
        answers = await asyncio.gather(
            *(commit(store, group) for group in groups[:middle]),
            store_all(store, rest(run)),
            *(commit(store, group) for group in groups[middle:]),
        )
        assert len(answers) == CALLERS + 1
        assert await store.results([run.run_id]) == []
        record = await stored(store, run.run_id)
        assert (record.has_results, record.version) == (False, Version(2))


def once(run: Record | Write, name: str = "charge", result: bytes = b"1") -> OnceResult:
    """Make a result of the run's current visit."""
    return OnceResult(run_id=run.run_id, visit=run.visit, name=name, result=result)
