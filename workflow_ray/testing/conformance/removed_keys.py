"""Cases of removals: keys and messages of runs that do not exist any more, and races."""

import asyncio

from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    BATCH_DATA,
    NO_VERSION,
    Conflict,
    KeyUsed,
    NoRun,
    Posted,
    Removal,
    RunState,
    Stored,
    Version,
    WriteGroup,
    run_id_at,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import (
    GATHERED,
    child,
    end_of,
    parent_of,
    starting,
)
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    callback,
    commit,
    end,
    post,
    store_at_once,
)
from workflow_ray.testing.conformance.removing import (
    LATER,
    MOST,
    carry_out,
    ended,
    found,
    moment,
    remove,
)
from workflow_ray.testing.conformance.runs import (
    new_run,
    step,
    store_all,
    stored,
    versions,
)


class RemovedKeyCases(Conformance):
    # --- keys -----------------------------------------------------------------------------------

    async def test_keys_and_messages_of_removed_runs_are_removed_below_a_run_id(
        self, store: RecordStore
    ) -> None:
        runs = [new_run(key=f"cart-{at}") for at in range(4)]
        await store_all(store, *runs)
        messages = [callback(run, f"m-{at}") for at, run in enumerate(runs)]
        await post(store, *messages)
        await store_all(store, *(end(run) for run in runs))
        await remove(store, runs[0], runs[1], runs[3])
        asked = Removal(workflow="orders", keys_below=runs[3].run_id)
        assert await carry_out(store, replace(asked, workflow="invoices")) == [0]
        assert await carry_out(store, asked) == [4]
        assert await carry_out(store, asked) == [0]
        again = [new_run(key=f"cart-{at}") for at in range(4)]
        answers = await store_all(store, *again)
        assert [type(answer) for answer in answers] == [Stored, Stored, KeyUsed, KeyUsed]
        posts = await post(store, *messages)
        assert [type(answer) for answer in posts] == [NoRun, NoRun, Posted, Posted]
        assert await carry_out(store, replace(asked, keys_below=LATER)) == [2]

    async def test_runs_are_removed_before_their_keys_by_one_removal(
        self, store: RecordStore
    ) -> None:
        run = await ended(store, key="cart-1")
        both = Removal(workflow="orders", runs=(run.run_id,), keys_below=LATER)
        assert await carry_out(store, both) == [2]
        again = new_run(key="cart-1")
        assert await store_all(store, again) == [Stored(again.run_id, Version(1))]
        assert await carry_out(store, both) == [0]

    async def test_a_removal_removes_a_limited_number_of_keys_and_messages(
        self, store: RecordStore
    ) -> None:
        runs = [new_run(key=f"cart-{at}") for at in range(MOST + 1)]
        messages = [callback(run, f"m-{at}") for at, run in enumerate(runs)]
        await store_all(store, *runs)
        await post(store, *messages)
        await store_all(store, *(end(run) for run in runs))
        assert await remove(store, *runs) == [MOST + 1]
        asked = Removal(workflow="orders", keys_below=LATER)
        assert [await carry_out(store, asked) for _ in range(3)] == [[2 * MOST], [2], [0]]

    async def test_removals_that_go_on_where_the_last_one_has_ended_remove_all(
        self, store: RecordStore
    ) -> None:
        runs = [new_run(key=f"cart-{at}") for at in range(MOST + 2)]
        messages = [callback(runs[at % 2], f"m-{at}") for at in range(MOST + 2)]
        await store_all(store, *runs)
        await post(store, *messages)
        await store_all(store, *(end(run) for run in runs))
        await remove(store, *runs)
        removal, removed = Removal(workflow="orders", keys_below=LATER), list[int]()
        while True:
            answer = await commit(store, WriteGroup(removals=(removal,)))
            removed += answer.removed
            after = answer.keys_left[0] if answer.keys_left else ""
            if not any(answer.removed) or (answer.keys_left and not after):
                break
            removal = replace(removal, keys_after=after)
        assert sum(removed) == 2 * MOST + 4
        assert await carry_out(store, replace(removal, keys_after="")) == [0]

    async def test_a_time_stands_below_the_ids_of_the_runs_since(self, store: RecordStore) -> None:
        run = await ended(store, key="cart-1")
        await remove(store, run)
        created = int(run.run_id.replace("-", "")[:12], 16)
        milliseconds = [run_id_at(moment(created + more)) for more in (0, 1)]
        asked = [Removal(workflow="orders", keys_below=run_id) for run_id in milliseconds]
        assert await carry_out(store, *asked) == [0, 1]

    # --- at the same time -----------------------------------------------------------------------

    async def test_many_callers_remove_the_same_runs_once(self, store: RecordStore) -> None:
        runs = [await ended(store, key=f"cart-{at}") for at in range(10)]
        asked = Removal(workflow="orders", runs=tuple(run.run_id for run in runs), keys_below=LATER)
        # few, because a store may answer StoreBusy while much is to be removed
        removed = await asyncio.gather(*(carry_out(store, asked) for _ in range(5)))
        assert sum(number for (number,) in removed) == 20
        assert await store.counts("orders") == []

    async def test_a_run_that_is_written_beside_its_removal_is_removed_once(
        self, store: RecordStore
    ) -> None:
        runs = [await ended(store) for _ in range(CALLERS)]
        deletes = [step(end(run), run_state=RunState.DATA_DELETED, data=b"") for run in runs]
        removed, answers = await asyncio.gather(
            asyncio.gather(*(remove(store, run) for run in runs)), store_at_once(store, deletes)
        )
        assert sum(number for (number,) in removed) == CALLERS
        for run, answer in zip(runs, answers, strict=True):
            assert answer in (
                Stored(run.run_id, Version(3)),
                Conflict(run.run_id, NO_VERSION),
            )
        assert await store.counts("orders") == []
        assert await found(store) == []
        assert [await store.history(run.run_id) for run in runs] == [[]] * CALLERS

    async def test_a_run_that_ends_beside_its_removal_is_removed_or_stays_whole(
        self, store: RecordStore
    ) -> None:
        runs = [new_run() for _ in range(CALLERS)]
        await store_all(store, *runs)
        removed, _ = await asyncio.gather(
            asyncio.gather(*(remove(store, run) for run in runs)),
            store_at_once(store, [end(run) for run in runs]),
        )
        left = await found(store)
        assert len(left) == CALLERS - sum(number for (number,) in removed)
        assert sum(count.runs for count in await store.counts("orders")) == len(left)
        assert [await versions(store, run_id) for run_id in left] == [[1, 2]] * len(left)

    async def test_children_that_end_beside_the_removal_of_their_parents_end(
        self, store: RecordStore
    ) -> None:
        families = [child(link=GATHERED) for _ in range(10)]
        parents = [await parent_of(store, each, gathers=True) for each in families]
        await store_all(store, *(end(parent) for parent in parents))
        await asyncio.gather(
            *(remove(store, parent) for parent in parents),
            *(end_of(store, each) for each in families),
        )
        assert await found(store) == []
        states = [(await stored(store, each.write.run_id)).run_state for each in families]
        assert states == [RunState.COMPLETED] * len(families)

    async def test_a_key_is_used_by_one_of_those_who_trigger_beside_its_removal(
        self, store: RecordStore
    ) -> None:
        gone = await ended(store, key="cart-1")
        await remove(store, gone)
        runs = [new_run(key="cart-1") for _ in range(CALLERS)]
        asked = Removal(workflow="orders", keys_below=runs[0].run_id)
        answers, _ = await asyncio.gather(store_at_once(store, runs), carry_out(store, asked))
        stored_ones = [answer.run_id for answer in answers if isinstance(answer, Stored)]
        assert len(stored_ones) <= 1
        last = new_run(key="cart-1")
        (answer,) = await store_all(store, last)
        if stored_ones:
            assert answer == KeyUsed(last.run_id, stored_ones[0])
        else:
            assert answer == Stored(last.run_id, Version(1))

    async def test_large_runs_are_removed(self, store: RecordStore) -> None:
        runs = [new_run(data=b"x" * (BATCH_DATA // 4)) for _ in range(3)]
        for run in runs:
            await store_all(store, run, starting(run, child()))
        ends = [end(starting(run)) for run in runs]
        await store_all(store, *ends)
        assert await remove(store, *runs) == [3]
