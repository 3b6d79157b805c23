"""Time, as roles and stores see it; tests hand in one that stands still."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day in UTC.

        It may jump either way: only for times that are shown or stored, never to measure how long.
        """
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back, whatever happens to the time of day."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for the event, `seconds` at most by this clock. True: the event is set."""
        ...


class SystemClock:
    """The machine's clock.

    A store that is given one reads its own clock instead, inside its statements.
    """

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set() or seconds <= 0:
            return event.is_set()
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return event.is_set()
