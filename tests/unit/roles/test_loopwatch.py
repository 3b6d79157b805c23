"""Another thread notices a blocked event loop, and the step that blocks it."""

import asyncio
import threading
import time
from typing import Literal

import pytest

from tests.unit.bench import Bench, triggered
from tests.unit.parcels import ParcelRun, Stage, parcels
from workflow_ray import Retry, RunState
from workflow_ray.records import Cause, WriteGroup
from workflow_ray.roles import loopwatch
from workflow_ray.roles.loopwatch import LOOK, LoopWatch, Occupant, running_step


class Watcher(threading.Thread):
    """Checks a loop until it has not answered for some time, and notes the step that blocks it.

    Then it checks until the loop answers again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        super().__init__(daemon=True)
        self._watch = LoopWatch(loop)
        self._limit = limit
        self.noticed = threading.Event()
        self.answered = threading.Event()
        self.found: Occupant | None = None

    def run(self) -> None:
        while self._watch.check() < self._limit:
            time.sleep(0.01)
        self.found = self._watch.occupant()
        self.noticed.set()
        while self._watch.check():
            time.sleep(0.01)
        self.answered.set()


async def test_a_blocked_loop_is_noticed_with_the_step_and_run_that_block_it_and_for_how_long(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopwatch, "BLOCKED", 0.1)
    workflow, watchers = parcels(), list[Watcher]()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await asyncio.sleep(0)
        watchers[0].noticed.wait()  # a blocking call
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        watchers.append(Watcher(asyncio.get_running_loop(), 0.2))
        watchers[0].start()
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        assert await bench.causes(runs["1"].run_id) == [Cause.TRIGGER, Cause.STEP]
        while not watchers[0].answered.is_set():
            await asyncio.sleep(0.001)
    occupant = watchers[0].found
    assert occupant is not None
    assert (occupant.run_id, occupant.version, occupant.role) == (
        runs["1"].run_id,
        1,
        "parcels-1-consumer-1-of-1",
    )
    messages = [
        record.getMessage() for record in caplog.records if record.name == loopwatch.__name__
    ]
    assert f"step {pack.__qualname__} of run {runs['1'].run_id} at version 1" in messages[0]
    assert "has blocked it for" in messages[0]
    assert "the event loop answers again" in messages[-1]
    assert running_step(asyncio.get_running_loop()).read() is None, "it has given the loop back"


async def test_a_step_that_waits_without_blocking_does_not_occupy_the_loop() -> None:
    workflow, gate = parcels(), asyncio.Event()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        await gate.wait()
        return Stage.DONE

    async with Bench(workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await triggered(bench, workflow, "1")
        await bench.pass_time()
        assert running_step(asyncio.get_running_loop()).read() is None
        gate.set()


async def test_an_attempt_that_blocks_a_loop_can_be_counted_before_it_ends() -> None:
    workflow, groups = parcels(), list[WriteGroup]()

    @workflow.step(Stage.NEW, retry=Retry(attempts=1))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        found = running_step(asyncio.get_running_loop()).read()
        assert found
        groups.append(found.failed_write("it blocked the event loop for 61 s"))
        await asyncio.sleep(0)
        await bench.store.store(groups)  # as another thread does
        return Stage.DONE

    bench = Bench(workflow)
    async with bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        runs = await triggered(bench, workflow, "1")
        await bench.pass_time()
        run = await runs["1"].get()
        assert (run.run_state, run.reason) == (
            RunState.PAUSED,
            "it blocked the event loop for 61 s",
        )
        assert await bench.causes(run.run_id) == [Cause.TRIGGER, Cause.FAILED]


async def test_a_loop_that_answers_is_not_silent() -> None:
    watch = LoopWatch(asyncio.get_running_loop())
    for _ in range(5):
        assert watch.check() == 0.0
        await asyncio.sleep(0.001)


async def test_time_in_which_the_watcher_stood_still_does_not_count() -> None:
    """As if the whole process was stopped, or the machine was busy or asleep."""
    now = [100.0]
    watch = LoopWatch(asyncio.get_running_loop(), lambda: now[0])
    assert watch.check() == 0.0
    now[0] += 3600
    assert watch.check() == LOOK
    now[0] += LOOK / 2
    assert watch.check() == 1.5 * LOOK


async def test_a_step_that_has_just_begun_is_not_blamed_for_a_late_loop(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopwatch, "BLOCKED", 0.05)
    watch, cell = LoopWatch(asyncio.get_running_loop()), running_step(asyncio.get_running_loop())
    watch.check()
    for _ in range(10):
        time.sleep(0.01)  # blocks the loop, as work other than a step does
        watch.check()
    assert "no step has blocked it all the time" in caplog.text
    assert cell.read() is None
