"""Cases of removals: finished runs, and their histories."""

from msgspec.structs import replace

from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    NO_VERSION,
    Conflict,
    Fenced,
    KeyUsed,
    NoRun,
    OnceResult,
    Posted,
    Removal,
    RunState,
    Stored,
    Version,
    WriteGroup,
    new_run_id,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import (
    ENDED,
    GATHERED,
    child,
    children_of,
    end_of,
    parent_of,
    parents_of,
)
from workflow_ray.testing.conformance.posts import (
    callback,
    commit,
    end,
    keep_result,
    message_of,
    pause,
    post,
    taking,
)
from workflow_ray.testing.conformance.removing import carry_out, ended, found, remove
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    acquire,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)


class RemovalCases(Conformance):
    # --- runs -----------------------------------------------------------------------------------

    async def test_a_removed_run_does_not_exist_any_more(self, store: RecordStore) -> None:
        run, other = await ended(store, "order-1", labels={"region": "eu"}), await ended(store)
        assert await remove(store, run) == [1]
        assert await store.lookup([run.run_id], fresh=True) == [None]
        assert await store.lookup([run.run_id, other.run_id]) == [
            None,
            await stored(store, other.run_id),
        ]
        assert await store.history(run.run_id) == []
        assert await store.latest("orders", ["order-1"]) == [None]
        assert await found(store) == [other.run_id]
        assert await found(store, foreign_id="order-1") == []
        assert await found(store, labels={"region": "eu"}) == []
        assert await found(store, run_states=(RunState.COMPLETED,)) == [other.run_id]
        assert await versions(store, other.run_id) == [1, 2]
        assert await store.watch({run.run_id: Version(0)}, wait=0) == []
        assert await store_all(store, step(end(run))) == [Conflict(run.run_id, NO_VERSION)]

    async def test_the_counts_go_down_by_the_removed_runs(self, store: RecordStore) -> None:
        runs = [await ended(store) for _ in range(3)]
        waiting = await stored_run(store)
        await remove(store, *runs[:2])
        counts = [(count.run_state, count.runs) for count in await store.counts("orders")]
        assert counts == [(RunState.INITIATED, 1), (RunState.COMPLETED, 1)]
        await store_all(store, end(waiting))
        assert await remove(store, runs[2], waiting) == [2]
        assert await store.counts("orders") == []

    async def test_the_previous_run_of_its_foreign_id_is_the_latest_again(
        self, store: RecordStore
    ) -> None:
        first, second = await ended(store, "order-1"), await ended(store, "order-1")
        await remove(store, second)
        assert await store.latest("orders", ["order-1"]) == [await stored(store, first.run_id)]
        await remove(store, first)
        third = new_run("order-1")
        assert await store_all(store, third) == [Stored(third.run_id, Version(1))]

    async def test_runs_that_are_unfinished_of_another_workflow_or_unknown_are_left_out(
        self, store: RecordStore
    ) -> None:
        running, paused = await stored_run(store), await stored_run(store)
        await store_all(store, pause(paused, visit=1))
        elsewhere = new_run(workflow="invoices")
        await store_all(store, elsewhere, end(elsewhere))
        run = await ended(store)
        asked = (running.run_id, elsewhere.run_id, paused.run_id, run.run_id, new_run_id())
        both = Removal(workflow="orders", runs=asked, histories=asked)
        assert await carry_out(store, both) == [1]
        assert await found(store) == sorted([running.run_id, paused.run_id])
        assert await versions(store, paused.run_id) == [1, 2]
        assert await versions(store, elsewhere.run_id) == [1, 2]

    async def test_a_run_in_any_finished_state_can_be_removed(self, store: RecordStore) -> None:
        states = (RunState.CANCELLED, RunState.COMPLETED, RunState.DATA_DELETED)
        runs = [new_run() for _ in states]
        await store_all(store, *runs)
        ends = [end(run, run_state=state) for run, state in zip(runs, states, strict=True)]
        await store_all(store, *ends)
        assert await remove(store, *runs) == [len(states)]
        assert await store.counts("orders") == []

    async def test_a_run_whose_data_is_to_be_deleted_is_removed_after_that(
        self, store: RecordStore
    ) -> None:
        """Else a client that asks for it beside the removal is not heeded."""
        run = await ended(store)
        requested = step(end(run), run_state=RunState.REQUESTED_DATA_DELETED)
        group = WriteGroup(
            writes=(requested,), removals=(Removal(workflow="orders", runs=(run.run_id,)),)
        )
        assert (await commit(store, group)).removed == (0,)
        assert await remove(store, run) == [0]
        assert await versions(store, run.run_id) == [1, 2, 3]
        await store_all(store, step(requested, run_state=RunState.DATA_DELETED))
        assert await remove(store, run) == [1]
        assert await store.counts("orders") == []

    async def test_a_run_is_removed_once(self, store: RecordStore) -> None:
        runs = [await ended(store) for _ in range(3)]
        one = Removal(workflow="orders", runs=tuple(run.run_id for run in runs[:2]))
        two = Removal(workflow="orders", runs=tuple(run.run_id for run in runs))
        assert await carry_out(store, one, two) == [2, 1]
        assert await remove(store, *runs) == [0]
        assert await store.counts("orders") == []

    async def test_removals_follow_the_writes_of_their_group(self, store: RecordStore) -> None:
        before, created = await stored_run(store), new_run()
        ids = (before.run_id, created.run_id)
        group = WriteGroup(
            writes=(created, end(before), end(created)),
            removals=(Removal(workflow="orders", runs=ids),),
        )
        answer = await commit(store, group)
        assert [type(result) for result in answer.results] == [Stored] * 3
        assert answer.removed == (2,)
        assert await store.lookup(ids, fresh=True) == [None, None]
        assert await store.counts("orders") == []

    async def test_a_group_without_removals_gets_no_numbers(self, store: RecordStore) -> None:
        assert (await commit(store, WriteGroup(writes=(new_run(),)))).removed == ()

    async def test_a_removal_of_nothing_is_answered(self, store: RecordStore) -> None:
        nothing = Removal(workflow="orders")
        assert await carry_out(store, nothing, nothing) == [0, 0]

    async def test_a_role_that_has_lost_its_fence_removes_nothing(self, store: Records) -> None:
        old, run = await acquire(store, CONSUMERS), await ended(store, key="cart-1")
        new = await acquire(store, CONSUMERS)
        removal = Removal(workflow="orders", runs=(run.run_id,), histories=(run.run_id,))
        (answer,) = await store.store([WriteGroup(fence=old, removals=(removal,))])
        assert answer == Fenced(old.role, new.epoch)
        assert await versions(store, run.run_id) == [1, 2]
        assert await carry_out(store, removal, fence=new) == [1]

    # --- what is kept for them ------------------------------------------------------------------

    async def test_the_key_of_a_removed_run_stays_used(self, store: RecordStore) -> None:
        run = await ended(store, key="cart-1", digest=bytes(16))
        await remove(store, run)
        again = new_run(key="cart-1")
        assert await store_all(store, again) == [KeyUsed(again.run_id, run.run_id, bytes(16))]

    async def test_messages_of_a_removed_run_lose_what_the_user_gave(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        message = callback(run, payload=b"Zo", digest=bytes(16))
        await post(store, message)
        move = taking(run, message.key)
        await store_all(store, move, end(move))
        before = await message_of(store, message.key)
        await remove(store, run)
        assert await message_of(store, message.key) == replace(before, payload=b"", reason=None)
        known = [Posted(message.key, run.run_id, bytes(16), is_new=False)]
        assert await post(store, message) == known
        other = callback(run, "m-2")
        assert await post(store, other) == [NoRun(other.key)]

    async def test_results_of_once_go_with_the_run(self, store: RecordStore) -> None:
        run = await stored_run(store)
        result = OnceResult(run_id=run.run_id, visit=Version(1), name="charge", result=b"1")
        await keep_result(store, result)
        await store_all(store, end(run))
        await remove(store, run)
        assert await store.results([run.run_id]) == []

    async def test_links_of_either_side_go_with_the_run(self, store: RecordStore) -> None:
        kept, gone = child(link=GATHERED), child(link=GATHERED)
        parent = await parent_of(store, kept, gone, gathers=True)
        await end_of(store, gone)
        removal = Removal(workflow="invoices", runs=(gone.write.run_id,))
        assert await carry_out(store, removal) == [1]
        assert await children_of(store, parent) == [kept.write.run_id]
        assert await parents_of(store, gone.write.run_id) == []
        await store_all(store, end(parent))
        await remove(store, parent)
        assert await children_of(store, parent) == []
        assert await parents_of(store, kept.write.run_id) == []

    async def test_a_child_may_end_after_its_parent_was_removed(self, store: RecordStore) -> None:
        children = [child(link=link) for link in (ENDED, GATHERED)]
        parent = await parent_of(store, *children, gathers=True)
        await store_all(store, end(parent))
        await remove(store, parent)
        await end_of(store, *children)
        states = [(await stored(store, each.write.run_id)).run_state for each in children]
        assert states == [RunState.COMPLETED] * 2

    # --- histories ------------------------------------------------------------------------------

    async def test_all_but_the_newest_entry_of_a_history_can_be_removed(
        self, store: RecordStore
    ) -> None:
        run, other = new_run(), await ended(store)
        moved = step(run, data=b"2")
        last = end(moved)
        await store_all(store, run, moved, last)
        before = await store.history(run.run_id)
        asked = Removal(workflow="orders", histories=(run.run_id,))
        assert await carry_out(store, asked) == [1]
        assert await store.history(run.run_id) == before[-1:]
        assert await carry_out(store, asked) == [0]
        record = await stored(store, run.run_id)
        assert (record.version, record.data) == (3, b"2")
        assert await versions(store, other.run_id) == [1, 2]
        # a repeat of the newest write is known, and of an earlier one no more
        assert await store_all(store, last) == [Stored(run.run_id, Version(3))]
        assert await store_all(store, moved) == [Conflict(run.run_id, Version(3))]
        await store_all(store, step(last, run_state=RunState.REQUESTED_DATA_DELETED))
        assert await versions(store, run.run_id) == [3, 4]
        assert [entry.version for entry in await store.history(run.run_id, after=Version(3))] == [4]

    async def test_runs_and_histories_are_removed_by_one_removal(self, store: RecordStore) -> None:
        runs = [await ended(store) for _ in range(4)]
        both = Removal(
            workflow="orders",
            runs=(runs[0].run_id, runs[1].run_id),
            histories=(runs[1].run_id, runs[2].run_id, runs[3].run_id),
        )
        assert await carry_out(store, both) == [4]
        assert [await versions(store, run.run_id) for run in runs] == [[], [], [2], [2]]
