"""Cases of children: they are stored with the write that starts them, or neither is."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import Records, RecordStore
from workflow_ray.records import (
    ChildRefused,
    Conflict,
    Event,
    Fenced,
    Link,
    MessageGone,
    NewChild,
    NewTimeout,
    Record,
    RunQuery,
    RunState,
    Stored,
    Version,
    status_topic,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import (
    LINK,
    child,
    children_of,
    ids,
    parent_of,
    parents_of,
    starting,
    staying,
)
from workflow_ray.testing.conformance.posts import CALLERS, end, key, publish_all, store_at_once
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    PAID,
    acquire,
    event,
    group,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)

FLAWED: dict[str, NewChild] = {
    "a second version": NewChild(write=step(new_run()), link=LINK),
    "children of its own": NewChild(write=replace(new_run(), children=(child(),)), link=LINK),
    "an idempotency key": NewChild(write=new_run(key="k"), link=LINK),
    "a foreign id that can't be stored": child("\0"),
}


class ChildrenCases(Conformance):
    # --- stored with their parent ---------------------------------------------------------------

    async def test_a_child_is_stored_with_the_write_that_starts_it(
        self, store: Records, clock: FakeClock
    ) -> None:
        publisher, run = await acquire(store), await stored_run(store)
        await clock.advance(timedelta(seconds=5))
        topic = status_topic("invoices", CREATED)
        new = replace(child().write, data=b"[7]", events=(event(topic=topic, partition=3),))
        write = starting(run, NewChild(write=new, link=LINK))
        assert await store_all(store, write) == [Stored(run.run_id, Version(2))]
        record = await stored(store, new.run_id)
        assert (record.workflow, record.version, record.data) == ("invoices", 1, b"[7]")
        assert (record.created_at, record.has_parents) == (clock.now(), True)
        assert await versions(store, new.run_id) == [1]
        assert await publish_all(store, publisher) == [
            Event(
                run_id=new.run_id,
                topic=topic,
                partition=3,
                version=Version(1),
                status=CREATED,
            )
        ]
        assert await store.latest("invoices", [record.foreign_id]) == [record]

    async def test_children_are_counted_and_listed_as_other_runs_are(
        self, store: RecordStore
    ) -> None:
        children = [child() for _ in range(3)]
        await parent_of(store, *children)
        (count,) = await store.counts("invoices")
        assert (count.status, count.run_state, count.runs) == (CREATED, RunState.INITIATED, 3)
        found = await store.runs(RunQuery(workflow="invoices"))
        assert [record.run_id for record in found] == ids(children)

    async def test_a_new_run_may_start_children_too(self, store: RecordStore) -> None:
        one = child()
        run = replace(new_run(), children=(one,))
        assert await store_all(store, run) == [Stored(run.run_id, Version(1))]
        assert await children_of(store, run) == ids([one])

    async def test_a_child_may_be_a_run_of_its_parents_workflow(self, store: RecordStore) -> None:
        one = child(workflow="orders")
        parent = await parent_of(store, one)
        assert await children_of(store, parent, workflow="orders") == ids([one])

    async def test_a_child_may_start_children_itself(self, store: RecordStore) -> None:
        one, two = child(), child(workflow="orders")
        parent = await parent_of(store, one)
        await store_all(store, starting(one.write, two))
        assert await children_of(store, parent) == ids([one])
        assert await children_of(store, one.write, workflow="orders") == ids([two])

    async def test_a_run_has_its_flags_only_once_it_has_relatives(self, store: RecordStore) -> None:
        run = await stored_run(store)
        assert (run.has_parents, run.cascades) == (False, False)
        plain, cascading = child(), child(link=Link(cascades=True))
        first = starting(run, plain)
        await store_all(store, first)
        assert not (await stored(store, run.run_id)).cascades
        await store_all(store, second := staying(first, cascading), staying(second))
        parent = await stored(store, run.run_id)
        assert (parent.has_parents, parent.cascades) == (False, True)
        for each in (plain, cascading):
            await store_all(store, step(each.write))
            record = await stored(store, each.write.run_id)
            assert (record.has_parents, record.cascades) == (True, False)

    async def test_the_timeouts_of_a_child_are_created_with_it(self, store: Records) -> None:
        publisher = await acquire(store)
        timeout = NewTimeout(name="late", workflow="invoices", partition=0, after=60)
        new = replace(child().write, timeouts=(timeout,))
        run = await stored_run(store)
        write = starting(run, NewChild(write=new, link=LINK))
        await store.store([replace(group(write), timeouts_apart=True)])
        (entry,) = await store.pending(publisher, limit=10, wait=0)
        assert entry.timeout is not None
        assert (entry.timeout.key.run_id, entry.timeout.key.visit) == (new.run_id, Version(1))
        assert (entry.timeout.workflow, entry.timeout.status) == ("invoices", CREATED)

    # --- or not at all --------------------------------------------------------------------------

    async def test_a_taken_foreign_id_leaves_out_the_parents_write_with_all_its_children(
        self, store: RecordStore
    ) -> None:
        taken, run = new_run("invoice-7", workflow="invoices"), await stored_run(store)
        await store_all(store, taken)
        free, refused = child(), child("invoice-7")
        assert await store_all(store, starting(run, free, refused)) == [
            ChildRefused(run.run_id, "invoice-7", taken.run_id)
        ]
        assert await versions(store, run.run_id) == [1]
        run_ids = [free.write.run_id, refused.write.run_id]
        assert await store.lookup(run_ids, fresh=True) == [None, None]
        assert await children_of(store, run) == []

    async def test_a_refused_write_can_be_stored_once_the_foreign_id_is_free(
        self, store: RecordStore
    ) -> None:
        taken, run = new_run("invoice-7", workflow="invoices"), await stored_run(store)
        await store_all(store, taken)
        write = starting(run, child("invoice-7"))
        await store_all(store, write)
        answers = await store_all(store, end(taken), write)
        assert answers[1:] == [Stored(run.run_id, Version(2))]

    async def test_two_children_of_one_write_need_foreign_ids_of_their_own(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        first, second = child("invoice-7"), child("invoice-7")
        assert await store_all(store, starting(run, first, second)) == [
            ChildRefused(run.run_id, "invoice-7", first.write.run_id)
        ]
        assert await store.runs(RunQuery(workflow="invoices")) == []

    async def test_a_child_can_have_the_foreign_id_of_its_parent_only_if_the_parent_ends(
        self, store: RecordStore
    ) -> None:
        run = new_run("order-42")
        await store_all(store, run)
        successor = child("order-42", workflow="orders")
        assert await store_all(store, starting(run, successor)) == [
            ChildRefused(run.run_id, "order-42", run.run_id)
        ]
        assert await store_all(store, replace(end(run), children=(successor,))) == [
            Stored(run.run_id, Version(2))
        ]
        (latest,) = await store.latest("orders", ["order-42"])
        assert latest is not None
        assert latest.run_id == successor.write.run_id

    async def test_a_stale_write_starts_no_child(self, store: RecordStore) -> None:
        run, one = await stored_run(store), child()
        await store_all(store, step(run))
        assert await store_all(store, starting(run, one)) == [Conflict(run.run_id, Version(2))]
        assert await store.lookup([one.write.run_id], fresh=True) == [None]

    async def test_a_write_whose_message_is_gone_starts_no_child(self, store: RecordStore) -> None:
        run, one = await stored_run(store), child()
        write = starting(run, one, takes=(key("m-0"),))
        assert await store_all(store, write) == [MessageGone(run.run_id, key("m-0"))]
        assert await store.lookup([one.write.run_id], fresh=True) == [None]

    async def test_a_group_with_an_old_fence_starts_no_child(self, store: Records) -> None:
        run, one, old = await stored_run(store), child(), await acquire(store, CONSUMERS)
        new = await acquire(store, CONSUMERS)
        write = starting(run, one)
        assert await store.store([group(write, fence=old)]) == [Fenced(old.role, new.epoch)]
        assert await store.lookup([one.write.run_id], fresh=True) == [None]

    async def test_a_repeated_write_starts_its_children_once(self, store: RecordStore) -> None:
        run, one = await stored_run(store), child("invoice-7")
        write = starting(run, one)
        answers = await store_all(store, write)
        assert await store_all(store, write, write) == answers * 2
        await store_all(store, end(one.write))
        assert await store_all(store, write) == answers
        assert await versions(store, one.write.run_id) == [1, 2]
        assert await children_of(store, run) == ids([one])

    @pytest.mark.parametrize("flawed", FLAWED.values(), ids=FLAWED.keys())
    async def test_a_flawed_child_prevents_the_whole_call(
        self, store: RecordStore, flawed: NewChild
    ) -> None:
        good = new_run()
        with pytest.raises(WriteRejected):
            await store_all(store, good, replace(new_run(), children=(flawed,)))
        assert await store.lookup([good.run_id], fresh=True) == [None]

    # --- races ----------------------------------------------------------------------------------

    async def test_one_of_many_concurrent_writes_of_a_parent_starts_its_child(
        self, store: RecordStore
    ) -> None:
        run = await stored_run(store)
        children = [child() for _ in range(CALLERS)]
        answers = await store_at_once(store, [starting(run, each) for each in children])
        assert [type(answer) for answer in answers].count(Stored) == 1
        started = [
            each.write.run_id
            for each, answer in zip(children, answers, strict=True)
            if isinstance(answer, Stored)
        ]
        assert await children_of(store, run) == started
        assert len(await store.runs(RunQuery(workflow="invoices"))) == 1

    async def test_one_of_many_concurrent_parents_gets_the_foreign_id_of_a_child(
        self, store: RecordStore
    ) -> None:
        runs = [new_run() for _ in range(CALLERS)]
        await store_all(store, *runs)
        children = [child("invoice-7") for _ in range(CALLERS)]
        writes = [starting(run, one) for run, one in zip(runs, children, strict=True)]
        answers = await store_at_once(store, writes)
        (winner,) = [answer.run_id for answer in answers if isinstance(answer, Stored)]
        (record,) = await store.runs(RunQuery(workflow="invoices"))
        assert await parents_of(store, record.run_id) == [winner]
        losers = [answer for answer in answers if not isinstance(answer, Stored)]
        assert losers == [
            ChildRefused(loser.run_id, "invoice-7", record.run_id) for loser in losers
        ]
        statuses = {record.run_id: record.status for record in await records_of(store)}
        assert statuses == {run.run_id: PAID if run.run_id == winner else CREATED for run in runs}

    async def test_a_child_and_a_trigger_that_want_one_foreign_id_never_both_get_it(
        self, store: RecordStore
    ) -> None:
        runs = [new_run() for _ in range(10)]
        await store_all(store, *runs)
        foreign_ids = [f"invoice-{at}" for at in range(len(runs))]
        starts = [starting(run, child(name)) for run, name in zip(runs, foreign_ids, strict=True)]
        triggers = [new_run(name, workflow="invoices") for name in foreign_ids]
        started, triggered = await asyncio.gather(
            store_at_once(store, starts), store_at_once(store, triggers)
        )
        for one, other in zip(started, triggered, strict=True):
            assert isinstance(one, Stored) != isinstance(other, Stored)
        found = await store.runs(RunQuery(workflow="invoices"))
        assert sorted(record.foreign_id for record in found) == foreign_ids


async def records_of(store: RecordStore) -> list[Record]:
    return await store.runs(RunQuery(workflow="orders"))
