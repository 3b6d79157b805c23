"""The resources of functions, in a task of their own. If their code raises or cancels, that task
ends, and the role gets the error.
"""

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from workflow_ray.definition import Resource
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.errors import ResourceFailed

log = logging.getLogger(__name__)

CLOSING = 10.0
"""The seconds that resources have to close."""
CANCELLING = 1.0
"""The seconds after which a task that does not end when it is cancelled is left alone."""


class Opened:
    """The open resources of a role's functions."""

    def __init__(
        self,
        values: Mapping[Resource[Any], object],
        context: contextvars.Context,
        keeper: asyncio.Task[None],
    ) -> None:
        self.values = values
        self.context = context  # the context variables that opening has set; steps run in copies
        self._keeper = keeper

    async def broken(self) -> None:
        """Wait until they end by themselves, and raise why."""
        await asyncio.wait({self._keeper})
        raise _reason(self._keeper)


@asynccontextmanager
async def opened(
    name: str, resources: Iterable[Resource[Any]], replaced: Mapping[Resource[Any], object]
) -> AsyncGenerator[Opened]:
    """Open the resources, and close them at the end in reverse order.

    An error in closing is logged if the block has raised another error.

    Args:
        name: Names the functions that need them.
        resources: The resources, each of them once.
        replaced: Values that replace resources; these are not opened.

    Raises:
        ResourceFailed: Opening or closing raised something that is not an Exception.
        Exception: Opening or closing raised it.
    """
    ready, close = asyncio.Event(), asyncio.Event()
    values: dict[Resource[Any], object] = {}
    context = contextvars.copy_context()
    keeper = asyncio.create_task(
        _keep(name, resources, replaced, values, ready, close), name=name, context=context
    )
    try:
        await _ready(ready, keeper)
        yield Opened(values, context, keeper)
    except BaseException:
        broken = keeper.done()
        await _closed(keeper, close, name)
        if _has_failed(keeper) and not broken:
            log.error("%s: its resources were not closed properly", name, exc_info=_reason(keeper))
        raise
    await _closed(keeper, close, name)
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
    name: str,
    resources: Iterable[Resource[Any]],
    replaced: Mapping[Resource[Any], object],
    values: dict[Resource[Any], object],
    ready: asyncio.Event,
    close: asyncio.Event,
) -> None:
    try:
        async with AsyncExitStack() as stack:
            for resource in resources:
                values[resource] = (
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
        raise ResourceFailed(name, type(error).__qualname__) from error


async def _closed(keeper: asyncio.Task[None], close: asyncio.Event, name: str) -> None:
    """Let the task close the resources. If that takes too long, cancel it; then leave it alone."""
    close.set()
    for patience in (CLOSING, CANCELLING):
        await asyncio.wait({keeper}, timeout=patience)
        if keeper.done():
            return
        keeper.cancel()
    log.error("%s: its resources do not close, and are left as they are", name)


def _has_failed(keeper: asyncio.Task[None]) -> bool:
    return keeper.done() and (keeper.cancelled() or keeper.exception() is not None)


def _reason(keeper: asyncio.Task[None]) -> BaseException:
    """Why the task has ended by itself."""
    if keeper.cancelled():
        return ResourceFailed(keeper.get_name(), "its task was cancelled by its own code")
    return keeper.exception() or ResourceFailed(keeper.get_name(), "its task ended")
