"""Callbacks: their functions run in the consumer of the status that accepts them."""

import asyncio
from typing import Literal

from msgspec.structs import replace

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel
from tests.unit.roles.messaging import (
    RETRY,
    Deal,
    DealRun,
    Deals,
    Payment,
    callback,
    deals,
    pay,
    post,
    read,
    record_of,
)
from workflow_ray import Cancel, Fatal, Pause, Stay
from workflow_ray.records import BATCH_DATA, Awaits, Cause, MessageOutcome, RunState


def paying() -> Deals:
    """A payment of 0 is refused, one below 10 leaves the deal open, others pay it."""
    workflow = deals()

    @workflow.callback(Deal.OPEN, retry=RETRY)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID] | Stay | Pause | Cancel:
        if message.amount == 0:
            raise ValueError("no money")
        if message.amount < 0:
            raise Fatal("a debt")
        run.data.weight += message.amount
        if message.amount == 13:
            return Pause("unlucky")
        if message.amount == 666:
            return Cancel("never")
        return Deal.PAID if run.data.weight >= 10 else Stay()

    return workflow


async def test_a_message_leads_its_run_to_the_status_that_its_function_returns() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        run_id = runs["1"].run_id
        await bench.pass_time()
        assert (await record_of(bench, run_id)).awaits is Awaits.MESSAGE
        key = await pay(bench, run_id, 10)
        await bench.pass_time()
        run = await runs["1"].get()
        assert (run.status, run.run_state, run.data) == (
            Deal.PAID,
            RunState.COMPLETED,
            Parcel(weight=10),
        )
        assert await bench.causes(run_id) == [Cause.TRIGGER, Cause.CALLBACK]
        message = await read(bench, key)
        assert (message.outcome, message.version) == (MessageOutcome.TAKEN, 2)


async def test_messages_are_taken_one_after_the_other_in_the_order_of_their_posting() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        run_id = runs["1"].run_id
        keys = [await pay(bench, run_id, amount) for amount in (1, 2, 3, 9, 1)]
        await bench.pass_time()
        messages = [await read(bench, key) for key in keys]
        assert [(message.outcome, message.version) for message in messages] == [
            *((MessageOutcome.TAKEN, version) for version in (2, 3, 4, 5)),
            (MessageOutcome.PASSED, 5),
        ]
        assert (await runs["1"].get()).data.weight == 15


async def test_the_halts_of_a_callback_are_those_of_a_step() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "pauses", "cancels")
        await pay(bench, runs["pauses"].run_id, 13)
        await pay(bench, runs["cancels"].run_id, 666)
        await bench.pass_time()
        paused, cancelled = await runs["pauses"].get(), await runs["cancels"].get()
        assert (paused.run_state, paused.reason, paused.data.weight) == (
            RunState.PAUSED,
            "unlucky",
            13,
        )
        assert (cancelled.run_state, cancelled.reason) == (RunState.CANCELLED, "never")


async def test_a_function_that_fails_is_retried_and_then_leaves_its_run_where_it_is() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        run_id = runs["1"].run_id
        key = await pay(bench, run_id, 0)
        await bench.pass_time()
        for attempt in (1, 2):
            message = await read(bench, key)
            assert (message.attempt, message.outcome) == (attempt, None)
            assert message.reason == "ValueError: no money"
            await bench.pass_time(attempt)
        message = await read(bench, key)
        assert (message.attempt, message.outcome, message.version) == (3, MessageOutcome.FAILED, 1)
        record = await record_of(bench, run_id)
        assert (record.version, record.messages, record.awaits) == (1, 0, Awaits.MESSAGE)


async def test_a_fatal_error_and_a_payload_that_does_not_fit_are_not_retried() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        run_id = runs["1"].run_id
        fatal = await pay(bench, run_id, -1)
        wrong = callback(run_id, "paid", b'{"amount":"a secret"}')
        await post(bench, wrong)
        await bench.pass_time()
        assert (await read(bench, fatal)).outcome is MessageOutcome.FAILED
        message = await read(bench, wrong.key)
        assert message.outcome is MessageOutcome.FAILED
        assert message.reason is not None
        assert "amount: Input should be a valid integer" in message.reason
        assert "secret" not in message.reason


async def test_a_message_that_waits_for_its_next_attempt_holds_up_no_other() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        run_id = runs["1"].run_id
        failing = await pay(bench, run_id, 0)
        good = await pay(bench, run_id, 10)
        await bench.pass_time()
        assert (await read(bench, good)).outcome is MessageOutcome.TAKEN
        message = await read(bench, failing)
        assert (message.outcome, message.attempt) == (MessageOutcome.PASSED, 1)


async def test_a_message_with_a_name_that_the_code_does_not_have_fails() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        key = await pay(bench, runs["1"].run_id, name="unknown")
        await bench.pass_time()
        message = await read(bench, key)
        assert message.outcome is MessageOutcome.FAILED
        assert message.reason is not None
        assert "no function" in message.reason


async def test_a_message_to_a_paused_run_waits_until_it_is_resumed() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        await runs["1"].pause("held")
        key = await pay(bench, runs["1"].run_id, 10)
        await bench.pass_time(60)
        assert (await read(bench, key)).outcome is None
        await runs["1"].resume()
        await bench.pass_time()
        assert (await read(bench, key)).outcome is MessageOutcome.TAKEN
        assert await bench.causes(runs["1"].run_id) == [
            Cause.TRIGGER,
            Cause.PAUSE,
            Cause.RESUMED,
            Cause.CALLBACK,
        ]


async def test_a_message_loses_against_a_transition_that_commits_first() -> None:
    gate, workflow = asyncio.Event(), deals()

    @workflow.callback(Deal.OPEN)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
        await gate.wait()
        return Deal.PAID

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        key = await pay(bench, runs["1"].run_id)
        await bench.pass_time()
        await runs["1"].cancel("too late")
        gate.set()
        await bench.pass_time()
        message = await read(bench, key)
        assert (message.outcome, message.version) == (MessageOutcome.PASSED, 2)
        assert (await runs["1"].get()).run_state is RunState.CANCELLED


async def test_a_message_that_loses_against_a_resume_is_looked_at_again() -> None:
    gate, workflow, calls = asyncio.Event(), deals(), list[int]()

    @workflow.callback(Deal.OPEN)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
        calls.append(run.version)
        await gate.wait()
        return Deal.PAID

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        key = await pay(bench, runs["1"].run_id)
        await bench.pass_time()
        await runs["1"].pause("held")
        await runs["1"].resume()
        gate.set()
        await bench.pass_time()
        message = await read(bench, key)
        assert (message.outcome, message.version) == (MessageOutcome.TAKEN, 4)
        assert calls == [1, 3]


async def test_large_messages_that_a_run_keeps_hide_no_other_message() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *map(str, range(5)))
        for name in ("0", "3"):
            early = callback(runs[name].run_id, "paid", b" " * (BATCH_DATA + 1), Deal.PAID)
            await post(bench, replace(early, kept_at=(Deal.OPEN.value,)))
        for run in runs.values():
            await pay(bench, run.run_id, 10)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        assert {(await run.get()).status for run in runs.values()} == {Deal.PAID}


async def test_large_messages_of_many_runs_are_all_taken() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *map(str, range(8)))
        for run in reversed(runs.values()):
            padded = b" " * (BATCH_DATA // 2) + Payment(amount=10).model_dump_json().encode()
            await post(bench, callback(run.run_id, "paid", padded, Deal.OPEN))
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        assert {(await run.get()).status for run in runs.values()} == {Deal.PAID}
