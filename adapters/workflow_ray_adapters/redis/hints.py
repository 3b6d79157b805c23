"""Hints that something has changed, for those who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from workflow_ray.ports import Clock

T = TypeVar("T")


class Hints:
    """Wakes whoever waits for one of the names that changed, and nobody else."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def give(self, names: Iterable[str]) -> None:
        for name in names:
            for event in self._waiting.get(name, ()):
                event.set()

    def give_all(self) -> None:
        self.give(self._waiting)

    async def poll(self, names: Collection[str], look: Callable[[], Awaitable[tuple[T, datetime | None]]], wait: float) -> T:
        """What `look` finds: at once, or after a hint, or when what it says gets due, or else when `wait` seconds are over."""
        deadline = self._clock.now() + timedelta(seconds=wait)
        with self._listening(names) as hint:
            while True:
                hint.clear()  # before the look, so that what changes meanwhile is seen by the next one
                found, due = await look()
                now = self._clock.now()
                if found or now >= deadline:
                    return found
                await self._clock.wait(hint, (min(deadline, due or deadline) - now).total_seconds())

    @contextmanager
    def _listening(self, names: Collection[str]) -> Generator[asyncio.Event]:
        event = asyncio.Event()
        for name in names:
            self._waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            for name in names:
                self._waiting[name].discard(event)
                if not self._waiting[name]:
                    del self._waiting[name]
