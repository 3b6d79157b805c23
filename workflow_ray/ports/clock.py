"""The clock of roles and stores. Tests pass one that they control."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the time of day in UTC.

        It may jump forward or back. Use it for times that are shown or stored, not for durations.
        """
        ...

    def monotonic(self) -> float:
        """Return the seconds since some moment. It never goes back."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for the event, for `seconds` of this clock at most. Return whether it is set."""
        ...


class SystemClock:
    """The machine's clock.

    A store that gets this clock reads its server's clock instead, inside its statements.
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
