"""Messages, steps and controls in random order, while holders stop and die: no message is forgotten
or taken twice.
"""

import asyncio
from contextlib import suppress
from random import Random
from typing import Literal

import pytest

from tests.unit.bench import AtWork, Bench, triggered
from tests.unit.parcels import Parcel
from tests.unit.roles.messaging import (
    RETRY,
    Deal,
    DealRun,
    Deals,
    Payment,
    callback,
    deals,
    post,
    record_of,
)
from workflow_ray import Handle, Retry, Stay
from workflow_ray.errors import ControlRefused
from workflow_ray.records import (
    Cause,
    MessageKey,
    MessageOutcome,
    MessageQuery,
    Posted,
    RunState,
)

RUNS = 8
ROUNDS = 25


def chaotic(random: Random) -> Deals:
    """A step that stays, fails or passes, a callback that fails or stays, and a timeout."""
    workflow = deals(partitions=2)

    @workflow.step(Deal.OPEN, retry=Retry(attempts=4, backoff=2))
    async def offer(run: DealRun) -> Literal[Deal.EXPIRED] | Stay:
        await asyncio.sleep(0)
        if random.random() < 0.4:
            raise ValueError("broken")
        return Stay() if random.random() < 0.9 else Deal.EXPIRED

    @workflow.callback(Deal.OPEN, Deal.EXPIRED, retry=RETRY)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.OPEN, Deal.PAID] | Stay:
        await asyncio.sleep(0)
        if random.random() < 0.3:
            raise ValueError("no money")
        run.data.weight += message.amount
        if random.random() < 0.1:
            return Deal.PAID
        return Stay() if random.random() < 0.8 else Deal.OPEN

    @workflow.timeout(Deal.EXPIRED, after=30)
    async def remind(run: DealRun) -> Literal[Deal.OPEN, Deal.LOST]:
        return Deal.OPEN if random.random() < 0.9 else Deal.LOST

    return workflow


@pytest.mark.parametrize("seed", range(6))
async def test_no_message_is_forgotten_or_taken_twice(seed: int) -> None:
    random, keys = Random(seed), list[MessageKey]()
    workflow = chaotic(random)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.timeout_consumer(Deal.EXPIRED)
        runs = await triggered(bench, workflow, *map(str, range(RUNS)))
        consumers = await bench.all_consumers()
        for _ in range(ROUNDS):
            for handle in random.sample(list(runs.values()), 3):
                with suppress(ControlRefused):
                    await _act(random, bench, handle, keys)
            consumers = [await _disturbed(random, bench, each) for each in consumers]
            await bench.pass_time(random.choice((0, 0, 1, 7)))
        for handle in runs.values():
            if (await handle.get()).run_state is RunState.PAUSED:
                await handle.resume()
        await bench.pass_time(600)
        messages = await bench.store.messages(MessageQuery(keys=tuple(keys)))
        outcomes = {message.key: message.outcome for message in messages}
        assert len(messages) == len(keys)
        for handle in runs.values():
            record = await record_of(bench, handle.run_id)
            history = await bench.store.history(handle.run_id)
            assert [entry.version for entry in history] == list(range(1, record.version + 1))
            own = [message for message in messages if message.run_id == handle.run_id]
            versions = [
                message.version for message in own if message.outcome is MessageOutcome.TAKEN
            ]
            called = [entry.version for entry in history if entry.cause is Cause.CALLBACK]
            assert sorted(version for version in versions if version) == called
            if record.run_state is not RunState.PAUSED:
                assert record.messages == 0, (record, own)
                assert None not in {outcomes[message.key] for message in own}


async def _act(
    random: Random, bench: Bench, handle: Handle[Parcel, Deal], keys: list[MessageKey]
) -> None:
    """Post a message to a run, or control it."""
    match random.choice(("pay", "pay", "pay", "pause", "resume", "retry")):
        case "pay":
            message = callback(handle.run_id, "paid", b'{"amount":1}', Deal.OPEN, Deal.EXPIRED)
            (posted,) = await post(bench, message)
            if isinstance(posted, Posted):  # the run has not ended
                keys.append(message.key)
        case "pause":
            await handle.pause("held")
        case "resume":
            await handle.resume()
        case _:
            await handle.retry()


async def _disturbed(random: Random, bench: Bench, consumer: AtWork) -> AtWork:
    """Kill a consumer, stop it, or leave it alone. Returns the one that works then."""
    match random.choice(("", "", "", "kill", "leave", "abandon", "lose")):
        case "kill":
            await consumer.kill()
        case "leave":
            await consumer.leave()
        case "abandon":
            await consumer.abandon()
        case "lose":
            await consumer.lose()
        case _:
            return consumer
    return await bench.start(consumer.role)
