"""Wakes callers that wait for a change."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from typing import TypeVar

from workflow_ray.ports import Clock

T = TypeVar("T")


class Notifications:
    """Wakes the callers that wait for one of the names that changed, and no others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def notify(self, names: Iterable[str]) -> None:
        for name in names:
            for wakeup in self._waiting.get(name, ()):
                wakeup.set()

    def notify_all(self) -> None:
        self.notify(self._waiting)

    def register(self, names: Collection[str]) -> asyncio.Event:
        """Return an event that is set whenever one of the names is notified."""
        wakeup = asyncio.Event()
        for name in names:
            self._waiting.setdefault(name, set()).add(wakeup)
        return wakeup

    def unregister(self, names: Collection[str], wakeup: asyncio.Event) -> None:
        for name in names:
            self._waiting[name].discard(wakeup)
            if not self._waiting[name]:
                del self._waiting[name]

    async def poll(
        self,
        names: Collection[str],
        look: Callable[[], Awaitable[tuple[T, float | None]]],
        wait: float,
        enough: Callable[[T], bool] = bool,
    ) -> T:
        """Look until there is something or the wait is over, and return what was found last.

        Args:
            names: Look again when one of them is notified.
            look: Returns what is there, and the seconds until the next item is due, if there is
                any.
            wait: Seconds.
            enough: Whether what was found ends the wait.
        """
        deadline = self._clock.monotonic() + wait
        with self._registration(names) as wakeup:
            while True:
                wakeup.clear()  # before the look, so that a change during it causes another look
                found, due_in = await look()
                left = deadline - self._clock.monotonic()
                if enough(found) or left <= 0:
                    return found
                await self._clock.wait(wakeup, left if due_in is None else min(left, due_in))

    @contextmanager
    def _registration(self, names: Collection[str]) -> Generator[asyncio.Event]:
        wakeup = self.register(names)
        try:
            yield wakeup
        finally:
            self.unregister(names, wakeup)


def without_due_time(look: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[tuple[T, None]]]:
    """Make a look whose result only a notification can change."""

    async def look_once() -> tuple[T, None]:
        return await look(), None

    return look_once
