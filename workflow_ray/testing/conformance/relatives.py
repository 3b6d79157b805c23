"""Cases of RecordStore.runs: children and parents of a run."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import Link, RunId, RunQuery, RunState, Version, new_run_id
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import (
    child,
    children_of,
    end_of,
    ids,
    parent_of,
    parents_of,
    starting,
    staying,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    QUARTER,
    SHIPPED,
    new_run,
    next_page,
    store_all,
    stored_run,
    stored_runs,
)


class RelativeCases(Conformance):
    async def test_the_children_of_a_run_are_returned_by_run_id(self, store: RecordStore) -> None:
        children, others = [child() for _ in range(5)], [child() for _ in range(2)]
        parent = await parent_of(store, *reversed(children))
        await parent_of(store, *others)
        assert await children_of(store, parent) == ids(children)
        assert await children_of(store, parent, newest_first=True) == ids(children)[::-1]

    async def test_children_of_other_workflows_are_left_out(self, store: RecordStore) -> None:
        invoice, parcel = child(), child(workflow="parcels")
        parent = await parent_of(store, invoice, parcel)
        assert await children_of(store, parent) == ids([invoice])
        assert await children_of(store, parent, workflow="parcels") == ids([parcel])
        assert await children_of(store, parent, workflow="orders") == []

    async def test_a_run_without_relatives_has_none(self, store: RecordStore) -> None:
        run = await stored_run(store)
        assert await children_of(store, run) == []
        assert await parents_of(store, run.run_id) == []
        assert await parents_of(store, new_run_id()) == []
        assert await store.runs(RunQuery(workflow="invoices", parent=new_run_id())) == []

    async def test_the_children_since_a_version_of_their_parent_are_returned(
        self, store: RecordStore
    ) -> None:
        run, (one, two, three) = await stored_run(store), (child() for _ in range(3))
        first = starting(run, one)
        second = starting(first, two)
        third = staying(second, three)
        await store_all(store, first, second, third)
        found = [await children_of(store, run, since=Version(at)) for at in range(6)]
        every, later, last = ids([one, two, three]), ids([two, three]), ids([three])
        assert found == [every, every, every, later, last, []]

    async def test_a_child_that_was_joined_again_later_counts_from_then_on_too(
        self, store: RecordStore
    ) -> None:
        one = child("invoice-7")
        parent = await parent_of(store, one)
        await store_all(store, staying(parent, child("invoice-7", joins=True)))
        for since in (2, 3):
            assert await children_of(store, parent, since=Version(since)) == ids([one])
        assert await children_of(store, parent, since=Version(4)) == []

    async def test_the_children_that_are_cancelled_with_their_parent_are_returned(
        self, store: RecordStore
    ) -> None:
        plain, cascading = child(), child(link=Link(cascades=True))
        parent = await parent_of(store, plain, cascading)
        assert await children_of(store, parent, cascading=True) == ids([cascading])

    async def test_whether_a_child_is_cancelled_is_up_to_each_parent(
        self, store: RecordStore
    ) -> None:
        one = child("invoice-7", link=Link(cascades=True))
        starter = await parent_of(store, one)
        joiner = await parent_of(store, child("invoice-7", joins=True))
        assert await children_of(store, starter, cascading=True) == ids([one])
        assert await children_of(store, joiner, cascading=True) == []

    async def test_the_parents_of_a_run_are_returned_by_run_id(self, store: RecordStore) -> None:
        one, many = child("invoice-7"), [child("invoice-7", joins=True) for _ in range(4)]
        parents = [await parent_of(store, each) for each in (one, *many)]
        assert await parents_of(store, one.write.run_id) == sorted(
            parent.run_id for parent in parents
        )

    async def test_other_filters_hold_for_relatives_too(
        self, store: RecordStore, clock: FakeClock
    ) -> None:
        early, ended, late = child(), child("invoice-7"), child()
        run = await stored_run(store)
        first = starting(run, early, ended)
        await store_all(store, first)
        await clock.advance(timedelta(hours=1))
        await store_all(store, staying(first, late))
        await end_of(store, ended)
        since = clock.now()
        assert await children_of(store, run, statuses=(SHIPPED,)) == ids([ended])
        assert await children_of(store, run, run_states=(RunState.INITIATED,)) == ids([early, late])
        assert await children_of(store, run, foreign_id="invoice-7") == ids([ended])
        assert await children_of(store, run, created_from=since) == ids([late])
        assert await children_of(store, run, created_before=since, statuses=(CREATED,)) == ids(
            [early]
        )

    @pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
    async def test_pages_of_children_neither_repeat_nor_skip_any_while_others_start(
        self, store: RecordStore, newest_first: bool
    ) -> None:
        before = [child() for _ in range(10)]
        parent = await parent_of(store, *before)
        await stored_runs(store, count=3)
        query = RunQuery(
            workflow="invoices", parent=parent.run_id, newest_first=newest_first, limit=3
        )
        seen, last = list[RunId](), parent
        while len(seen) < 50 and (page := await next_page(store, query, seen)):
            seen += [record.run_id for record in page]
            if len(seen) < 8:
                await store_all(store, last := staying(last, child()))
        assert len(seen) == len(set(seen))
        expected = ids(before)[::-1] if newest_first else ids(before)
        assert [run_id for run_id in seen if run_id in expected] == expected

    async def test_a_page_of_children_ends_with_the_run_whose_data_exceeds_the_bound(
        self, store: RecordStore
    ) -> None:
        children = [child() for _ in range(6)]
        heavy = [replace(each, write=replace(each.write, data=QUARTER)) for each in children]
        last = new_run()
        await store_all(store, last)
        for each in heavy:
            last = staying(last, each)
            await store_all(store, last)
        assert await children_of(store, last) == ids(children)[:5]
