"""FakeClock: time passes only when a test says so."""

import asyncio
from datetime import datetime, timedelta

import pytest

from workflow_ray.testing.clock import START, FakeClock


async def test_time_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock()
    await clock.settle()
    assert clock.now() == START
    await clock.advance(timedelta(days=2))
    assert clock.now() == START + timedelta(days=2)


async def test_a_wait_ends_at_its_deadline_and_not_before() -> None:
    clock = FakeClock()
    wait = asyncio.create_task(clock.wait(asyncio.Event(), 60))
    await clock.advance(timedelta(seconds=59))
    assert not wait.done()
    await clock.advance(timedelta(seconds=1))
    assert wait.result() is False


async def test_an_event_ends_a_wait_without_time_passing() -> None:
    clock, event = FakeClock(), asyncio.Event()
    wait = asyncio.create_task(clock.wait(event, 60))
    await clock.settle()
    event.set()
    assert await wait
    assert (clock.now(), clock.deadlines()) == (START, [])


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_wait_of_no_seconds_ends_at_once(seconds: float) -> None:
    assert not await FakeClock().wait(asyncio.Event(), seconds)


async def test_a_wait_for_an_event_that_is_set_ends_at_once() -> None:
    event = asyncio.Event()
    event.set()
    assert await FakeClock().wait(event, 60)


async def test_each_wait_ends_at_its_own_time_while_time_passes() -> None:
    clock, woken = FakeClock(), list[tuple[str, datetime]]()

    async def sleeper(name: str, seconds: float) -> None:
        for _ in range(2):
            await clock.wait(asyncio.Event(), seconds)
            woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as sleepers:
        sleepers.create_task(sleeper("slow", 50))
        sleepers.create_task(sleeper("fast", 20))
        await clock.advance(timedelta(hours=1))
    order = [(name, (at - START).total_seconds()) for name, at in woken]
    assert order == [("fast", 20), ("fast", 40), ("slow", 50), ("slow", 100)]


async def test_a_cancelled_wait_is_forgotten() -> None:
    clock = FakeClock()
    wait = asyncio.create_task(clock.wait(asyncio.Event(), 60))
    await clock.settle()
    assert clock.deadlines() == [START + timedelta(seconds=60)]
    wait.cancel()
    await asyncio.wait([wait])
    assert wait.cancelled()
    assert clock.deadlines() == []
    await clock.advance(timedelta(minutes=2))
