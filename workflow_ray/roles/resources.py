"""Resources of a step, opened and closed in a task of their own: what their code raises or cancels
ends that task, no role in silence.
"""

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from workflow_ray.definition import Resource, Step
from workflow_ray.errors import ResourceFailed
from workflow_ray.roles.interrupts import is_interrupt

log = logging.getLogger(__name__)

CLOSING = 10.0
"""Seconds that resources get to close."""
CANCELLING = 1.0
"""Seconds after which one that goes on though it was cancelled is left alone."""


class Opened:
    """A step's resources, open."""

    def __init__(
        self, values: Mapping[str, object], context: contextvars.Context, keeper: asyncio.Task[None]
    ) -> None:
        self.values = values  # by the name of the step's parameter
        self.context = context  # what was set while they were opened: steps run in copies of it
        self._keeper = keeper

    async def broken(self) -> None:
        """Wait until they close before their time, and raise why."""
        await asyncio.wait({self._keeper})
        raise _reason(self._keeper)


@asynccontextmanager
async def opened(
    step: Step[Any], replaced: Mapping[Resource[Any], object]
) -> AsyncGenerator[Opened]:
    """Open the resources, and close them at the end, last first; those `replaced` are taken as
    given.

    Raises whatever opening or closing one raised; ResourceFailed, where that is not an Exception.
    Beside another error, one in closing is logged.
    """
    ready, close = asyncio.Event(), asyncio.Event()
    values: dict[str, object] = {}
    context = contextvars.copy_context()
    keeper = asyncio.create_task(
        _keep(step, replaced, values, ready, close), name=step.name, context=context
    )
    try:
        await _ready(ready, keeper)
        yield Opened(values, context, keeper)
    except BaseException:
        broken = keeper.done()
        await _closed(keeper, close, step.name)
        if _has_failed(keeper) and not broken:
            log.error(
                "%s: its resources were not closed properly", step.name, exc_info=_reason(keeper)
            )
        raise
    await _closed(keeper, close, step.name)
    if _has_failed(keeper):
        raise _reason(keeper)


async def _ready(ready: asyncio.Event, keeper: asyncio.Task[None]) -> None:
    opening = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({opening, keeper}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        opening.cancel()
    if not ready.is_set():
        raise _reason(keeper)


async def _keep(
    step: Step[Any],
    replaced: Mapping[Resource[Any], object],
    values: dict[str, object],
    ready: asyncio.Event,
    close: asyncio.Event,
) -> None:
    try:
        async with AsyncExitStack() as stack:
            for name, resource in step.resources.items():
                values[name] = (
                    replaced[resource]
                    if resource in replaced
                    else await stack.enter_async_context(resource.open())
                )
            ready.set()
            await close.wait()
    except Exception:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ResourceFailed(step.name, type(error).__qualname__) from error


async def _closed(keeper: asyncio.Task[None], close: asyncio.Event, step: str) -> None:
    """Have the task close what it opened, but do not wait for ever: then cancel it, then leave it
    alone.
    """
    close.set()
    for patience in (CLOSING, CANCELLING):
        await asyncio.wait({keeper}, timeout=patience)
        if keeper.done():
            return
        keeper.cancel()
    log.error("%s: its resources do not close, and are left as they are", step)


def _has_failed(keeper: asyncio.Task[None]) -> bool:
    return keeper.done() and (keeper.cancelled() or keeper.exception() is not None)


def _reason(keeper: asyncio.Task[None]) -> BaseException:
    """Why the task ended before its time."""
    if keeper.cancelled():
        return ResourceFailed(keeper.get_name(), "its task was cancelled by its own code")
    return keeper.exception() or ResourceFailed(keeper.get_name(), "its task ended")
