"""A clock that moves only when a test advances it."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)
QUIET = 20
"""Turns of the event loop. If no wait begins or ends during them, all tasks wait."""


class FakeClock:
    """A Clock whose time moves only when a test moves it. For one event loop.

    Args:
        start: The time at the beginning.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._elapsed = timedelta()  # the monotonic time
        # in the order of their start, each with its deadline
        self._waiters: dict[asyncio.Timeout, timedelta] = {}
        self._waits = 0  # how many waits have begun or ended

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that have passed, whatever happens to the time of day."""
        return self._elapsed.total_seconds()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait until the event is set, or until `seconds` have passed by this clock.

        Args:
            event: The event to wait for.
            seconds: The longest wait, by this clock.

        Returns:
            Whether the event is set.
        """
        if event.is_set() or seconds <= 0:
            return event.is_set()
        delay = timedelta(seconds=seconds)
        # Rounding can leave less than a microsecond of a longer wait. It ends one tick later,
        # because a caller that waits for the rest again would never come to the end.
        if not delay:
            self._elapsed += timedelta.resolution
            return event.is_set()
        try:
            async with asyncio.timeout(None) as timer:
                self._waiters[timer] = self._elapsed + delay
                self._waits += 1
                try:
                    return await event.wait()
                finally:
                    self._waits += 1
                    self._waiters.pop(timer, None)
        except TimeoutError:
            return event.is_set()

    def deadlines(self) -> list[datetime]:
        """Return the deadlines of the current waits, the next one first."""
        return sorted(self._now + (deadline - self._elapsed) for deadline in self._waiters.values())

    async def advance(self, by: timedelta) -> None:
        """Let time pass.

        Time stops at each deadline on the way, and continues when the tasks that it wakes have run.

        Args:
            by: How long.
        """
        target = self._now + by
        await self.settle()
        while (deadlines := self.deadlines()) and deadlines[0] <= target:
            self._pass(deadlines[0] - self._now)
            await self.settle()
        self._pass(target - self._now)

    def jump(self, to: datetime) -> None:
        """Set the time forward without a stop, as a machine that sleeps does.

        Waits whose deadline is in between end late.

        Args:
            to: The new time. An earlier one than now changes nothing.
        """
        self._pass(max(timedelta(), to - self._now))

    def jump_time_of_day(self, to: datetime) -> None:
        """Set the time of day forward or back, as a correction of the machine's clock does.

        No time passes, and no wait ends.
        """
        self._now = to

    async def settle(self) -> None:
        """Run every task that can run without time passing.

        This does not wait for threads.
        """
        quiet, waits = 0, self._waits
        while quiet < QUIET:
            await asyncio.sleep(0)
            quiet, waits = (quiet + 1, waits) if waits == self._waits else (0, self._waits)

    def _pass(self, time: timedelta) -> None:
        self._now += time
        self._elapsed += time
        for timer in [
            timer for timer, deadline in self._waiters.items() if deadline <= self._elapsed
        ]:
            del self._waiters[timer]
            timer.reschedule(asyncio.get_running_loop().time())
