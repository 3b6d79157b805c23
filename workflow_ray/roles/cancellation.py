"""How a role's work ends when the role is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

LEAVING = 5.0
"""The seconds that an orderly stop has for the last commits, after it has abandoned its work."""


async def run_cancellable(
    attend: Coroutine[Any, Any, None],
    stop: asyncio.Event,
    *,
    leave: Callable[[], None],
    abandon: Callable[[], object],
    close: Callable[[], Awaitable[None]],
) -> None:
    """Do the work, in a task of its own, which may go on for a while after a cancellation.

    Args:
        attend: The work, until `stop`.
        stop: Set when an orderly stop has begun.
        leave: Called at a cancellation after `stop`: abandons what runs, and hands in what the work
            is to commit before it ends.
        abandon: Called at the end: abandons what still runs.
        close: Waits for what was abandoned.
    """
    work = asyncio.create_task(attend)
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        if stop.is_set():
            leave()
            await asyncio.wait({work}, timeout=LEAVING)
        raise
    finally:
        work.cancel()
        abandon()
        await asyncio.wait({work}, timeout=LEAVING)
        if work.done() and not work.cancelled():
            work.exception()  # it was raised already, or a cancellation replaces it
        await close()
