"""A clock that moves only when a test advances it."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)
QUIET = 20
"""Turns of the event loop without the start or end of a wait, after which every task has run that
can run.
"""


class FakeClock:
    """A Clock whose time moves by `advance` only. For one event loop."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._elapsed = timedelta()  # the monotonic time
        # in the order of their start, each with its deadline
        self._waiters: dict[asyncio.Timeout, timedelta] = {}
        self._waits = 0  # how many waits have begun or ended

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set() or seconds <= 0:
            return event.is_set()
        delay = timedelta(seconds=seconds)
        # A rest of a longer wait that rounding leaves ends one tick of monotonic time later.
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

        Each deadline on the way is reached at its own time, and the tasks that it wakes run before
        time continues.
        """
        target = self._now + by
        await self.settle()
        while (deadlines := self.deadlines()) and deadlines[0] <= target:
            self._pass(deadlines[0] - self._now)
            await self.settle()
        self._pass(target - self._now)

    def jump(self, to: datetime) -> None:
        """Set the time to `to` at once.

        Waits that would have ended on the way end late, as after a machine's sleep.
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
