"""The limits of flow control as a client shows and sets them."""

import asyncio
from typing import Any

import pytest

from tests.unit.roles.loads import Flow, Place, Yard
from workflow_ray import FlowControl, Rate, StatusLimits
from workflow_ray.errors import InvalidInput, NoFlowControl, UnknownWorkflow, WaitTimeout
from workflow_ray.runtime.deploying import describe_here, merge

TWO: Flow = FlowControl(concurrency=2)


async def limits_of(yard: Yard) -> StatusLimits:
    (limits,) = await yard.loads.limits()
    return limits


async def test_limits_show_what_applies_and_how_many_runs_wait() -> None:
    async with Yard(FlowControl(concurrency=2, rate=Rate(5, per=60))) as yard:
        await yard.work()
        await yard.arrive("aaaaa")
        assert await limits_of(yard) == StatusLimits(
            status="QUEUED",
            concurrency=2,
            concurrency_per_key=None,
            rate=Rate(5, per=60),
            rate_per_key=None,
            set_by_operator=False,
            admitted=2,
            waiting=3,
        )


async def test_limits_are_set_one_by_one_and_stay_when_other_code_is_deployed() -> None:
    async with Yard(TWO) as yard:
        await yard.work()
        await yard.arrive("aaaaaa")
        await yard.loads.set_limits(Place.QUEUED, concurrency=3)
        await yard.pass_time()
        assert len(yard.running) == 3
        await yard.loads.set_limits(Place.QUEUED, rate=Rate(1, per=60))
        await merge(yard.store, [describe_here(Yard(FlowControl(concurrency=1)).workflow)])
        limits = await limits_of(yard)
        assert (limits.concurrency, limits.rate) == (3, Rate(1, per=60))
        assert limits.set_by_operator
        await yard.loads.set_limits(Place.QUEUED, concurrency="unlimited", rate="unlimited")
        await yard.pass_time()
        assert len(yard.running) == 6
        await yard.loads.reset_limits(Place.QUEUED)
        limits = await limits_of(yard)
        assert (limits.concurrency, limits.set_by_operator) == (1, False)


async def test_limits_per_key_do_not_apply_while_the_code_has_no_keys() -> None:
    keyed: Flow = FlowControl(concurrency=5, key=lambda run: run.data.tenant)
    async with Yard(keyed) as yard:
        await yard.loads.set_limits(Place.QUEUED, concurrency_per_key=1, rate_per_key=Rate(1, 60))
        await merge(yard.store, [describe_here(Yard(FlowControl(concurrency=5)).workflow)])
        await yard.work()
        await yard.arrive("aaaaaa")
        assert len(yard.running) == 5
        await yard.loads.set_limits(Place.QUEUED, concurrency=6)
        await yard.pass_time()
        assert len(yard.running) == 6
        limits = await limits_of(yard)
        assert (limits.concurrency_per_key, limits.rate_per_key) == (None, None)


async def test_limits_that_cannot_be_set_are_refused() -> None:
    async with Yard(TWO) as yard:
        with pytest.raises(InvalidInput, match="concurrency_per_key: the flow control of QUEUED"):
            await yard.loads.set_limits(Place.QUEUED, concurrency_per_key=1)
        with pytest.raises(InvalidInput, match="limits: give one at least"):
            await yard.loads.set_limits(Place.QUEUED)
        many: Any = "many"
        with pytest.raises(InvalidInput, match=r'from 1 up to .*, or "unlimited" for no limit'):
            await yard.loads.set_limits(Place.QUEUED, concurrency=many)
        with pytest.raises(InvalidInput, match=r'per=60\), or "unlimited" for no limit'):
            await yard.loads.set_limits(Place.QUEUED, rate=many)
        # it could be stored, but a deployment with it could not be sent to other processes
        with pytest.raises(InvalidInput, match="give a whole number of runs from 1 up to"):
            await yard.loads.set_limits(Place.QUEUED, concurrency=2**64)
        with pytest.raises(InvalidInput, match="give a whole number of runs from 1 up to"):
            Rate(2**64, per=60)
        with pytest.raises(NoFlowControl, match="no flow control at DONE"):
            await yard.loads.set_limits(Place.DONE, concurrency=1)
        with pytest.raises(NoFlowControl):
            await yard.loads.reset_limits(Place.LOST)
        assert (await yard.store.deployment()).version == 1
    with pytest.raises(UnknownWorkflow):
        await Yard(TWO).loads.limits()


async def test_a_wait_for_a_parked_run_of_a_workflow_that_is_not_deployed_times_out() -> None:
    yard = Yard(TWO)
    await yard.arrive("a")
    handle = yard.loads.handle((await yard.record("a-0")).run_id)
    waiting = asyncio.create_task(handle.wait(timeout=5))
    await yard.pass_time(6)
    with pytest.raises(WaitTimeout, match="It waits for its admission by flow control; 0 hold"):
        await waiting
