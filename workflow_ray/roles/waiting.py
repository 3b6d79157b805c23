"""How a role waits, until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

LONG_POLL = 20.0
"""Seconds that a role asks a store to wait for work; notifications end it early."""


class Interruptible:
    """Waits that `stop` cuts short, one at a time. What is waited for gets cancelled; nothing is
    spawned for a wait.
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
        """The call's answer; None where `stop` or `cut` came first."""
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
        """End the wait of this moment, if there is one: what is to be waited for has changed."""
        if self._wait is not None and not self._wait.expired():
            self._wait.reschedule(asyncio.get_running_loop().time())

    async def _interrupt(self) -> None:
        await self._stop.wait()
        self.cut()
