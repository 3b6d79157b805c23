"""Cases of gatherings: the message that the last open child of a workflow has ended."""

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
    GATHERING,
    child,
    children_key,
    end_of,
    parent_of,
    reported_gatherings,
    starting,
    staying,
    waiting_messages,
)
from workflow_ray.testing.conformance.posts import (
    awaited,
    inbox,
    message_event,
    outcome_of,
    pause,
    publish_all,
    rest,
    stay,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    acquire,
    new_run,
    store_all,
    stored_run,
    versions,
)


class GatheringCases(Conformance):
    # --- the last child ends --------------------------------------------------------------------

    async def test_a_parent_gets_a_message_when_its_last_open_child_ends(
        self, store: Records
    ) -> None:
        publisher = await acquire(store)
        children = [child(link=GATHERED) for _ in range(3)]
        parent = await parent_of(store, *children, gathers=True)
        await end_of(store, children[0])
        await end_of(store, children[2], run_state=RunState.CANCELLED)
        assert await waiting_messages(store, parent) == []
        assert await publish_all(store, publisher) == []
        await end_of(store, children[1])
        (message,) = await waiting_messages(store, parent)
        assert message.key == children_key(parent)
        assert (message.name, message.statuses, message.kept_at) == ("invoices", (PAID,), ())
        assert (message.visit, message.expires_at) == (None, None)
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=3, completed=2, cancelled=1)
        ]
        assert await awaited(store, parent) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(parent, status=PAID)]
        assert await versions(store, parent.run_id) == [1, 2]

    async def test_many_children_that_end_in_one_call_give_one_message(
        self, store: RecordStore
    ) -> None:
        children = [child(link=GATHERED) for _ in range(20)]
        parent = await parent_of(store, *children, gathers=True)
        await end_of(store, *children)
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=20, completed=20)
        ]

    async def test_only_children_whose_links_are_gathered_count(self, store: RecordStore) -> None:
        counted, other, elsewhere = (
            child(link=GATHERED),
            child(),
            child(link=GATHERED, workflow="parcels"),
        )
        parent = await parent_of(store, counted, other, elsewhere, gathers=True)
        await end_of(store, counted)
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=1, completed=1)
        ]

    async def test_each_workflow_of_children_has_a_message_of_its_own(
        self, store: RecordStore
    ) -> None:
        invoice, parcel = child(link=GATHERED), child(link=GATHERED, workflow="parcels")
        parent = await parent_of(store, invoice, parcel)
        await end_of(store, parcel)
        await end_of(store, invoice)
        assert await inbox(store, parent.run_id) == [
            children_key(parent, workflow="parcels"),
            children_key(parent),
        ]

    async def test_children_that_were_started_by_several_writes_are_waited_for_together(
        self, store: RecordStore
    ) -> None:
        run = new_run()
        first, second, third = (child(link=GATHERED) for _ in range(3))
        one = starting(run, first, status=CREATED)
        two = staying(one, second)
        last = starting(two, third, gathers=True)
        await store_all(store, run, one)
        await end_of(store, first)  # none is open now, but the parent is not at PAID
        await store_all(store, two, last)
        await end_of(store, third)
        assert await waiting_messages(store, run) == []
        await end_of(store, second)
        assert await reported_gatherings(store, run) == [
            ChildrenEnd(since=Version(2), started=3, completed=3)
        ]

    async def test_a_finished_parent_gets_no_message(self, store: Records) -> None:
        publisher, one = await acquire(store), child(link=GATHERED)
        parent = await parent_of(store, one, gathers=True)
        await store_all(store, replace(rest(parent), run_state=RunState.COMPLETED))
        await end_of(store, one)
        assert await inbox(store, parent.run_id) == []
        assert await publish_all(store, publisher) == []

    async def test_a_paused_parent_keeps_the_message_until_it_is_resumed(
        self, store: Records
    ) -> None:
        publisher, one = await acquire(store), child(link=GATHERED)
        parent = await parent_of(store, one, gathers=True)
        paused = pause(parent, visit=parent.visit, status=PAID)
        await store_all(store, paused)
        await end_of(store, one)
        assert len(await reported_gatherings(store, parent)) == 1
        assert await publish_all(store, publisher) == []
        await store_all(store, stay(paused, visit=parent.visit, status=PAID))
        assert await publish_all(store, publisher) == [message_event(parent, status=PAID)]

    # --- the parent enters a status -------------------------------------------------------------

    async def test_a_parent_whose_children_ended_first_gets_the_message_when_it_enters(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await stored_run(store)
        children = [child(link=GATHERED) for _ in range(2)]
        started = starting(run, *children, status=CREATED)
        await store_all(store, started)
        await end_of(store, *children)
        assert await waiting_messages(store, run) == []
        await store_all(store, entered := starting(started, gathers=True))
        assert await inbox(store, run.run_id) == [children_key(entered)]
        assert await reported_gatherings(store, run) == [
            ChildrenEnd(since=Version(2), started=2, completed=2)
        ]
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(run, status=PAID)]

    async def test_a_parent_that_has_started_none_gets_the_message_at_once(
        self, store: Records
    ) -> None:
        publisher, run = await acquire(store), await stored_run(store)
        await store_all(store, entered := starting(run, gathers=True))
        assert await inbox(store, run.run_id) == [children_key(entered)]
        assert await reported_gatherings(store, run) == [ChildrenEnd(since=Version(0))]
        assert await publish_all(store, publisher) == [message_event(run, status=PAID)]

    async def test_a_new_run_and_a_new_child_may_gather_at_their_first_status(
        self, store: RecordStore
    ) -> None:
        at_once = replace(GATHERING, statuses=(CREATED,))
        one = child(workflow="orders")
        one = replace(one, write=replace(one.write, gatherings=(at_once,)))
        run = replace(new_run(), gatherings=(at_once,), children=(one,))
        await store_all(store, run)
        for each in (run, one.write):
            assert await inbox(store, each.run_id) == [children_key(each)]

    async def test_a_parent_waits_for_its_open_children_when_it_enters(
        self, store: RecordStore
    ) -> None:
        parent = await parent_of(store, child(link=GATHERED), gathers=True)
        assert await waiting_messages(store, parent) == []
        assert await awaited(store, parent) == (Awaits.MESSAGE, 0)

    async def test_a_child_that_is_finished_from_the_beginning_counts(
        self, store: RecordStore
    ) -> None:
        first, second = child(link=GATHERED), child(link=GATHERED, run_state=RunState.COMPLETED)
        parent = await parent_of(store, first, second, gathers=True)
        assert await waiting_messages(store, parent) == []
        await end_of(store, first)
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=2, completed=2)
        ]

    async def test_children_that_are_all_finished_from_the_beginning_give_one_message(
        self, store: RecordStore
    ) -> None:
        children = [child(link=GATHERED, run_state=RunState.COMPLETED) for _ in range(2)]
        parent = await parent_of(store, *children, gathers=True)
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=2, completed=2)
        ]

    async def test_a_message_that_waits_is_not_posted_a_second_time(
        self, store: RecordStore
    ) -> None:
        one = child(link=GATHERED)
        parent = await parent_of(store, one, gathers=True)
        await end_of(store, one)
        await store_all(store, starting(parent, gathers=True))
        assert await inbox(store, parent.run_id) == [children_key(parent)]

    async def test_a_parent_that_comes_back_gets_the_message_that_it_has_passed_again(
        self, store: RecordStore
    ) -> None:
        one = child(link=GATHERED)
        parent = await parent_of(store, one, gathers=True)
        await end_of(store, one)
        left = rest(parent, status=SHIPPED)
        await store_all(store, left)
        assert await outcome_of(store, children_key(parent)) == (MessageOutcome.PASSED, Version(3))
        await store_all(store, back := starting(left, gathers=True))
        assert await inbox(store, parent.run_id) == [children_key(back)]
        assert await reported_gatherings(store, parent) == [
            ChildrenEnd(since=Version(2), started=1, completed=1)
        ]
