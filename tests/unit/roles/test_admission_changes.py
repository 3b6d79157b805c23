"""Admission beside what changes meanwhile: messages to parked runs, and deployments."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.unit.roles.loads import Yard
from workflow_ray import FlowControl
from workflow_ray.records import Cause, GroupResult, Role, WriteGroup, admission_group
from workflow_ray.roles import status_admission
from workflow_ray.roles.admission import Admission
from workflow_ray.runtime.deploying import describe_here, merge


def before_each_admission(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, act: Callable[[int], Awaitable[object]]
) -> None:
    """Act before runs are admitted. It is told which admission it is, from 1."""
    store, admissions = yard.store.store, 0

    async def acting(groups: Sequence[WriteGroup]) -> list[GroupResult]:
        nonlocal admissions
        if any(write.cause is Cause.ADMITTED for group in groups for write in group.writes):
            admissions += 1
            await act(admissions)
        return await store(groups)

    monkeypatch.setattr(yard.store, "store", acting)


async def test_a_message_that_overtakes_the_admission_does_not_delay_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        (load,) = await yard.arrive("a")
        handle = yard.loads.handle((await yard.record(load)).run_id)

        async def send(admission: int) -> None:
            if admission == 1:
                await handle.callback("note", b"7")

        before_each_admission(yard, monkeypatch, send)
        await yard.work()
        await yard.pass_time(1)
        assert list(yard.running) == [load]


@pytest.mark.parametrize("stops", [False, True])
async def test_runs_are_admitted_without_limits_only_while_there_is_no_flow_control(
    stops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_admission, "BATCH", 1)
    async with Yard(FlowControl(concurrency=1)) as yard:
        await yard.arrive("a" * 20)
        await merge(yard.store, [describe_here(Yard(None).workflow)])
        stop = asyncio.Event()

        async def change(admission: int) -> None:
            if admission == 3 and stops:
                stop.set()
            elif admission == 3:
                await merge(yard.store, [describe_here(yard.workflow)])
            for _ in range(20):
                await asyncio.sleep(0)

        before_each_admission(yard, monkeypatch, change)
        role = Role(admission_group("loads"))
        admission = Admission(await yard.store.acquire(role), "loads", yard.store, yard.clock)
        running = asyncio.create_task(admission.run(stop))
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert len(await yard.parked()) == 17
        assert running.done() is stops
        stop.set()
        await running


@pytest.mark.parametrize("pauses", [False, True])
async def test_parked_runs_of_a_workflow_that_was_removed_are_admitted_by_code_without_flow_control(
    pauses: bool,
) -> None:
    async with Yard(FlowControl(concurrency=1)) as yard:
        (load,) = await yard.arrive("a")
        handle = yard.loads.handle((await yard.record(load)).run_id)
        if pauses:
            await handle.pause("wait")
        await yard.store.deploy((await yard.store.deployment()).version, [])
        await merge(yard.store, [describe_here(Yard(None).workflow)])
        (workflow,) = (await yard.store.deployment()).workflows
        assert admission_group("loads") in workflow.groups
        await handle.resume()
        await yard.work()
        await yard.pass_time(1)
        assert list(yard.running) == [load]
