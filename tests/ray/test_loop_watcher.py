"""The thread that watches an event loop, and acts if a step blocks it."""

import asyncio
import logging
import threading
import time

import pytest

from workflow_ray.roles import loopwatch
from workflow_ray.roles.loopwatch import Occupant
from workflow_ray.runtime.ray import loop_watcher
from workflow_ray.runtime.ray.loop_watcher import LoopWatcher


class Calls:
    """Keeps the calls of the watcher."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.called = threading.Event()

    def blocked(self, occupant: Occupant | None, seconds: float) -> None:
        assert occupant is None
        assert threading.current_thread() is not threading.main_thread()
        self.seconds.append(seconds)
        self.called.set()


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_watcher, "CHECK", 0.01)


async def test_a_loop_that_is_blocked_for_too_long_is_acted_upon_once_each_time() -> None:
    calls = Calls()
    watcher = LoopWatcher(calls.blocked, limit=0.1)
    for count in (1, 2):
        calls.called.clear()
        assert calls.called.wait(10.0)  # a blocking call
        time.sleep(0.1)  # blocks the loop on purpose: that is what is watched
        await asyncio.sleep(0.1)
        assert len(calls.seconds) == count
    assert all(0.1 <= seconds < 0.2 for seconds in calls.seconds)
    watcher.close()


async def test_what_blocks_the_loop_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loopwatch, "BLOCKED", 0.05)
    calls = Calls()
    watcher = LoopWatcher(calls.blocked, limit=0.2)
    assert calls.called.wait(10.0)
    while "answers again" not in caplog.text:
        await asyncio.sleep(0.01)
    assert "the event loop has not answered for" in caplog.text
    watcher.close()


async def test_an_error_of_what_acts_does_not_end_the_watching(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed, calls = threading.Semaphore(0), Calls()

    def fail(occupant: Occupant | None, seconds: float) -> None:
        calls.blocked(occupant, seconds)
        failed.release()
        raise OSError("no connection")

    watcher = LoopWatcher(fail, limit=0.05)
    for _ in range(2):
        assert failed.acquire(timeout=10.0)
        await asyncio.sleep(0.1)
    assert len(calls.seconds) == 2
    assert [
        record.levelno for record in caplog.records if record.name == loop_watcher.__name__
    ] == [logging.ERROR] * 2
    watcher.close()
