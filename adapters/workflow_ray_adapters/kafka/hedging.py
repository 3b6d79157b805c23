"""Parallel attempts: one that meets a broker that hangs does not delay the result."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

T = TypeVar("T")

MOST = 8
"""The most attempts in parallel."""


async def first_of(
    attempt: Callable[[], Awaitable[T]],
    *,
    every: float,
    within: float,
    abandon: "Callable[[asyncio.Task[T]], object]",
) -> T:
    """Return the first answer of several attempts at the same operation.

    Args:
        attempt: Starts an attempt.
        every: Seconds after which another attempt is started in parallel.
        within: Seconds after which all are given up.
        abandon: Takes each other attempt that did not fail, whether it has ended or not.

    Raises:
        TimeoutError: None has answered in time.
        Exception: The error of an attempt, once all that were started have failed.
    """
    tasks = set[asyncio.Task[T]]()
    try:
        async with asyncio.timeout(within):
            for number in count(1):
                if number <= MOST:
                    tasks.add(asyncio.create_task(_run(attempt)))
                timeout = every if number < MOST else None
                done, _ = await asyncio.wait(
                    tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
                )
                failed = {task for task in done if task.exception() is not None}
                if answered := done - failed:
                    tasks.discard(first := answered.pop())
                    return first.result()
                if failed == tasks:
                    return failed.pop().result()  # it raises
                tasks -= failed
        raise AssertionError("unreachable")  # count() never ends
    finally:
        for task in tasks:
            abandon(task)


async def _run(attempt: Callable[[], Awaitable[T]]) -> T:
    return await attempt()
