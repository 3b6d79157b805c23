"""Tasks that go on whatever error they meet."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
"""Seconds before a failed task runs again. They double, from the first to the longest."""


@asynccontextmanager
async def background(
    name: str, where: str, run: Callable[[], Awaitable[None]]
) -> AsyncGenerator[None]:
    """Run the function as a task until the block ends. An error does not end it: it is logged, and
    after a pause the function runs again.
    """
    task = asyncio.create_task(_kept_running(name, where, run), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _kept_running(name: str, where: str, run: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE
    while True:
        began = loop.time()
        try:
            await run()
            return
        except Exception:
            pause = (
                FIRST_PAUSE
                if loop.time() > began + LONGEST_PAUSE
                else min(2 * pause, LONGEST_PAUSE)
            )
            log.exception("%s: the %s failed. It is started again in %.2f s.", where, name, pause)
        await asyncio.sleep(pause)
