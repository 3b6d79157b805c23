"""The threads that run plain functions."""

import asyncio
import threading

from workflow_ray.roles.threads import Threads


async def test_a_call_that_ends_while_it_is_cancelled_does_not_count_as_abandoned() -> None:
    threads, begun = Threads("pack", 1), threading.Event()
    first, second = threads.call(lambda: None), threads.call(begun.set)
    begun.wait()  # so the thread is done with the first call, whose answer waits for the loop
    first.cancel()
    await second
    await asyncio.sleep(0)
    assert threads.abandoned() == 0


async def test_a_call_that_goes_on_counts_as_abandoned_until_it_ends() -> None:
    threads, gate, begun = Threads("pack", 1, 1), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        gate.wait()

    call = threads.call(hang)
    await asyncio.to_thread(begun.wait)
    call.cancel()
    await asyncio.sleep(0)
    assert threads.abandoned() == 1
    gate.set()
    while threads.abandoned():
        await asyncio.sleep(0.001)
