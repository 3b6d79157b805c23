"""How callers ride out a store that doesn't answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from workflow_ray.errors import WorkflowError
from workflow_ray.ports.clock import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
"""Seconds between tries, doubling from the first to the longest."""


async def persist(
    call: Callable[[], Awaitable[T]], clock: Clock, caller: str, *, patience: float | None = None
) -> T:
    """Repeat the call until it raises no transient error. Only for calls that may be repeated: same
    ids, same answer.

    Args:
        caller: A role's name, or the client's, for the log.
        patience: Seconds after which the transient error is raised instead; None: never, cancel it
            to give up.

    Raises:
        WorkflowError: The call's own error, where that is not transient.
    """
    start, pause = clock.monotonic(), FIRST_PAUSE
    while True:
        try:
            return await call()
        except WorkflowError as error:
            if not error.transient or (
                patience is not None and clock.monotonic() + pause > start + patience
            ):
                raise
            log.warning("%s; trying again in %.2f s", error, pause, extra={"role": caller})
            await clock.wait(asyncio.Event(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)
