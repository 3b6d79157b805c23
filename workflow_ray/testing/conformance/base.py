"""What the cases share: a clock, the kinds of store they are for, and ways to wait without sleeping."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import pytest

from workflow_ray.ports import RecordStore, RoleScheduler
from workflow_ray.testing.clock import FakeClock

T = TypeVar("T")

LONG = 3600.0
"""Seconds by the fake clock: a wait that nothing but what it waits for can end."""


class FencedRecords(RecordStore, RoleScheduler, Protocol):
    """Records and the roles that write them: fences live with what they guard."""


class Conformance:
    """Cases of one port. A subclass brings the `store` fixture."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()


async def begun(clock: FakeClock, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """The call as a task that waits, as it should."""
    task = asyncio.create_task(call)
    await clock.settle()
    assert not task.done(), "it should wait, and has returned"
    return task


async def ended(task: asyncio.Task[T]) -> T:
    """What the task returns, time standing still."""
    return await asyncio.wait_for(task, timeout=10)


async def timed_out(clock: FakeClock, task: asyncio.Task[T], *, seconds: float) -> T:
    """What the task returns when its wait of `seconds` is over, and not before."""
    begin = clock.now()
    async with asyncio.timeout(10):
        while not task.done():  # again and again: a store with threads may take a moment to notice
            await clock.advance(timedelta(seconds=1))
    assert clock.now() - begin >= timedelta(seconds=seconds)
    return task.result()
