"""Cases of children that a run joins, because their foreign ids have unfinished runs."""

import asyncio

from msgspec.structs import replace

from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import ChildRefused, Link, RunQuery, RunState, Stored, Version
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import (
    ENDED,
    GATHERED,
    child,
    child_key,
    children_of,
    end_of,
    ids,
    parent_of,
    parents_of,
    reported_ends,
    reported_gatherings,
    starting,
    staying,
    waiting_messages,
)
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    end,
    inbox,
    message_event,
    publish_all,
    store_at_once,
)
from workflow_ray.testing.conformance.runs import (
    PAID,
    acquire,
    event,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)


class JoinCases(Conformance):
    async def test_a_join_links_the_unfinished_run_and_starts_none(self, store: Records) -> None:
        publisher, active = await acquire(store), new_run("invoice-7", workflow="invoices")
        await store_all(store, active)
        before = await stored(store, active.run_id)
        one = child("invoice-7", link=ENDED, joins=True)
        one = replace(one, write=replace(one.write, events=(event(),)))
        parent = await parent_of(store, one)
        assert await children_of(store, parent) == [active.run_id]
        assert await parents_of(store, active.run_id) == [parent.run_id]
        assert await store.lookup([one.write.run_id], fresh=True) == [None]
        record = await stored(store, active.run_id)
        assert record == replace(before, has_parents=True)
        assert await versions(store, active.run_id) == [1]
        assert await publish_all(store, publisher) == []

    async def test_a_join_starts_a_run_if_there_is_none_to_join(self, store: RecordStore) -> None:
        ended = new_run("invoice-7", workflow="invoices")
        await store_all(store, ended, end(ended))
        one = child("invoice-7", joins=True)
        parent = await parent_of(store, one)
        assert await children_of(store, parent) == ids([one])

    async def test_a_run_that_was_joined_reports_its_end(self, store: Records) -> None:
        publisher, active = await acquire(store), new_run("invoice-7", workflow="invoices")
        await store_all(store, active)
        parent = await parent_of(store, child("invoice-7", link=ENDED, joins=True))
        await store_all(store, end(active))
        assert await inbox(store, parent.run_id) == [child_key(parent, active.run_id)]
        assert await publish_all(store, publisher) == [message_event(parent, status=PAID)]

    async def test_a_run_that_many_have_joined_reports_its_end_to_each_as_its_link_asks(
        self, store: RecordStore
    ) -> None:
        active = new_run("invoice-7", workflow="invoices")
        await store_all(store, active)
        links = [ENDED, Link(), GATHERED, Link(statuses=(PAID,), gathered_at=(PAID,))]
        parents = [
            await parent_of(store, child("invoice-7", link=link, joins=True)) for link in links
        ]
        assert await parents_of(store, active.run_id) == sorted(item.run_id for item in parents)
        await store_all(store, end(active))
        counts = [
            (len(await reported_ends(store, parent)), len(await reported_gatherings(store, parent)))
            for parent in parents
        ]
        assert counts == [(1, 0), (0, 0), (0, 1), (1, 1)]

    async def test_a_child_of_one_run_may_be_joined_by_another(self, store: RecordStore) -> None:
        first, second = child("invoice-7"), child("invoice-7", link=ENDED, joins=True)
        starter = await parent_of(store, first)
        joiner = await parent_of(store, second)
        assert await parents_of(store, first.write.run_id) == sorted(
            [starter.run_id, joiner.run_id]
        )
        await end_of(store, first)
        assert await waiting_messages(store, starter) == []
        assert len(await reported_ends(store, joiner)) == 1

    async def test_of_two_children_with_one_foreign_id_the_second_may_join_the_first(
        self, store: RecordStore
    ) -> None:
        """A write links a run once: the first link counts."""
        first = child("invoice-7", link=ENDED)
        second = child("invoice-7", link=Link(cascades=True), joins=True)
        parent = await parent_of(store, first, second)
        assert await children_of(store, parent) == ids([first])
        assert await children_of(store, parent, cascading=True) == []
        assert not (await stored(store, parent.run_id)).cascades
        await end_of(store, first)
        assert len(await reported_ends(store, parent)) == 1

    async def test_a_run_can_be_joined_again_by_a_later_write_of_its_parent(
        self, store: RecordStore
    ) -> None:
        one = child("invoice-7", link=ENDED)
        parent = await parent_of(store, one)
        await store_all(store, again := staying(parent, child("invoice-7", link=ENDED, joins=True)))
        assert await children_of(store, parent) == ids([one])
        await end_of(store, one)
        assert sorted(await inbox(store, parent.run_id)) == sorted(
            child_key(write, one.write.run_id) for write in (parent, again)
        )

    async def test_a_run_can_not_join_itself(self, store: RecordStore) -> None:
        run = new_run("order-42")
        await store_all(store, run)
        itself = child("order-42", workflow="orders", joins=True)
        assert await store_all(store, starting(run, itself)) == [
            ChildRefused(run.run_id, "order-42", run.run_id)
        ]
        assert await versions(store, run.run_id) == [1]

    async def test_a_refused_child_leaves_out_the_joins_of_its_write(
        self, store: RecordStore
    ) -> None:
        joined, taken = (new_run(f"invoice-{at}", workflow="invoices") for at in (1, 2))
        run = await stored_run(store)
        await store_all(store, joined, taken)
        write = starting(run, child("invoice-1", joins=True), child("invoice-2"))
        assert await store_all(store, write) == [
            ChildRefused(run.run_id, "invoice-2", taken.run_id)
        ]
        assert await parents_of(store, joined.run_id) == []
        assert not (await stored(store, joined.run_id)).has_parents

    async def test_a_repeated_write_joins_once(self, store: RecordStore) -> None:
        active, run = new_run("invoice-7", workflow="invoices"), await stored_run(store)
        await store_all(store, active)
        write = starting(run, child("invoice-7", link=GATHERED, joins=True))
        answers = await store_all(store, write)
        await store_all(store, end(active), new_run("invoice-7", workflow="invoices"))
        assert await store_all(store, write) == answers
        assert await children_of(store, run) == [active.run_id]
        (reported,) = await reported_gatherings(store, run)
        assert (reported.started, reported.completed) == (1, 1)

    # --- races ----------------------------------------------------------------------------------

    async def test_many_concurrent_joins_of_a_free_foreign_id_start_one_run(
        self, store: RecordStore
    ) -> None:
        runs = [new_run() for _ in range(CALLERS)]
        await store_all(store, *runs)
        writes = [starting(run, child("invoice-7", link=ENDED, joins=True)) for run in runs]
        answers = await store_at_once(store, writes)
        assert answers == [Stored(run.run_id, Version(2)) for run in runs]
        (record,) = await store.runs(RunQuery(workflow="invoices"))
        assert await parents_of(store, record.run_id) == sorted(run.run_id for run in runs)
        assert await versions(store, record.run_id) == [1]

    async def test_a_join_that_races_against_the_end_of_the_run_always_gets_an_answer(
        self, store: RecordStore
    ) -> None:
        """Each joins the run and gets its end, or starts a new one, which one of them does."""
        active = new_run("invoice-7", workflow="invoices")
        runs = [new_run() for _ in range(CALLERS)]
        await store_all(store, active, *runs)
        writes = [starting(run, child("invoice-7", link=ENDED, joins=True)) for run in runs]
        middle = CALLERS // 2
        await store_at_once(store, [*writes[:middle], end(active), *writes[middle:]])
        found = await store.runs(RunQuery(workflow="invoices"))
        assert len(found) <= 2
        assert found[0].run_id == active.run_id
        for write in writes:
            (joined,) = await children_of(store, write)
            ends = [item.run_id for item in await reported_ends(store, write)]
            assert ends == ([active.run_id] if joined == active.run_id else [])

    async def test_runs_that_join_each_other_at_the_same_time_do_not_block_each_other(
        self, store: RecordStore
    ) -> None:
        runs = [new_run(f"order-{at}") for at in range(20)]
        await store_all(store, *runs)
        writes = [
            starting(
                run, child(f"order-{(at + 1) % 20}", workflow="orders", link=ENDED, joins=True)
            )
            for at, run in enumerate(runs)
        ]
        answers = await store_at_once(store, writes)
        assert answers == [Stored(run.run_id, Version(2)) for run in runs]
        ends = [end(write, run_state=RunState.CANCELLED) for write in writes]
        assert await asyncio.gather(*(store_all(store, write) for write in ends)) == [
            [Stored(run.run_id, Version(3))] for run in runs
        ]
        for run in runs:
            assert await inbox(store, run.run_id) == []
            assert len(await parents_of(store, run.run_id)) == 1

    async def test_a_run_that_moves_while_it_is_joined_loses_neither(
        self, store: RecordStore
    ) -> None:
        active = new_run("invoice-7", workflow="invoices")
        runs = [new_run() for _ in range(CALLERS)]
        await store_all(store, active, *runs)
        writes = [starting(run, child("invoice-7", link=ENDED, joins=True)) for run in runs]
        middle = CALLERS // 2
        answers = await store_at_once(store, [*writes[:middle], step(active), *writes[middle:]])
        assert all(isinstance(answer, Stored) for answer in answers)
        record = await stored(store, active.run_id)
        assert (record.version, record.has_parents) == (2, True)
        assert len(await parents_of(store, active.run_id)) == CALLERS
