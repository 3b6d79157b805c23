"""A step that blocks its event loop holds up other steps, but not the store or the engine."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import Cause, Retry, RunState, connect, resource
from workflow_ray.errors import RunPaused
from workflow_ray.roles import loopwatch
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls

SOON = timedelta(seconds=20)
PATIENCE = 0.5


def local(workflow: Parcels, url: str, *, patience: float = 60.0) -> LocalRuntime:
    return LocalRuntime([workflow], Urls.of(url), patience=patience)


async def test_while_a_step_blocks_its_loop_the_store_serves_others(url: str) -> None:
    workflow, found = parcels(), list[RunState]()

    async def from_elsewhere() -> None:
        async with connect(workflow, records=url) as client:
            handle = await client.trigger("2", Parcel())
            found.append((await handle.get()).run_state)

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id == "1":
            other = threading.Thread(target=asyncio.run, args=(from_elsewhere(),))
            other.start()
            other.join()  # a blocking call
        return Stage.DONE

    async with local(workflow, url) as runtime:
        await (await runtime.client(workflow).trigger("1", Parcel())).wait(timeout=SOON)
        second = await runtime.client(workflow).latest("2")
        await runtime.client(workflow).handle(second.run_id).wait(timeout=SOON)
    assert found == [RunState.INITIATED]


async def test_steps_and_resources_run_in_the_loop_that_enters_the_runtime(url: str) -> None:
    workflow, loops = parcels(), list[asyncio.AbstractEventLoop]()
    connection = asyncio.Lock()  # stands for what a user opens in this loop

    @resource
    async def opened() -> AsyncIterator[asyncio.Lock]:
        loops.append(asyncio.get_running_loop())
        yield connection

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun, lock: asyncio.Lock = opened.value) -> Literal[Stage.DONE]:
        loops.append(asyncio.get_running_loop())
        async with lock:
            await asyncio.sleep(0)
        return Stage.DONE

    async with local(workflow, url) as runtime:
        handles = [
            await runtime.client(workflow).trigger(f"{number}", Parcel()) for number in range(5)
        ]
        for handle in handles:
            await handle.wait(timeout=SOON)
    assert set(loops) == {asyncio.get_running_loop()}


def blocking(attempts: int, blocked: list[str]) -> Parcels:
    """Make a workflow whose run "killer" blocks the loop for longer than the patience."""
    workflow = parcels()

    @workflow.step(Stage.NEW, retry=Retry(attempts=attempts, backoff=timedelta(milliseconds=1)))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        if run.foreign_id == "killer":
            blocked.append(run.run_id)
            time.sleep(4 * PATIENCE)
        else:
            await asyncio.sleep(PATIENCE)
        return Stage.DONE

    return workflow


async def test_a_step_that_blocks_its_loop_for_too_long_loses_its_attempts_and_its_neighbours_none(
    url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopwatch, "BLOCKED", 0.2)
    blocked = list[str]()
    workflow = blocking(2, blocked)
    with caplog.at_level(logging.WARNING):
        async with local(workflow, url, patience=PATIENCE) as runtime:
            client = runtime.client(workflow)
            others = [await client.trigger(f"{number}", Parcel()) for number in range(10)]
            killer = await client.trigger("killer", Parcel())
            with pytest.raises(RunPaused, match="blocked its event loop"):
                await killer.wait(timeout=SOON)
            for handle in others:
                await handle.wait(timeout=SOON)
                assert [entry.cause for entry in await handle.history()] == [
                    Cause.TRIGGER,
                    Cause.STEP,
                ]
            history = await killer.history()
    assert [entry.cause for entry in history] == [Cause.TRIGGER, Cause.RETRY, Cause.FAILED]
    assert len(blocked) == 2
    assert f"pack of run {killer.run_id}" in caplog.text
    assert "roles that run steps are released until it does" in caplog.text


async def test_a_batch_that_blocks_its_loop_is_tried_as_single_runs_and_one_of_them_fails(
    url: str,
) -> None:
    workflow, sizes = parcels(), list[int]()

    @workflow.batch_step(Stage.NEW, max_wait=0.2, max_batches=4, retry=Retry(attempts=1))
    async def pack(runs: list[ParcelRun]) -> list[Literal[Stage.DONE]]:
        sizes.append(len(runs))
        if any(run.foreign_id == "killer" for run in runs):
            time.sleep(4 * PATIENCE)
        return [Stage.DONE for _ in runs]

    async with local(workflow, url, patience=PATIENCE) as runtime:
        client = runtime.client(workflow)
        others = [await client.trigger(f"{number}", Parcel()) for number in range(3)]
        killer = await client.trigger("killer", Parcel())
        with pytest.raises(RunPaused, match="blocked its event loop"):
            await killer.wait(timeout=SOON)
        for handle in others:
            await handle.wait(timeout=SOON)
            assert [each.cause for each in await handle.history()] == [Cause.TRIGGER, Cause.STEP]
    assert sizes[0] > 1
