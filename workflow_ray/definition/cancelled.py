"""The event that tells a function that its result will be dropped."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock


class CancelledEvent:
    """Set once the result of an attempt will be dropped, because its run has moved on.

    Thread-safe: a plain function in a thread asks `is_set()`, and an async one may await `wait()`,
    in any event loop.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_set = False
        self._wakeups: dict[Callable[[], object], None] = {}

    def is_set(self) -> bool:
        """Whether the result will be dropped."""
        return self._is_set

    def set(self) -> None:
        """Set the event, for good. The role of a run does so; a test may, on a run made by hand."""
        with self._lock:
            self._is_set = True
            wakeups = list(self._wakeups)
        for wake in wakeups:
            with suppress(RuntimeError):  # the loop of that wait is closed
                wake()

    async def wait(self) -> None:
        """Wait until the result will be dropped."""
        woken = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
        with self._lock:
            if self._is_set:
                return
            self._wakeups[wake] = None
        try:
            await woken.wait()
        finally:
            with self._lock:
                del self._wakeups[wake]

    def __repr__(self) -> str:
        return f"<CancelledEvent {'set' if self._is_set else 'not set'}>"
