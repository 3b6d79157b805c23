"""Timeouts: set with the transition, posted as messages when they are due, run by the consumer."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Parcel
from tests.unit.roles.messaging import (
    RETRY,
    Deal,
    DealRun,
    Deals,
    Payment,
    deals,
    pay,
    read,
    record_of,
)
from workflow_ray import Client, Stay
from workflow_ray.errors import InvalidInput, RoleLost
from workflow_ray.records import Awaits, Cause, MessageOutcome, Role, RunState, timeout_group
from workflow_ray.roles.timeouts import CHECK

MINUTE = 60.0
ROLE = Role(timeout_group("deals", Deal.OPEN.value))


def expiring(fails: list[str] | None = None, on_failure: Deal | None = None) -> Deals:
    """Deals that are open for a minute, and warned of after half of that."""
    workflow, broken = deals(), fails if fails is not None else []

    @workflow.timeout(Deal.OPEN, after=timedelta(seconds=30))
    async def warn(run: DealRun) -> Literal[Deal.OPEN] | Stay:
        run.data.label += "warned "
        return Deal.OPEN if run.data.weight < 0 else Stay()

    @workflow.timeout(Deal.OPEN, after=timedelta(minutes=1), retry=RETRY, on_failure=on_failure)
    async def expire(run: DealRun) -> Literal[Deal.EXPIRED]:
        if run.foreign_id in broken:
            raise ValueError("broken")
        return Deal.EXPIRED

    @workflow.callback(Deal.OPEN)
    async def paid(run: DealRun, message: Payment) -> Literal[Deal.PAID]:
        return Deal.PAID

    return workflow


async def at_work(bench: Bench) -> None:
    await bench.publisher()
    await bench.timeout_consumer(Deal.OPEN)
    await bench.consumer(Deal.OPEN)


async def test_a_timeout_calls_its_function_when_the_run_has_been_at_the_status_so_long() -> None:
    workflow = expiring()
    async with Bench(workflow) as bench:
        await at_work(bench)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time(MINUTE - 0.001)
        run = await runs["1"].get()
        assert (run.status, run.data.label) == (Deal.OPEN, "warned ")
        await bench.pass_time(0.001)
        assert (await runs["1"].get()).status is Deal.EXPIRED
        assert await bench.causes(runs["1"].run_id) == [
            Cause.TRIGGER,
            Cause.TIMEOUT,
            Cause.TIMEOUT,
        ]


async def test_a_timeout_of_a_visit_that_is_over_never_fires() -> None:
    workflow = expiring()
    async with Bench(workflow) as bench:
        await at_work(bench)
        client = bench.client(workflow)
        paid = await client.trigger("paid", Parcel())
        again = await client.trigger("again", Parcel(weight=-1))
        await pay(bench, paid.run_id)
        await bench.pass_time(MINUTE)
        assert (await paid.get()).status is Deal.PAID
        # each warning begins a new visit, so that it never expires
        run = await again.get()
        assert (run.status, run.data.label) == (Deal.OPEN, "warned warned ")
        assert not await bench.store.due("deals", 1, range(16), limit=10, wait=0)


async def test_a_timeout_that_was_due_while_its_run_was_paused_fires_when_it_is_resumed() -> None:
    workflow = expiring()
    async with Bench(workflow) as bench:
        await at_work(bench)
        runs = await triggered(bench, workflow, "1")
        await runs["1"].pause("held")
        await bench.pass_time(2 * MINUTE)
        assert (await runs["1"].get()).run_state is RunState.PAUSED
        await runs["1"].resume()
        await bench.pass_time()
        run = await runs["1"].get()
        assert (run.status, run.data.label) == (Deal.EXPIRED, "warned ")


async def test_of_a_timeout_and_a_callback_at_the_same_moment_one_wins() -> None:
    workflow = expiring()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.timeout_consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time(MINUTE)
        key = await pay(bench, runs["1"].run_id)
        await bench.consumer(Deal.OPEN)
        await bench.pass_time()
        assert (await runs["1"].get()).status is Deal.EXPIRED
        message = await read(bench, key)
        assert (message.outcome, message.version) == (MessageOutcome.PASSED, 3)


async def test_a_timeout_that_fails_for_good_pauses_its_run_and_is_tried_again_on_resume() -> None:
    fails = ["1"]
    workflow = expiring(fails)
    async with Bench(workflow) as bench:
        await at_work(bench)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time(MINUTE + 10)
        run = await runs["1"].get()
        assert (run.run_state, run.reason) == (RunState.PAUSED, "ValueError: broken")
        assert (await bench.causes(runs["1"].run_id))[-1] is Cause.FAILED
        await runs["1"].retry()
        await bench.pass_time(10)
        assert (await runs["1"].get()).run_state is RunState.PAUSED
        fails.clear()
        await runs["1"].resume()
        await bench.pass_time()
        assert (await runs["1"].get()).status is Deal.EXPIRED


async def test_a_timeout_that_fails_for_good_leads_to_its_on_failure_status() -> None:
    workflow = expiring(["1"], on_failure=Deal.LOST)
    async with Bench(workflow) as bench:
        await at_work(bench)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time(MINUTE + 10)
        run = await runs["1"].get()
        assert (run.status, run.reason) == (Deal.LOST, "ValueError: broken")


async def test_a_new_holder_posts_what_an_earlier_one_left_and_nothing_twice() -> None:
    workflow = expiring()
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.OPEN)
        first = await bench.timeout_consumer(Deal.OPEN)
        runs = await triggered(bench, workflow, *map(str, range(600)))
        bench.store.complete = first.kill  # type: ignore[method-assign, assignment]
        await bench.pass_time(MINUTE)
        assert first.task.done()
        del bench.store.complete
        await bench.timeout_consumer(Deal.OPEN)
        await bench.pass_time(MINUTE)
        for handle in runs.values():
            assert (await bench.causes(handle.run_id)) == [
                Cause.TRIGGER,
                Cause.TIMEOUT,
                Cause.TIMEOUT,
            ]


async def test_an_idle_role_notices_that_it_is_lost() -> None:
    workflow = expiring()
    async with Bench(workflow) as bench:
        old = await bench.timeout_consumer(Deal.OPEN)
        await bench.whole.acquire(ROLE)
        await bench.pass_time(2 * CHECK)
        with pytest.raises(RoleLost):
            await old.task


# --- at a time that the run knows ---------------------------------------------------------------


def at_a_time(at: Callable[[Any], datetime]) -> Deals:
    """LOST leads to OPEN, which has a timeout at a time."""
    workflow = deals()

    @workflow.step(Deal.LOST)
    async def find(run: DealRun) -> Literal[Deal.OPEN]:
        run.data.weight = 7
        return Deal.OPEN

    @workflow.timeout(Deal.OPEN, at=at)
    async def expire(run: DealRun) -> Literal[Deal.EXPIRED]:
        return Deal.EXPIRED

    return workflow


async def test_a_time_is_computed_from_the_run_as_it_enters_the_status() -> None:
    seen = list[DealRun]()

    def at(run: DealRun) -> datetime:
        seen.append(run)
        return run.created_at + timedelta(minutes=run.data.weight)

    workflow = at_a_time(at)
    async with Bench(workflow) as bench:
        await at_work(bench)
        await bench.consumer(Deal.LOST)
        handle = await bench.client(workflow).trigger("1", Parcel(), start_at=Deal.LOST)
        await bench.pass_time()
        assert (seen[0].status, seen[0].visit, seen[0].foreign_id) == (Deal.OPEN, 2, "1")
        await bench.pass_time(7 * 60 - 1)
        assert (await handle.get()).status is Deal.OPEN
        await bench.pass_time(1)
        assert (await handle.get()).status is Deal.EXPIRED


def raising(run: DealRun) -> datetime:
    raise ZeroDivisionError("division by zero")


BROKEN: list[tuple[Callable[[Any], Any], str]] = [
    (raising, "its `at` raised ZeroDivisionError: division by zero"),
    (lambda run: datetime(2030, 1, 1), "its `at` gave a time without a timezone"),  # noqa: DTZ001
    (lambda run: "tomorrow", "its `at` gave a value of type str, not a datetime"),
]


@pytest.mark.parametrize(("at", "why"), BROKEN)
async def test_a_run_whose_timeout_can_not_be_set_is_paused_with_the_reason(
    at: Callable[[Any], Any], why: str
) -> None:
    workflow = at_a_time(at)
    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Deal.LOST)
        handle = await bench.client(workflow).trigger("1", Parcel(), start_at=Deal.LOST)
        await bench.pass_time()
        run = await handle.get()
        assert (run.status, run.run_state, run.data.weight) == (Deal.LOST, RunState.PAUSED, 0)
        assert run.reason == f"the timeout expire of Deal.OPEN can't be set: {why}"
        record = await record_of(bench, handle.run_id)
        assert (record.cause, record.awaits) == (Cause.FAILED, Awaits.NOBODY)


@pytest.mark.parametrize(("at", "why"), BROKEN)
async def test_a_trigger_at_a_status_whose_timeout_can_not_be_set_is_refused(
    at: Callable[[Any], Any], why: str
) -> None:
    workflow = at_a_time(at)
    async with Bench(workflow) as bench:
        client: Client[Parcel, Deal] = bench.client(workflow)
        with pytest.raises(InvalidInput, match=re.escape(why)):
            await client.trigger("1", Parcel())
        assert await bench.store.latest("deals", ["1"]) == [None]
