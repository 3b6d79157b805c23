"""Repeats calls until a store answers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from workflow_ray.errors import WorkflowError
from workflow_ray.ports.clock import Clock

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0
"""Seconds between two tries. They double from the first to the longest."""


async def persist(
    call: Callable[[], Awaitable[T]], clock: Clock, caller: str, *, patience: float | None = None
) -> T:
    """Repeat a call until it raises no transient error.

    Args:
        call: A call that may be repeated: with the same ids it gets the same answer.
        clock: Measures the pauses and the patience.
        caller: The name of a role or a client, for the log.
        patience: Seconds after which the transient error is raised. None: never.

    Returns:
        The call's answer.

    Raises:
        WorkflowError: The call's error, if it is not transient or the patience is over.
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
