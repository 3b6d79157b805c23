"""Flow control: which parked runs go on to their step, and when."""

from datetime import timedelta

import msgspec
import pytest

from tests.slots import most_at_once, most_in
from tests.unit.roles.loads import Flow, Place, Yard
from workflow_ray import FlowControl, Pause, Rate, Repeat, RunState, Stay
from workflow_ray.errors import InvalidInput
from workflow_ray.records import (
    Awaits,
    Cause,
    FlowLimits,
    SetAsideQuery,
    WriteGroup,
    admission_group,
)
from workflow_ray.records import Rate as StoredRate
from workflow_ray.runtime.deploying import describe_here, merge

TWO: Flow = FlowControl(concurrency=2)
BY_TENANT: Flow = FlowControl(concurrency=2, key=lambda run: run.data.tenant)


# --- slots --------------------------------------------------------------------------------------


async def test_a_run_is_parked_when_it_enters_and_admitted_before_its_step() -> None:
    async with Yard(TWO) as yard:
        (load,) = await yard.arrive("a")
        record = await yard.record(load)
        assert (record.awaits, record.parked) == (Awaits.PARKED, True)
        await yard.work()
        assert yard.begun == [load]
        await yard.let_end()
        causes = [entry.cause for entry in (await yard.histories())[0]]
        assert causes == [Cause.TRIGGER, Cause.ADMITTED, Cause.STEP]
        assert (await yard.record(load)).parking is None


async def test_no_more_runs_than_the_limit_run_and_the_next_one_follows_at_once() -> None:
    async with Yard(TWO) as yard:
        await yard.work()
        loads = await yard.arrive("aaaaa")
        assert sorted(yard.running) == loads[:2]
        await yard.let_end(loads[1])
        assert sorted(yard.running) == [loads[0], loads[2]]
        while yard.running:
            await yard.let_end()
        assert sorted(yard.begun) == loads
        assert most_at_once(await yard.histories(), Place.QUEUED.value) == 2


async def test_keys_have_limits_of_their_own() -> None:
    flow: Flow = FlowControl(concurrency_per_key=1, key=lambda run: run.data.tenant)
    async with Yard(flow) as yard:
        await yard.work()
        await yard.arrive("aaabbc")
        assert sorted(yard.running) == ["a-0", "b-3", "c-5"]
        await yard.let_end("a-0")
        assert sorted(yard.running) == ["a-1", "b-3", "c-5"]


async def test_keys_are_admitted_in_turn() -> None:
    async with Yard(BY_TENANT) as yard:
        await yard.work()
        await yard.arrive("aaaaaaaa" + "bb" + "c")
        while yard.running:
            await yard.let_end(next(iter(yard.running)))
        assert [load[0] for load in yard.begun[2:7]].count("a") <= 3
        assert [load[0] for load in yard.begun[-4:]] == list("aaaa")


async def test_the_largest_priority_of_a_key_is_next() -> None:
    flow: Flow = FlowControl(concurrency=1, priority=lambda run: run.data.urgency)
    async with Yard(flow) as yard:
        await yard.work()
        await yard.arrive("a")
        await yard.arrive("bc", urgency=1)
        await yard.arrive("d", urgency=5)
        while yard.running:
            await yard.let_end()
        assert [load[0] for load in yard.begun] == list("adbc")


async def test_a_slot_is_kept_between_attempts_and_while_the_run_repeats_or_stays() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        first, second = await yard.arrive("ab")
        await yard.fail(first)
        assert not yard.running
        await yard.pass_time(5)
        assert list(yard.running) == [first]
        await yard.let_end(first, result=Repeat(after=3))
        await yard.pass_time(3)
        assert list(yard.running) == [first]
        await yard.let_end(first, result=Stay())
        await yard.pass_time(60)
        assert await yard.parked() == [second]
        await yard.loads.handle((await yard.record(first)).run_id).cancel("it has left")
        await yard.pass_time()
        assert list(yard.running) == [second]


async def test_a_paused_run_gives_its_slot_back_and_is_parked_again_when_it_goes_on() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        first, second = await yard.arrive("ab")
        await yard.let_end(first, result=Pause("the crane is out"))
        assert list(yard.running) == [second]
        handle = yard.loads.handle((await yard.record(first)).run_id)
        await handle.resume()
        assert await yard.parked() == [first]
        await yard.let_end(second)
        assert list(yard.running) == [first]


async def test_a_failed_run_that_is_retried_is_parked_again() -> None:
    async with Yard(FlowControl(concurrency=1), attempts=1) as yard:
        await yard.work()
        first, second = await yard.arrive("ab")
        await yard.fail(first)
        assert list(yard.running) == [second]
        handle = yard.loads.handle((await yard.record(first)).run_id)
        await handle.retry()
        assert await yard.parked() == [first]
        await handle.pause("wait")
        await yard.let_end(second)
        assert not yard.running
        await handle.resume()
        await yard.pass_time()
        assert list(yard.running) == [first]
        assert most_at_once(await yard.histories(), Place.QUEUED.value) == 1


async def test_a_run_that_stays_without_a_step_gets_no_slot_when_it_is_resumed() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        first, second = await yard.arrive("ab")
        await yard.let_end(first, result=Stay())
        handle = yard.loads.handle((await yard.record(first)).run_id)
        await handle.pause("wait")
        await yard.pass_time()
        assert list(yard.running) == [second]
        await handle.resume()
        record = await yard.record(first)
        assert (record.awaits, record.parking) == (Awaits.MESSAGE, None)


# --- messages -----------------------------------------------------------------------------------


async def test_a_message_to_a_parked_run_is_taken_and_the_run_stays_parked() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        _, second = await yard.arrive("ab")
        handle = yard.loads.handle((await yard.record(second)).run_id)
        run = await handle.callback("note", b"7")
        assert run.data.urgency == 7
        record = await yard.record(second)
        assert (record.awaits, record.parked) == (Awaits.PARKED, True)
        assert second not in yard.begun
        await yard.let_end()
        assert list(yard.running) == [second]


async def test_an_event_for_a_parked_run_does_not_run_its_step() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        first, second = await yard.arrive("ab")
        record = await yard.record(second)
        (sent,) = await yard.received(Place.QUEUED)
        repeat = msgspec.structs.replace(
            sent, run_id=record.run_id, version=record.version, partition=record.partition
        )
        await yard.store.store([WriteGroup(events=(repeat,))])
        await yard.pass_time()
        assert list(yard.running) == [first]


# --- rates --------------------------------------------------------------------------------------


async def test_a_rate_admits_its_count_at_once_and_the_others_when_a_period_is_over() -> None:
    async with Yard(FlowControl(rate=Rate(2, per=60))) as yard:
        await yard.work()
        loads = await yard.arrive("aaaaa")
        assert sorted(yard.begun) == loads[:2]
        await yard.let_end()
        await yard.pass_time(59)
        assert sorted(yard.begun) == loads[:2]
        await yard.pass_time(1.1)
        assert sorted(yard.begun) == loads[:4]
        await yard.pass_time(61)
        assert sorted(yard.begun) == loads
        assert most_in(await yard.histories(), Place.QUEUED.value, timedelta(seconds=60)) == 2


async def test_a_rate_counts_an_admission_until_the_last_microsecond_of_the_period() -> None:
    async with Yard(FlowControl(rate=Rate(1, per=10))) as yard:
        await yard.work()
        loads = await yard.arrive("a")
        assert yard.begun == loads
        await yard.pass_time(9.9995)
        loads += await yard.arrive("a")
        assert yard.begun == loads[:1]
        await yard.pass_time(0.001)
        assert yard.begun == loads


async def test_each_key_has_its_rate() -> None:
    flow: Flow = FlowControl(rate_per_key=Rate(1, per=60), key=lambda run: run.data.tenant)
    async with Yard(flow) as yard:
        await yard.work()
        await yard.arrive("aabb")
        assert sorted(yard.begun) == ["a-0", "b-2"]
        await yard.pass_time(61)
        assert sorted(yard.begun) == ["a-0", "a-1", "b-2", "b-3"]


async def test_a_role_that_takes_over_counts_what_was_admitted_before() -> None:
    flow: Flow = FlowControl(
        concurrency=5,
        rate=Rate(4, per=60),
        rate_per_key=Rate(2, per=90),
        key=lambda run: run.data.tenant,
    )
    async with Yard(flow) as yard:
        admission = await yard.work()
        await yard.arrive("aaab")
        assert sorted(yard.begun) == ["a-0", "a-1", "b-3"]
        for _ in range(8):
            await admission.kill()
            admission = await yard.admission()
            await yard.let_end()
            await yard.pass_time(11)
        assert sorted(yard.begun) == ["a-0", "a-1", "b-3"]
        await admission.kill()
        await yard.admission()
        await yard.pass_time(5)
        assert "a-2" in yard.begun


async def test_the_keys_of_rates_are_not_stored_as_text() -> None:
    flow: Flow = FlowControl(rate_per_key=Rate(1, per=60), key=lambda run: "acme-ltd")
    async with Yard(flow) as yard:
        await yard.work()
        await yard.arrive("a")
        entries = await yard.store.set_aside(SetAsideQuery(group=admission_group("loads")))
        assert len(entries) == 1
        assert b"acme" not in entries[0].event


# --- changes ------------------------------------------------------------------------------------


async def test_limits_that_an_operator_sets_apply_at_once() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        await yard.arrive("aaaaaa")
        assert len(yard.running) == 1
        await yard.set_limits(FlowLimits(concurrency=3))
        assert len(yard.running) == 3
        await yard.set_limits(FlowLimits(concurrency=1))
        await yard.let_end(*list(yard.running)[:2])
        assert len(yard.running) == 1
        await yard.set_limits(FlowLimits(rate=StoredRate(count=1, seconds=10)))
        assert len(yard.running) == 2
        await yard.set_limits(FlowLimits())
        assert len(yard.running) == 4


async def test_without_limits_all_are_admitted() -> None:
    async with Yard(FlowControl(), attempts=1) as yard:
        await yard.work()
        await yard.arrive("a" * 70)
        assert len(yard.running) == 70


async def test_runs_that_are_parked_are_admitted_once_the_code_has_no_flow_control() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        await yard.arrive("aaa")
        await merge(yard.store, [describe_here(Yard(None).workflow)])
        assert admission_group("loads") in (await yard.store.deployment()).workflows[0].groups
        await yard.pass_time(60)
        assert len(yard.running) == 3


async def test_runs_that_entered_before_the_code_had_flow_control_are_parked_first() -> None:
    async with Yard(None) as before:
        await before.arrive("aaa")
        async with Yard(FlowControl(concurrency=1)) as yard:
            yard.store = yard.whole = before.store
            yard.clock = before.clock
            await merge(yard.store, [describe_here(yard.workflow)])
            await yard.work()
            assert len(yard.begun) == 1
            assert len(await yard.parked()) == 2
            causes = [entry.cause for entry in (await yard.histories())[0]]
            assert causes == [Cause.TRIGGER, Cause.PARKED, Cause.ADMITTED]


async def test_a_function_that_gives_no_key_refuses_the_trigger() -> None:
    flow: Flow = FlowControl(concurrency=1, key=lambda run: str(1 // run.data.urgency))
    async with Yard(flow) as yard:
        await yard.work()
        with pytest.raises(InvalidInput, match="its `key` raised ZeroDivisionError"):
            await yard.arrive("a")
        assert not await yard.records()


async def test_a_paused_run_that_is_parked_is_not_admitted() -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.work()
        first, second, third = await yard.arrive("abc")
        handle = yard.loads.handle((await yard.record(second)).run_id)
        await handle.pause("wait")
        await yard.let_end(first)
        assert list(yard.running) == [third]
        assert (await yard.record(second)).run_state is RunState.PAUSED
