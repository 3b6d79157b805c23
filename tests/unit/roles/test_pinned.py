"""A slow run holds back its partition's position by a bounded number of events (E16)."""

import asyncio
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Parcels, Stage, parcels
from tests.unit.roles.messaging import Deal, DealRun, Payment, deals, pay
from workflow_ray import Stay
from workflow_ray.records import Cause
from workflow_ray.roles import results

SPAN = 100


@pytest.fixture(autouse=True)
def few_events_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PINNED", SPAN)


def slow(gate: asyncio.Event, calls: list[str]) -> Parcels:
    """Its step waits for the gate in the runs whose foreign id begins with "slow"."""
    workflow = parcels(partitions=1)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        calls.append(run.foreign_id)
        if run.foreign_id.startswith("slow"):
            await gate.wait()
        return Stage.DONE

    return workflow


async def pass_by(bench: Bench, workflow: Parcels, first: int, last: int) -> None:
    for number in range(first, last):
        await triggered(bench, workflow, f"{number}")
        await bench.pass_time()


@pytest.mark.parametrize("apart", [False, True], ids=["in one store", "with a stream apart"])
async def test_a_slow_run_does_not_hold_the_position_back_for_ever(apart: bool) -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = slow(gate, calls)
    async with Bench(workflow, apart=apart) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "slow", "slow too")
        await pass_by(bench, workflow, 0, 5 * SPAN)
        (position,) = (await bench.position(Stage.NEW)).values()
        assert position >= 4 * SPAN
        assert calls.count("slow") == calls.count("slow too") == 1
        gate.set()
        await bench.pass_time()
        for handle in runs.values():
            assert await bench.causes(handle.run_id) == [Cause.TRIGGER, Cause.STEP]
        (position,) = (await bench.position(Stage.NEW)).values()
        assert position == len(await bench.received(Stage.NEW))


@pytest.mark.parametrize("apart", [False, True], ids=["in one store", "with a stream apart"])
async def test_a_slow_callback_does_not_hold_the_position_back_for_ever(apart: bool) -> None:
    gate, calls, workflow = asyncio.Event(), list[str](), deals(partitions=1)

    @workflow.callback(Deal.OPEN)
    async def paid(run: DealRun, message: Payment) -> Stay:
        calls.append(run.foreign_id)
        if run.foreign_id == "slow":
            await gate.wait()
        return Stay()

    async with Bench(workflow, apart=apart) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "slow", "quick")
        await pay(bench, runs["slow"].run_id)
        for _ in range(4 * SPAN):
            await pay(bench, runs["quick"].run_id)
            await bench.pass_time()
        (position,) = (await bench.position(Deal.OPEN)).values()
        assert position >= 3 * SPAN
        gate.set()
        await bench.pass_time()
        assert await bench.causes(runs["slow"].run_id) == [Cause.TRIGGER, Cause.CALLBACK]
        assert calls.count("slow") == 1
        (position,) = (await bench.position(Deal.OPEN)).values()
        assert position == len(await bench.received(Deal.OPEN))


async def test_after_a_crash_the_slow_run_is_tried_again_and_few_stale_events_are_read() -> None:
    gate, calls = asyncio.Event(), list[str]()
    workflow = slow(gate, calls)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "slow")
        await pass_by(bench, workflow, 0, 5 * SPAN)
        await consumer.kill()
        (position,) = (await bench.position(Stage.NEW)).values()
        assert len(await bench.received(Stage.NEW)) - position <= 2 * SPAN
        gate.set()
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert calls.count("slow") == 2
        assert await bench.causes(runs["slow"].run_id) == [Cause.TRIGGER, Cause.STEP]


async def test_an_event_sent_again_that_is_lost_is_sent_once_more() -> None:
    gate = asyncio.Event()
    workflow = slow(gate, [])
    async with Bench(workflow, apart=True) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, "slow")
        await pass_by(bench, workflow, 0, SPAN)
        bench.stream.swallow = 3
        await pass_by(bench, workflow, SPAN, 4 * SPAN)
        (position,) = (await bench.position(Stage.NEW)).values()
        assert position >= 2 * SPAN
        gate.set()
