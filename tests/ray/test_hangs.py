"""Actors whose event loop hangs, or whose process is suspended, are replaced."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.ray.conftest import Deployment, ended, eventually
from tests.ray.flows import Call, CallStatus, calls
from tests.servers import processes
from workflow_ray import Client, Handle, RunState, Trigger
from workflow_ray.errors import RunPaused
from workflow_ray.records import Cause
from workflow_ray.runtime.ray.actors import STORE, SUPERVISOR
from workflow_ray.runtime.ray.deployment import RayRuntime
from workflow_ray.runtime.ray.stores import Limits, Route
from workflow_ray.runtime.urls import Urls

SOON = timedelta(seconds=60)
CONSUMER = "calls-1-consumer-1-of-1"
NEVER = 600.0
RUNS, BLOCKER = 40, 17


def runtime(deployment: Deployment, limits: Limits, route: Route = "auto") -> RayRuntime:
    return RayRuntime([calls], Urls.of(deployment.records), limits=limits, route=route)


async def triggered(client: Client[Call, CallStatus]) -> list[Handle[Call, CallStatus]]:
    """Make runs. The step of one of them blocks its loop for ever."""
    triggers: list[Trigger[Call, CallStatus]]
    triggers = [Trigger(f"call-{number}", Call(blocks=number == BLOCKER)) for number in range(RUNS)]
    return [handle for handle, _ in await client.trigger_many(triggers)]


async def causes(handle: Handle[Call, CallStatus]) -> list[Cause]:
    return [entry.cause for entry in await handle.history()]


async def check_neighbours(handles: Sequence[Handle[Call, CallStatus]]) -> None:
    """Check that all runs but the blocking one are completed, and that none lost an attempt."""
    for handle in [*handles[:BLOCKER], *handles[BLOCKER + 1 :]]:
        await handle.wait(timeout=SOON)
        assert not {Cause.RETRY, Cause.FAILED} & set(await causes(handle))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("route", ["ipc", "calls"])
async def test_a_step_that_blocks_its_loop_loses_an_attempt_each_time_and_its_neighbours_lose_none(
    deployment: Deployment, route: Route
) -> None:
    async with runtime(deployment, Limits(blocked=1.0, silent=NEVER), route) as on_ray:
        client, before = on_ray.client(calls), await deployment.pids()
        handles = await triggered(client)
        await check_neighbours(handles)
        with pytest.raises(RunPaused, match=r"the step blocked its event loop for 1 s"):
            await handles[BLOCKER].wait(timeout=SOON)
        assert await causes(handles[BLOCKER]) == [Cause.TRIGGER, Cause.RETRY, Cause.FAILED]
        after = await deployment.pids(other_than=before[CONSUMER])
        assert {name for name in before if before[name] != after[name]} == {CONSUMER}


@pytest.mark.timeout(180)
async def test_an_actor_whose_loop_hangs_is_replaced_though_it_can_not_charge_the_step(
    deployment: Deployment,
) -> None:
    """The blocking call holds the interpreter's lock, so that no other thread runs."""
    async with runtime(deployment, Limits(blocked=NEVER, silent=1.8)) as on_ray:
        handles = await triggered(on_ray.client(calls))
        await check_neighbours(handles)
        with pytest.raises(RunPaused, match=r"the process died while .*make ran"):
            await handles[BLOCKER].wait(timeout=SOON)
        assert (await causes(handles[BLOCKER]))[-3:] == [Cause.DOUBT, Cause.DOUBT, Cause.FAILED]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim", [CONSUMER, STORE, SUPERVISOR])
async def test_an_actor_whose_process_is_suspended_is_replaced(
    deployment: Deployment, victim: str
) -> None:
    async with runtime(deployment, Limits(blocked=NEVER, silent=3.0)) as on_ray:
        before = await deployment.pids()
        processes.freeze([before[victim]])
        handle = await on_ray.client(calls).trigger("call", Call())
        run = await handle.wait(timeout=SOON)
        assert run.run_state is RunState.COMPLETED
        assert await causes(handle) == [Cause.TRIGGER, Cause.STEP]
        await eventually(lambda: ended([before[victim]]), "the process that stands still stays")
        after = await deployment.pids(other_than=before[victim])
        assert {name for name in before if before[name] != after[name]} == {victim}
