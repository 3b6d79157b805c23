"""Hints that something has changed, for those who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Hashable, Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import Generic, TypeVar

from workflow_ray.ports import Clock

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Hints(Generic[K]):
    """Wakes whoever waits for one of the keys that changed, and nobody else."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[K, set[asyncio.Event]] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def give(self, keys: Iterable[K]) -> None:
        for key in keys:
            for event in self._waiting.get(key, ()):
                event.set()

    def give_all(self) -> None:
        self.give(self._waiting)

    async def poll(
        self, keys: Collection[K], look: Callable[[], Awaitable[T]], wait: float, *, no_news: Callable[[], bool] = lambda: False
    ) -> T:
        """What `look` finds: at once, or after a hint, or else when `wait` seconds are over.

        no_news: says that a look now would find nothing, so that the first one may wait for a hint.
        """
        deadline = self._clock.now() + timedelta(seconds=wait)
        with self._listening(keys) as hint:
            if wait > 0 and no_news():
                await self._clock.wait(hint, wait)
            while True:
                hint.clear()  # before the look, so that what changes meanwhile is seen by the next one
                found = await look()
                left = (deadline - self._clock.now()).total_seconds()
                if found or left <= 0:
                    return found
                await self._clock.wait(hint, left)

    @contextmanager
    def _listening(self, keys: Collection[K]) -> Generator[asyncio.Event]:
        event = asyncio.Event()
        for key in keys:
            self._waiting.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            for key in keys:
                self._waiting[key].discard(event)
                if not self._waiting[key]:
                    del self._waiting[key]
