"""Breaking a store after any message of a transaction, from the first to the last."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from itertools import count
from typing import Any, TypeAlias, TypeVar

from workflow_ray.errors import StoreUnavailable
from workflow_ray.testing.conformance.base import PATIENCE, Fragile

T = TypeVar("T")

Hold: TypeAlias = Callable[[Coroutine[Any, Any, T]], AbstractAsyncContextManager[asyncio.Task[T]]]


async def cuts(fragile: Fragile) -> AsyncIterator[tuple[int, AbstractContextManager[None]]]:
    """A cut after no message, after one, and so on, until a block goes through before it. Each with
    its number.

    Each is a block that may end with StoreUnavailable. After it the store stays cut off until it is
    healed, or the next turn.
    """
    for number in count():
        went_through = False

        @contextmanager
        def cut(messages: int = number) -> Generator[None]:
            nonlocal went_through
            fragile.cut_after(messages)
            with suppress(StoreUnavailable):
                yield
                went_through = True

        yield number, cut()
        fragile.heal()
        if went_through:
            assert number > 0, "it was cut, and went through"
            return


async def holds(fragile: Fragile) -> AsyncIterator[tuple[int, Hold[Any]]]:
    """A call held up after no message, after one, and so on, until one is answered before it comes
    to that. Each with its number.

    Within the block the call, as a task, is held up; at its end it goes on.
    """
    for number in count():
        went_through = False

        @asynccontextmanager
        async def hold(
            call: Coroutine[Any, Any, T], messages: int = number
        ) -> AsyncGenerator[asyncio.Task[T]]:
            nonlocal went_through
            fragile.hold_after(messages)
            task = asyncio.create_task(call)
            try:
                went_through = not await _is_held(fragile, task)
                yield task
            finally:
                fragile.heal()

        yield number, hold
        if went_through:
            assert number > 0, "it was held up, and went through"
            return


async def _is_held(fragile: Fragile, task: asyncio.Task[Any]) -> bool:
    """Once it is known: the call is held up, or else it was answered."""
    held = asyncio.create_task(fragile.held())
    await asyncio.wait({held, task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    held.cancel()
    return not task.done()
