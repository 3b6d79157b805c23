"""Break a store after any message of a transaction, from the first to the last."""

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
    """Cut the connection after 0 messages, after 1, and so on, until a block ends before the cut.

    Yields the number of messages and the cut: a context manager for a block that may end with
    StoreUnavailable. The store stays cut off until `heal` or the next iteration.
    """
    for number in count():
        has_completed = False

        @contextmanager
        def cut(messages: int = number) -> Generator[None]:
            nonlocal has_completed
            fragile.cut_after(messages)
            with suppress(StoreUnavailable):
                yield
                has_completed = True

        yield number, cut()
        fragile.heal()
        if has_completed:
            assert number > 0, "it should have been cut, but completed"
            return


async def holds(fragile: Fragile) -> AsyncIterator[tuple[int, Hold[Any]]]:
    """Hold a call up after 0 messages, after 1, and so on, until a call ends before that.

    Yields the number of messages and a context manager for the call. It gives the call as a task,
    which is held up within the block, and goes on at its end.
    """
    for number in count():
        has_completed = False

        @asynccontextmanager
        async def hold(
            call: Coroutine[Any, Any, T], messages: int = number
        ) -> AsyncGenerator[asyncio.Task[T]]:
            nonlocal has_completed
            fragile.hold_after(messages)
            task = asyncio.create_task(call)
            try:
                has_completed = not await _is_held(fragile, task)
                yield task
            finally:
                fragile.heal()

        yield number, hold
        if has_completed:
            assert number > 0, "it should have been held up, but completed"
            return


async def _is_held(fragile: Fragile, task: asyncio.Task[Any]) -> bool:
    """Wait until the call is held up or answered, and say which."""
    held = asyncio.create_task(fragile.held())
    await asyncio.wait({held, task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    held.cancel()
    return not task.done()
