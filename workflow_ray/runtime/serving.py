"""Working until a signal comes, or until the store is gone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from workflow_ray.errors import WorkflowError
from workflow_ray.runtime.heap import keep_loaded
from workflow_ray.runtime.stop_signals import StopSignals

log = logging.getLogger(__name__)

Drain: TypeAlias = Callable[[float, asyncio.Event], Awaitable[bool]]
"""Leaves the runtime. Takes the seconds that running steps get, and an event that ends the wait for
them; returns whether all of them were finished.
"""


async def serve(
    what: str, seconds: float, gone: "asyncio.Future[WorkflowError]", drain: Drain
) -> bool:
    """Wait for SIGTERM or SIGINT, then leave the runtime.

    Args:
        what: Names workflows and store, for the log.
        seconds: Time for running steps.
        gone: Done if the store is gone, or the runtime was left; then it is left at once.
        drain: Leaves the runtime.

    Returns:
        Whether all running steps were finished.

    Raises:
        RuntimeUnavailable: It is not the main thread, or the runtime was left.
        StoreError: The store is gone.
    """
    with StopSignals() as signals:
        log.info("running %s; SIGTERM or Ctrl-C stops it", what)
        keep_loaded()
        await _first_of(signals.first, gone)
        if not signals.first.is_set():
            await drain(0.0, signals.second)
            raise gone.result()
        log.info(
            "%s: finishing what runs, for up to %g s; a second signal ends that",
            signals.name,
            seconds,
        )
        return await drain(seconds, signals.second)


async def _first_of(event: asyncio.Event, future: "asyncio.Future[WorkflowError]") -> None:
    waiting = asyncio.ensure_future(event.wait())
    either: set[asyncio.Future[Any]] = {waiting, future}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
