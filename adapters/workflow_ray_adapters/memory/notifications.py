"""Notifications that something has changed, for callers that wait for it."""

import asyncio
import math
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Generic, TypeVar

from workflow_ray.ports import Clock

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Notifications(Generic[K]):
    """Wakes the callers that wait for one of the keys that changed, and no others."""

    def __init__(self) -> None:
        self._waiting: dict[K, set[asyncio.Event]] = {}

    def notify(self, keys: Iterable[K]) -> None:
        for key in keys:
            for event in self._waiting.get(key, ()):
                event.set()

    async def poll(
        self,
        keys: Collection[K],
        look: Callable[[], T],
        *,
        clock: Clock,
        wait: float,
        enough: Callable[[T], bool] = bool,
        due_in: Callable[[], float] = lambda: math.inf,
    ) -> T:
        """Look until there is enough or the wait is over, and return what was found last.

        Args:
            keys: Look again when one of them is notified.
            look: Returns what is there.
            clock: Measures the wait.
            wait: Seconds.
            enough: Whether the result ends the wait.
            due_in: Seconds until the next item is due. Look again then, without a notification.
        """
        deadline = clock.monotonic() + wait
        while not enough(found := look()) and (left := deadline - clock.monotonic()) > 0:
            await self._wait(keys, clock, min(left, due_in()))
        return found

    async def _wait(self, keys: Collection[K], clock: Clock, seconds: float) -> None:
        event = asyncio.Event()
        for key in keys:
            self._waiting.setdefault(key, set()).add(event)
        try:
            await clock.wait(event, seconds)
        finally:
            for key in keys:
                self._forget(key, event)

    def _forget(self, key: K, event: asyncio.Event) -> None:
        self._waiting[key].discard(event)
        if not self._waiting[key]:
            del self._waiting[key]
