"""How callers ride out a store that doesn't answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from workflow_ray.errors import StoreBusy, StoreFull, StoreUnavailable
from workflow_ray.ports.clock import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
"""Seconds between tries, doubling from the first to the longest."""


async def persist(call: Callable[[], Awaitable[T]], clock: Clock, caller: str, *, patience: float | None = None) -> T:
    """The call's answer, asked for until the store gives one. Only for calls that may be repeated: same ids, same answer.

    caller: a role's name, or the client's, for the log.
    patience: seconds after which the store's error is raised instead; None: never, cancel it to give up.
    """
    start, pause = clock.now().timestamp(), FIRST_PAUSE
    while True:
        try:
            return await call()
        except (StoreUnavailable, StoreBusy, StoreFull) as error:
            if patience is not None and clock.now().timestamp() + pause > start + patience:
                raise
            log.warning("%s; trying again in %.2f s", error, pause, extra={"role": caller})
            await clock.wait(asyncio.Event(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)
