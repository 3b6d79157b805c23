"""Attempts beside each other: one that meets a broker that hangs is not waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

T = TypeVar("T")

MOST = 8
"""Attempts beside each other."""


async def first_of(
    attempt: Callable[[], Awaitable[T]],
    *,
    every: float,
    within: float,
    abandon: "Callable[[asyncio.Task[T]], object]",
) -> T:
    """The first answer of attempts at the same thing.

    Args:
        attempt: Starts one.
        every: Seconds after which another attempt is started beside those under way.
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
                    return failed.pop().result()  # raises
                tasks -= failed
        raise AssertionError("unreachable")  # count() has no end
    finally:
        for task in tasks:
            abandon(task)


async def _run(attempt: Callable[[], Awaitable[T]]) -> T:
    return await attempt()
