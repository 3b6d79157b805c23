"""Messages whose event a stream has lost, and early messages that come to nothing."""

from typing import Literal

import msgspec
import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel
from tests.unit.roles.messaging import (
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
from workflow_ray import Stay
from workflow_ray.records import Cause, MessageOutcome
from workflow_ray.roles import inboxes
from workflow_ray.roles.sweeper import AGE, EVERY

SWEPT = AGE + 3 * EVERY


def paying() -> Deals:
    workflow = deals(partitions=2)

    @workflow.step(Deal.OPEN)
    async def offer(run: DealRun) -> Stay:
        return Stay()

    @workflow.callback(Deal.OPEN, early=1)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
        return Deal.PAID

    @workflow.callback(Deal.LOST)
    async def found(run: DealRun, message: Payment) -> Literal[Deal.OPEN]:
        return Deal.OPEN

    return workflow


async def test_a_message_whose_event_was_lost_is_taken_after_a_sweep() -> None:
    workflow = paying()
    async with Bench(workflow, apart=True) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        await bench.sweeper()
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        bench.stream.swallow = 1
        key = await pay(bench, runs["1"].run_id)
        await bench.pass_time(60)
        assert (await read(bench, key)).outcome is None
        await bench.pass_time(SWEPT)
        assert (await read(bench, key)).outcome is MessageOutcome.TAKEN
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STAY, Cause.CALLBACK]


async def test_a_sweep_settles_early_messages_that_have_expired() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.sweeper()
        handle = await bench.client(workflow).trigger("1", Parcel(), start_at=Deal.LOST)
        early = msgspec.structs.replace(
            callback(handle.run_id, "paid", b'{"amount":1}'), kept_at=None, keep=30.0
        )
        await post(bench, early)
        assert (await record_of(bench, handle.run_id)).messages == 1
        await bench.pass_time(2 * EVERY)
        record = await record_of(bench, handle.run_id)
        assert (record.messages, record.version) == (0, 1)
        message = await read(bench, early.key)
        assert message.outcome is MessageOutcome.EXPIRED
        assert message.settled_at == message.expires_at


async def test_an_early_message_is_taken_when_its_run_comes_to_the_status() -> None:
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.all_consumers()
        handle = await bench.client(workflow).trigger("1", Parcel(), start_at=Deal.LOST)
        early = msgspec.structs.replace(
            callback(handle.run_id, "paid", b'{"amount":1}'), kept_at=None, keep=30.0
        )
        found = callback(handle.run_id, "found", b'{"amount":1}', Deal.LOST)
        await post(bench, early)
        await bench.pass_time(29)
        await post(bench, found)
        await bench.pass_time(5)
        assert (await read(bench, early.key)).outcome is MessageOutcome.TAKEN
        assert (await handle.get()).status is Deal.PAID


async def test_messages_for_other_statuses_do_not_hide_one_that_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inboxes, "LIMIT", 2)
    workflow = paying()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.LOST)
        handle = await bench.client(workflow).trigger("1", Parcel(), start_at=Deal.LOST)
        for _ in range(50):
            early = callback(handle.run_id, "paid", b'{"amount":1}')
            await post(bench, msgspec.structs.replace(early, kept_at=None))
        found = callback(handle.run_id, "found", b'{"amount":1}', Deal.LOST)
        await post(bench, found)
        await bench.pass_time()
        assert (await read(bench, found.key)).outcome is MessageOutcome.TAKEN
