"""Hints that something has changed, for those who wait for it."""

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from workflow_ray.ports import Clock

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Hints(Generic[K]):
    """Wakes whoever waits for one of the keys that changed, and nobody else."""

    def __init__(self) -> None:
        self._waiting: dict[K, set[asyncio.Event]] = {}

    def give(self, keys: Iterable[K]) -> None:
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
        due: Callable[[], datetime | None] = lambda: None,
    ) -> T:
        """What `look` finds: at once, or after a hint, or when something gets due, or else when `wait` seconds are over."""
        deadline = clock.now() + timedelta(seconds=wait)
        while not (found := look()) and (now := clock.now()) < deadline:
            until = min(deadline, due() or deadline)
            await self._heard(keys, clock, (until - now).total_seconds())
        return found

    async def _heard(self, keys: Collection[K], clock: Clock, seconds: float) -> None:
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
