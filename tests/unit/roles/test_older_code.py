"""Older code holds runs with newer data back, and leaves the data alone."""

import asyncio
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from tests.unit.roles.rolling import (
    NEWER,
    Grams,
    Kilograms,
    Leg,
    NewRun,
    OldRun,
    new_code,
    old_code,
    stored,
)
from workflow_ray import Retry, RunState, Stay, Workflow
from workflow_ray.engine.held_back import HELD as HELD_BACK
from workflow_ray.engine.transition import count_attempt
from workflow_ray.errors import NewerData
from workflow_ray.records import (
    Awaits,
    Cause,
    MessageQuery,
    Role,
    RunId,
    SetAsideQuery,
    WriteGroup,
    data_group,
    hooks_group,
    new_write_id,
)

HELD = [Cause.TRIGGER, Cause.PARKED]


async def test_old_code_holds_a_run_back_and_counts_no_attempt_until_new_code_takes_it() -> None:
    async with Bench(old_code()) as bench:
        handle = await bench.client(new_code()).trigger("1", Grams(grams=3))
        await bench.publisher()
        old = await bench.consumer(Leg.PICKED)
        await bench.pass_time()
        record = await stored(bench, handle.run_id)
        assert (record.cause, record.reason, record.attempt) == (Cause.PARKED, NEWER, 0)
        assert (record.run_state, record.awaits) == (RunState.RUNNING, Awaits.EVENT)
        assert (record.data, record.data_version) == (b'{"grams":3,"seen":[]}', 2)
        assert await bench.causes(handle.run_id) == HELD
        await bench.pass_time(300)
        assert await bench.causes(handle.run_id) == HELD
        (entry,) = (await bench.store.activity()).delayed
        assert entry.event is not None
        assert 10 <= int(entry.event.headers[HELD_BACK]) <= 30
        await old.leave()
        bench.workflows = (new_code(),)
        await bench.consumer(Leg.PICKED)
        await bench.pass_time(30)
        run = await bench.client(new_code()).handle(handle.run_id).get()
        assert (run.status, run.data.seen) == (Leg.PACKED, ["new pick"])


async def test_an_in_doubt_attempt_that_old_code_holds_back_is_not_counted() -> None:
    async with Bench(old_code()) as bench:
        handle = await bench.client(new_code()).trigger("1", Grams(grams=3))
        await bench.publisher()
        first = await bench.consumer(Leg.PICKED)
        await first.kill()
        await bench.consumer(Leg.PICKED)
        await bench.pass_time(60)
        record = await stored(bench, handle.run_id)
        assert (record.cause, record.attempt) == (Cause.PARKED, 0)


async def test_old_code_does_not_fail_an_in_doubt_run_that_has_more_attempts_in_newer_code() -> (
    None
):
    newer = Workflow("rolling", Grams, Leg, data_version=2)

    @newer.migrate(1)
    def same(data: dict[str, Any]) -> dict[str, Any]:
        return data

    @newer.step(Leg.PICKED, retry=Retry(attempts=10))
    async def pick(run: NewRun) -> Literal[Leg.PACKED, Leg.WEIGHED, Leg.PAID]:
        return Leg.PACKED

    step = newer.checked().step(Leg.PICKED)
    assert step is not None
    async with Bench(old_code()) as bench:
        handle = await bench.client(newer).trigger("1", Grams(grams=3))
        for _ in range(3):  # newer code dies in each attempt
            record = await stored(bench, handle.run_id)
            count = count_attempt(record, step, newer, by="newer", write_id=new_write_id())
            await bench.store.store([WriteGroup(writes=(count,))])
        await bench.publisher()
        await bench.consumer(Leg.PICKED)
        await bench.pass_time(60)
        record = await stored(bench, handle.run_id)
        assert (record.cause, record.run_state) == (Cause.PARKED, RunState.RUNNING)
        assert record.attempt == 3


async def test_a_batch_step_of_old_code_holds_back_newer_runs_alone() -> None:
    async with Bench(old_code()) as bench:
        old, new = bench.client(old_code()), bench.client(new_code())
        mine = await old.trigger("old", Kilograms(weight=1))
        theirs = await new.trigger("new", Grams(grams=1))
        for handle, client in ((mine, old), (theirs, new)):
            await client.handle(handle.run_id).move(Leg.PACKED, "for the test")
        await bench.publisher()
        await bench.consumer(Leg.PACKED)
        await bench.pass_time(5)
        assert (await stored(bench, mine.run_id)).status == Leg.WEIGHED.value
        record = await stored(bench, theirs.run_id)
        assert (record.status, record.cause, record.attempt) == (
            Leg.PACKED.value,
            Cause.PARKED,
            0,
        )


@pytest.mark.parametrize("name", ["paid", "given"])
async def test_old_code_leaves_a_message_to_newer_data_to_newer_code(name: str) -> None:
    newer = new_code(more=True)
    async with Bench(old_code()) as bench:
        client = bench.client(newer)
        handle = await client.trigger("1", Grams(grams=3))
        await client.handle(handle.run_id).move(Leg.WEIGHED, "for the test")
        await bench.publisher()
        old = await bench.consumer(Leg.WEIGHED)
        callback = newer.checked().callback(name)
        assert callback is not None
        calling = asyncio.create_task(client.handle(handle.run_id).callback(callback.function, 1))
        await bench.pass_time(60)
        assert not calling.done()
        record = await stored(bench, handle.run_id)
        assert (record.version, record.messages) == (2, 1)
        await old.leave()
        bench.workflows = (newer,)
        await bench.consumer(Leg.WEIGHED)
        await bench.pass_time(40)
        assert (await calling).status is Leg.PAID


async def test_a_function_that_reads_newer_data_of_a_child_is_held_back() -> None:
    child, parent = old_code(), parcels()

    @parent.step(Stage.NEW)
    async def begin(run: ParcelRun) -> Stay:
        run.start(child, "child", Kilograms())
        return Stay()

    @parent.child(Stage.NEW, child)
    async def ended(run: ParcelRun, ended: OldRun) -> Literal[Stage.DONE]:
        run.data.weight = ended.data.weight
        return Stage.DONE

    async with Bench(parent, child) as bench:
        handle = await bench.client(parent).trigger("1", Parcel())
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        newer = bench.client(new_code())
        found = [run async for run in newer.runs()]
        await newer.handle(found[0].run_id).move(Leg.WEIGHED, "for the test")
        bench.workflows = (parent, new_code())
        bench.workflow = new_code()
        await bench.consumer(Leg.WEIGHED)
        calling = asyncio.create_task(_paid(bench, found[0].run_id))
        await bench.pass_time(60)
        await calling
        record = await stored(bench, handle.run_id)
        assert (record.run_state, record.messages) == (RunState.RUNNING, 1)
        (message,) = await bench.store.messages(MessageQuery(run_ids=(handle.run_id,)))
        assert (message.attempt, message.reason) == (0, NEWER)


async def _paid(bench: Bench, run_id: RunId) -> None:
    newer = new_code()
    paid = newer.checked().callback("paid")
    assert paid is not None
    await bench.client(newer).handle(run_id).callback(paid.function, 1)


async def test_a_hook_of_old_code_waits_for_newer_code() -> None:
    old, newer, called = old_code(), new_code(), list[str]()

    @old.on_pause(retry=Retry(attempts=1))
    async def alarm(run: OldRun) -> None:
        called.append("old")

    async def alarm_too(run: NewRun) -> None:
        called.append(f"new {run.data.grams}")

    alarm_too.__name__ = alarm_too.__qualname__ = "alarm"
    newer.on_pause(alarm_too)
    async with Bench(old) as bench:
        await bench.publisher()
        role = await bench.start(Role(hooks_group("rolling")))
        handle = await bench.client(newer).trigger("1", Grams(grams=3))
        await bench.client(newer).handle(handle.run_id).pause("a look")
        await bench.pass_time(300)
        assert called == []
        (entry,) = await bench.store.set_aside(SetAsideQuery(group=hooks_group("rolling")))
        assert (entry.attempt, entry.due_at is not None) == (0, True)
        await role.leave()
        bench.workflows = (newer,)
        await bench.start(Role(hooks_group("rolling")))
        await bench.pass_time(60)
        assert called == ["new 3"]
        assert await bench.store.set_aside(SetAsideQuery(group=hooks_group("rolling"))) == []


@pytest.mark.parametrize("has_scrubber", [True, False])
async def test_old_code_leaves_the_deletion_of_newer_data_to_newer_code(has_scrubber: bool) -> None:
    old, newer = old_code(), new_code()
    if has_scrubber:

        @old.scrub
        async def scrub(run: OldRun) -> Kilograms:  # it reads no data
            return Kilograms(seen=["old"])

    @newer.scrub
    async def scrub_too(run: NewRun) -> Grams:
        return Grams(grams=run.data.grams, seen=["removed"])

    async with Bench(old) as bench:
        role = await bench.start(Role(data_group("rolling")))
        handle = await bench.client(newer).trigger("1", Grams(grams=3, seen=["SECRET"]))
        await bench.client(newer).handle(handle.run_id).cancel("for the test")
        await handle.delete_data()
        await bench.pass_time(300)
        record = await stored(bench, handle.run_id)
        assert (record.run_state, record.data_version) == (RunState.REQUESTED_DATA_DELETED, 2)
        (entry,) = await bench.store.set_aside(SetAsideQuery(group=data_group("rolling")))
        assert (entry.attempt, entry.error, entry.due_at is not None) == (0, NEWER, True)
        await role.leave()
        bench.workflows = (newer,)
        await bench.start(Role(data_group("rolling")))
        await bench.pass_time(60)
        record = await stored(bench, handle.run_id)
        assert record.run_state is RunState.DATA_DELETED
        assert record.data == b'{"grams":3,"seen":["removed"]}'


async def test_readers_with_older_code_get_newer_data() -> None:
    async with Bench(old_code()) as bench:
        handle = await bench.client(new_code()).trigger("1", Grams(grams=3))
        old = bench.client(old_code()).handle(handle.run_id)
        run = await old.get()
        with pytest.raises(NewerData) as raised:
            _ = run.data
        assert str(raised.value) == (
            f"run {handle.run_id} of 'rolling': {NEWER}. Update this program's code to the one that"
            " is deployed."
        )
        assert run.status is Leg.PICKED
        assert run.unreadable == str(raised.value)
        (entry,) = await old.history()
        with pytest.raises(NewerData):
            _ = entry.data
        with pytest.raises(NewerData):
            await old.fork(1, foreign_id="2")


async def test_old_code_controls_runs_with_newer_data_and_leaves_the_data_alone() -> None:
    async with Bench(old_code()) as bench:
        handle = await bench.client(new_code()).trigger("1", Grams(grams=3))
        old = bench.client(old_code()).handle(handle.run_id)
        await old.pause("a look")
        await old.resume()
        await old.move(Leg.WEIGHED, "for the test")
        await old.cancel("enough")
        record = await stored(bench, handle.run_id)
        assert (record.data, record.data_version) == (b'{"grams":3,"seen":[]}', 2)
