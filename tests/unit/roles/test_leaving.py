"""The end of a role, whatever the user's code does (E9, E19)."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Parcels, Stage, parcels
from workflow_ray import resource
from workflow_ray.errors import ResourceFailed
from workflow_ray.records import Cause
from workflow_ray.roles import resources, steps, threads

STUBBORN = """
import asyncio, threading
from datetime import timedelta
from tests.unit.bench import Bench, triggered
from tests.unit.parcels import Stage
from tests.unit.roles.test_leaving import stubborn_in_a_thread

async def main() -> None:
    started = list[str]()
    workflow = stubborn_in_a_thread(started, threading.Event())
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, "1")
        while not started:
            await bench.pass_time()
        await consumer.abandon()

asyncio.run(main())
print("left")
"""


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "CANCELLING", 0.05)
    monkeypatch.setattr(resources, "CLOSING", 0.05)
    monkeypatch.setattr(resources, "CANCELLING", 0.05)


def stubborn(gate: asyncio.Event) -> Parcels:
    """Its step ignores its cancellation."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await gate.wait()
        return Stage.DONE

    return workflow


def stubborn_in_a_thread(
    started: list[str], gate: threading.Event, *, max_in_flight: int = 100
) -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW, max_in_flight=max_in_flight)
    def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        started.append(run.foreign_id)
        gate.wait()
        return Stage.DONE

    return workflow


def step_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "stubborn_in_a_thread" in thread.name]


async def test_a_step_that_swallows_its_cancellation_does_not_keep_its_role_from_ending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = asyncio.Event()
    workflow = stubborn(gate)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        await asyncio.wait_for(consumer.abandon(), 5)
        assert {row.in_use for row in await bench.rows(Stage.NEW)} == {None}
        gate.set()
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER], (
            "nobody asks what came of it"
        )
    assert (
        f"the step of run {runs['1'].run_id} does not end although it was cancelled" in caplog.text
    )


def test_a_plain_step_that_hangs_does_not_keep_its_process_from_ending() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUBBORN], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "left\n"), ended.stderr


async def test_a_role_that_starts_again_gets_no_new_threads_beside_those_in_which_steps_hang(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started, gate = list[str](), threading.Event()
    workflow = stubborn_in_a_thread(started, gate, max_in_flight=3)
    async with Bench(workflow) as bench:
        await bench.publisher()
        runs = await triggered(bench, workflow, *map(str, range(10)))
        for _ in range(3):
            consumer = await bench.consumer(Stage.NEW)
            while len(started) < 3:
                await bench.pass_time()
            await bench.pass_time()
            assert len(step_threads()) == 3
            await consumer.abandon()
        assert "3 of at most 3 threads are taken up by such calls" in caplog.text
        gate.set()
        await bench.consumer(Stage.NEW)
        while not all([len(await bench.causes(handle.run_id)) == 2 for handle in runs.values()]):
            await asyncio.sleep(0.01)
            await bench.pass_time()


async def test_threads_without_work_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE", 0.05)
    pool = threads.Threads("an idle one", 4)
    assert (
        await asyncio.gather(*(pool.call(lambda: time.sleep(0.01)) for _ in range(8)))
        == [(None, None)] * 8
    )
    while [thread for thread in threading.enumerate() if thread.name == "an idle one"]:
        await asyncio.sleep(0.01)
    assert await pool.call(lambda: 3) == (3, None)


async def test_no_more_threads_work_than_the_limit() -> None:
    pool, gate, running, most = (
        threads.Threads("limited", 3),
        threading.Event(),
        list[int](),
        list[int](),
    )

    def work() -> None:
        running.append(1)
        most.append(len(running))
        gate.wait(0.01)
        running.pop()

    await asyncio.gather(*(pool.call(work) for _ in range(50)))
    assert max(most) <= 3


# --- resources ----------------------------------------------------------------------------------

errors = list[type[BaseException]]()


@resource
async def breaks_when_opened() -> AsyncIterator[str]:
    if errors:
        raise errors.pop()("broken")
    yield "open"


@resource
async def cancels_its_task() -> AsyncIterator[str]:
    own = asyncio.current_task()
    assert own
    if errors:
        errors.pop()
        own.cancel()
        await asyncio.sleep(0)
    yield "open"


@resource
async def breaks_while_open() -> AsyncIterator[str]:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail_later())
        yield "open"


async def fail_later() -> None:
    if errors:
        await asyncio.sleep(0.01)
        raise errors.pop()("broken")


gates = list[asyncio.Event]()


@resource
async def never_closes() -> AsyncIterator[str]:
    gate = asyncio.Event()
    gates.append(gate)
    yield "open"
    while not gate.is_set():
        with suppress(asyncio.CancelledError):
            await gate.wait()


def using(value: str) -> Parcels:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun, by: str = value) -> Literal[Stage.DONE]:
        return Stage.DONE

    return workflow


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, SystemExit, ValueError])
async def test_whatever_a_resource_raises_when_it_opens_is_the_error_that_its_role_ends_with(
    error: type[BaseException],
) -> None:
    errors.append(error)
    workflow = using(breaks_when_opened.value)
    async with Bench(workflow) as bench:
        await bench.publisher()
        consumer = await bench.consumer(Stage.NEW)
        await bench.pass_time()
        with pytest.raises(ValueError if error is ValueError else ResourceFailed):
            await consumer.task
        runs = await triggered(bench, workflow, "1")
        await bench.consumer(Stage.NEW)
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STEP]


async def test_a_resource_that_cancels_its_own_task_ends_its_role_with_an_error() -> None:
    errors.append(ValueError)
    async with Bench(using(cancels_its_task.value)) as bench:
        consumer = await bench.consumer(Stage.NEW)
        with pytest.raises(ResourceFailed, match="Have it raise an Exception"):
            await consumer.task


async def test_a_resource_that_breaks_while_it_is_open_ends_its_role() -> None:
    errors.append(ValueError)
    async with Bench(using(breaks_while_open.value)) as bench:
        consumer = await bench.consumer(Stage.NEW)
        with pytest.raises(ExceptionGroup) as raised:
            await asyncio.wait_for(consumer.task, 5)
        assert raised.group_contains(ValueError, match="broken")


async def test_a_resource_that_does_not_close_does_not_keep_its_role_from_ending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Bench(using(never_closes.value)) as bench:
        consumer = await bench.consumer(Stage.NEW)
        await asyncio.wait_for(consumer.leave(), 5)
        gates.pop().set()
    assert [
        record.levelno
        for record in caplog.records
        if "resources do not close" in record.getMessage()
    ] == [logging.ERROR]
