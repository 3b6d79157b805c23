"""Cases of gatherings: which children count, and children that end at the same time."""

import pytest
from msgspec.structs import replace

from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    Awaits,
    ChildrenEnd,
    MessageOutcome,
    RunState,
    Version,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import (
    GATHERED,
    child,
    children_key,
    children_of,
    end_of,
    ids,
    parent_of,
    reported_gatherings,
    starting,
    staying,
    waiting_messages,
)
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    awaited,
    end,
    fail,
    failure,
    inbox,
    message_event,
    message_of,
    outcome_of,
    publish_all,
    stay,
    store_at_once,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    acquire,
    store_all,
    stored,
    stored_run,
)


class GatheringCountCases(Conformance):
    # --- the message is taken, or withdrawn -----------------------------------------------------

    async def test_children_that_start_after_it_was_taken_are_counted_from_one_again(
        self, store: RecordStore
    ) -> None:
        first, second = child(link=GATHERED), child(link=GATHERED)
        parent = await parent_of(store, first, gathers=True)
        await end_of(store, first)
        taken = replace(starting(parent, second, gathers=True), takes=(children_key(parent),))
        await store_all(store, taken)
        assert await waiting_messages(store, parent) == []
        await end_of(store, second, run_state=RunState.CANCELLED)
        assert await inbox(store, parent.run_id) == [children_key(taken)]
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(3), started=1, cancelled=1)
        ]
        assert await children_of(store, parent, since=Version(3)) == ids([second])

    async def test_a_run_that_has_taken_it_and_enters_again_gets_one_of_no_children(
        self, store: RecordStore
    ) -> None:
        one = child(link=GATHERED)
        parent = await parent_of(store, one, gathers=True)
        await end_of(store, one)
        write = replace(starting(parent, gathers=True), takes=(children_key(parent),))
        await store_all(store, write)
        assert await reported_gatherings(store, parent) == [ChildrenEnd(since=Version(0))]

    async def test_a_further_child_withdraws_a_message_that_waits(self, store: RecordStore) -> None:
        first, second = child(link=GATHERED), child(link=GATHERED)
        parent = await parent_of(store, first, gathers=True)
        await end_of(store, first)
        await store_all(store, more := staying(parent, second))
        assert await outcome_of(store, children_key(parent)) == (MessageOutcome.PASSED, Version(3))
        assert await awaited(store, parent) == (Awaits.MESSAGE, 0)
        await end_of(store, second)
        assert await inbox(store, parent.run_id) == [children_key(more)]
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=2, completed=2)
        ]

    async def test_a_message_that_failed_for_good_is_posted_again_only_on_entering(
        self, store: RecordStore
    ) -> None:
        one = child(link=GATHERED)
        parent = await parent_of(store, one, gathers=True)
        await end_of(store, one)
        await fail(store, failure(await message_of(store, children_key(parent))))
        await store_all(store, still := stay(parent, visit=parent.visit, status=PAID))
        assert await waiting_messages(store, parent) == []
        await store_all(store, again := starting(still, gathers=True))
        assert await inbox(store, parent.run_id) == [children_key(again)]

    # --- races ----------------------------------------------------------------------------------

    async def test_of_many_children_that_end_at_the_same_time_one_is_the_last(
        self, store: RecordStore
    ) -> None:
        children = [child(link=GATHERED) for _ in range(CALLERS)]
        parent = await parent_of(store, *children, gathers=True)
        await store_at_once(store, [end(each.write) for each in children])
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=CALLERS, completed=CALLERS)
        ]
        assert (await stored(store, parent.run_id)).messages == 1

    @pytest.mark.parametrize("first", [0, CALLERS // 2, CALLERS], ids=["first", "between", "last"])
    async def test_a_parent_that_enters_while_its_children_end_gets_one_message(
        self, store: Records, first: int
    ) -> None:
        publisher, run = await acquire(store), await stored_run(store)
        children = [child(link=GATHERED) for _ in range(CALLERS)]
        started = starting(run, *children, status=CREATED)
        await store_all(store, started)
        ends = [end(each.write) for each in children]
        entering = starting(started, gathers=True)
        await store_at_once(store, [*ends[:first], entering, *ends[first:]])
        assert await reported_gatherings(store, run) == [
            ChildrenEnd(since=Version(2), started=CALLERS, completed=CALLERS)
        ]
        assert await inbox(store, run.run_id) == [children_key(entering)]
        assert await publish_all(store, publisher) == [message_event(run, status=PAID)]
        assert await awaited(store, run) == (Awaits.EVENT, 0)

    async def test_a_child_that_starts_while_the_last_one_ends_is_waited_for(
        self, store: RecordStore
    ) -> None:
        for _ in range(5):
            first, second = child(link=GATHERED), child(link=GATHERED)
            parent = await parent_of(store, first, gathers=True)
            await store_at_once(store, [end(first.write), staying(parent, second)])
            assert await waiting_messages(store, parent) == []
            await end_of(store, second)
            assert await reported_gatherings(store, parent) == [
                ChildrenEnd(since=Version(2), started=2, completed=2)
            ]
