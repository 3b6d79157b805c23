"""Waits of a role that its stop interrupts."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

LONG_POLL = 20.0
"""The seconds that a role lets a store wait for work. Notifications end the wait early."""


class Interruptible:
    """Makes waits, one at a time, that `stop` interrupts: the awaited call is cancelled. A wait
    starts no task.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._wait: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        self._interrupting = asyncio.create_task(self._interrupt())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._interrupting.cancel()
        await asyncio.wait([self._interrupting])

    async def wait(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Await the call. Returns None if `stop` or `cut` has interrupted it."""
        if self._stop.is_set():
            return None
        try:
            async with asyncio.timeout(None) as self._wait:
                return await call()
        except TimeoutError:
            if self._wait is not None and self._wait.expired():
                return None
            raise
        finally:
            self._wait = None

    def cut(self) -> None:
        """Interrupt the current wait, if there is one, because something else must be awaited."""
        if self._wait is not None and not self._wait.expired():
            self._wait.reschedule(asyncio.get_running_loop().time())

    async def _interrupt(self) -> None:
        await self._stop.wait()
        self.cut()
