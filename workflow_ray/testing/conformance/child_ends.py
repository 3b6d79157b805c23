"""Cases of the ends of children: each parent gets the message that its link asks for."""

import asyncio

import pytest
from msgspec.structs import replace

from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    Awaits,
    ChildEnd,
    Link,
    MessageKind,
    MessageOutcome,
    RunState,
    Version,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import (
    ENDED,
    child,
    child_key,
    end_of,
    ids,
    parent_of,
    reported_ends,
    starting,
    staying,
    waiting_messages,
)
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    awaited,
    end,
    inbox,
    message_event,
    message_of,
    outcome_of,
    pause,
    publish_all,
    rest,
    stay,
    store_at_once,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    SHIPPED,
    acquire,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)


class ChildEndCases(Conformance):
    # --- the message ----------------------------------------------------------------------------

    @pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.CANCELLED])
    async def test_a_parent_gets_a_message_of_its_childs_end(
        self, store: Records, state: RunState
    ) -> None:
        publisher, one = await acquire(store), child(link=ENDED)
        parent = await parent_of(store, one)
        await end_of(store, one, run_state=state)
        (message,) = await waiting_messages(store, parent)
        assert message.key == child_key(parent, one.write.run_id)
        assert (message.name, message.statuses, message.visit) == ("invoices", (PAID,), None)
        assert (message.kept_at, message.expires_at) == (None, None)
        expected = ChildEnd(run_id=one.write.run_id, status=SHIPPED, run_state=state)
        assert await reported_ends(store, parent) == [expected]
        assert await awaited(store, parent) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(parent, status=PAID)]

    async def test_the_message_makes_no_version_of_the_parent(self, store: RecordStore) -> None:
        one = child(link=ENDED)
        parent = await parent_of(store, one)
        before = await stored(store, parent.run_id)
        await end_of(store, one)
        assert await versions(store, parent.run_id) == [1, 2]
        assert (await stored(store, parent.run_id)).updated_at == before.updated_at
        assert await inbox(store, parent.run_id) == [child_key(parent, one.write.run_id)]

    async def test_a_child_whose_link_asks_for_no_message_ends_without_one(
        self, store: Records
    ) -> None:
        publisher, one = await acquire(store), child()
        parent = await parent_of(store, one)
        await end_of(store, one)
        assert await waiting_messages(store, parent) == []
        assert await publish_all(store, publisher) == []
        assert await awaited(store, parent) == (Awaits.MESSAGE, 0)

    async def test_only_the_end_of_a_child_is_reported_and_only_once(
        self, store: RecordStore
    ) -> None:
        one = child(link=ENDED)
        parent = await parent_of(store, one)
        moved = step(one.write)
        paused = step(moved, run_state=RunState.PAUSED)
        await store_all(store, moved, paused)
        assert await waiting_messages(store, parent) == []
        ended = end(paused, run_state=RunState.CANCELLED)
        deleted = step(ended, run_state=RunState.REQUESTED_DATA_DELETED)
        await store_all(store, ended, ended, deleted)
        await store_all(store, ended)
        (reported,) = await reported_ends(store, parent)
        assert reported.run_state is RunState.CANCELLED

    async def test_each_of_many_children_that_end_in_one_call_is_reported(
        self, store: RecordStore
    ) -> None:
        children = [child(link=ENDED) for _ in range(20)]
        parent = await parent_of(store, *children)
        await end_of(store, *children)
        assert [reported.run_id for reported in await reported_ends(store, parent)] == ids(children)
        assert (await stored(store, parent.run_id)).messages == 20

    async def test_children_of_several_parents_that_end_in_one_call_are_reported_to_each(
        self, store: RecordStore
    ) -> None:
        children = [child(link=ENDED) for _ in range(6)]
        parents = [await parent_of(store, *children[at : at + 2]) for at in (0, 2, 4)]
        await end_of(store, *children)
        for at, parent in enumerate(parents):
            reported = [end.run_id for end in await reported_ends(store, parent)]
            assert reported == ids(children[2 * at : 2 * at + 2])

    async def test_a_child_that_is_finished_from_the_beginning_is_reported_too(
        self, store: Records
    ) -> None:
        publisher = await acquire(store)
        one = child(link=ENDED, run_state=RunState.COMPLETED)
        parent = await parent_of(store, one)
        assert [reported.run_id for reported in await reported_ends(store, parent)] == ids([one])
        assert await awaited(store, parent) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(parent, status=PAID)]

    async def test_a_foreign_id_that_two_writes_use_for_children_gives_a_message_for_each(
        self, store: RecordStore
    ) -> None:
        first, second = child("invoice-7", link=ENDED), child("invoice-7", link=ENDED)
        parent = await parent_of(store, first)
        await end_of(store, first)
        await store_all(store, again := staying(parent, second))
        await end_of(store, second)
        assert await inbox(store, parent.run_id) == [
            child_key(parent, first.write.run_id),
            child_key(again, second.write.run_id),
        ]

    # --- where the parent is --------------------------------------------------------------------

    async def test_the_end_of_a_child_is_kept_until_its_parent_accepts_it(
        self, store: Records
    ) -> None:
        publisher, run, one = await acquire(store), new_run(), child(link=ENDED)
        write = starting(run, one, status=CREATED)
        await store_all(store, run, write)
        await end_of(store, one)
        assert await awaited(store, run) == (Awaits.MESSAGE, 0)
        await store_all(store, shipped := rest(write, status=SHIPPED))
        assert await publish_all(store, publisher) == []
        await store_all(store, rest(shipped))
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert await publish_all(store, publisher) == [message_event(run, status=PAID)]
        assert await inbox(store, run.run_id) == [child_key(write, one.write.run_id)]

    async def test_a_paused_parent_keeps_the_end_of_its_child_until_it_is_resumed(
        self, store: Records
    ) -> None:
        publisher, one = await acquire(store), child(link=ENDED)
        parent = await parent_of(store, one)
        paused = pause(parent, visit=parent.visit, status=PAID)
        await store_all(store, paused)
        await end_of(store, one)
        assert await awaited(store, parent) == (Awaits.NOBODY, 0)
        assert await publish_all(store, publisher) == []
        await store_all(store, stay(paused, visit=parent.visit, status=PAID))
        assert await publish_all(store, publisher) == [message_event(parent, status=PAID)]

    async def test_a_finished_parent_ignores_the_ends_of_its_children(self, store: Records) -> None:
        publisher, early, late = await acquire(store), child(link=ENDED), child(link=ENDED)
        parent = await parent_of(store, early, late)
        await end_of(store, early)
        await publish_all(store, publisher)
        await store_all(store, end(parent))
        assert await outcome_of(store, child_key(parent, early.write.run_id)) == (
            MessageOutcome.PASSED,
            Version(3),
        )
        await end_of(store, late)
        assert await inbox(store, parent.run_id) == []
        assert await publish_all(store, publisher) == []

    @pytest.mark.parametrize("child_first", [True, False], ids=["before", "after"])
    async def test_a_child_may_end_in_one_call_with_a_move_of_its_parent(
        self, store: Records, child_first: bool
    ) -> None:
        publisher, run, one = await acquire(store), await stored_run(store), child(link=ENDED)
        started = starting(run, one, status=CREATED)
        await store_all(store, started)
        writes = [end(one.write), rest(started)]
        await store_all(store, *(writes if child_first else reversed(writes)))
        assert await inbox(store, run.run_id) == [child_key(started, one.write.run_id)]
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert message_event(run, status=PAID) in await publish_all(store, publisher)

    async def test_a_child_may_end_in_the_call_that_starts_it(self, store: RecordStore) -> None:
        run, one = await stored_run(store), child(link=ENDED)
        await store_all(store, starting(run, one), end(one.write))
        assert [reported.run_id for reported in await reported_ends(store, run)] == ids([one])

    async def test_the_end_of_a_child_is_taken_as_other_messages_are(
        self, store: RecordStore
    ) -> None:
        one = child(link=ENDED)
        parent = await parent_of(store, one)
        await end_of(store, one)
        taken = child_key(parent, one.write.run_id)
        assert taken.kind is MessageKind.CHILD
        await store_all(store, replace(rest(parent, status=SHIPPED), takes=(taken,)))
        assert await outcome_of(store, taken) == (MessageOutcome.TAKEN, Version(3))
        assert (await message_of(store, taken)).payload
        assert await inbox(store, parent.run_id) == []

    async def test_an_end_may_be_reported_to_a_grandparent_as_well(
        self, store: RecordStore
    ) -> None:
        """A parent that ends reports to its own parent, and its children report to nobody."""
        middle, grandchild = child(link=ENDED), child(workflow="orders", link=ENDED)
        top = await parent_of(store, middle)
        moved = starting(middle.write, grandchild)
        await store_all(store, moved, end(moved), end(grandchild.write))
        assert [reported.run_id for reported in await reported_ends(store, top)] == ids([middle])

    # --- races ----------------------------------------------------------------------------------

    async def test_no_end_of_a_child_is_missed_by_a_parent_that_moves_on(
        self, store: Records
    ) -> None:
        publisher = await acquire(store)
        children = [child(link=ENDED) for _ in range(CALLERS)]
        run = await stored_run(store)
        started = starting(run, *children, status=CREATED)
        await store_all(store, started)
        ends = [end(each.write) for each in children]
        middle = CALLERS // 2
        await store_at_once(store, [*ends[:middle], rest(started), *ends[middle:]])
        assert [reported.run_id for reported in await reported_ends(store, run)] == ids(children)
        assert await awaited(store, run) == (Awaits.EVENT, 0)
        assert message_event(run, status=PAID) in await publish_all(store, publisher)

    async def test_ends_of_children_and_of_their_parents_never_leave_a_message_waiting(
        self, store: RecordStore
    ) -> None:
        children = [child(link=Link(statuses=(PAID, SHIPPED))) for _ in range(20)]
        parents = [await parent_of(store, each) for each in children]
        ends = [
            end(write)
            for each, parent in zip(children, parents, strict=True)
            for write in (each.write, parent)
        ]
        await asyncio.gather(*(store_all(store, write) for write in ends))
        for parent in parents:
            assert await inbox(store, parent.run_id) == []
