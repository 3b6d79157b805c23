"""A clock that stands still until it is told to go on."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)
QUIET = 20
"""Turns of the event loop in which nobody begins or ends a wait, after which whoever can go on has
done so.
"""


class FakeClock:
    """ports.Clock whose time moves by `advance` only. For one event loop."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._elapsed = timedelta()  # the monotonic time
        # in the order they came, each with its deadline
        self._waiters: dict[asyncio.Timeout, timedelta] = {}
        self._waits = 0  # begun or ended, ever

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set() or seconds <= 0:
            return event.is_set()
        delay = timedelta(seconds=seconds)
        # what rounding leaves of a longer wait is over one tick of monotonic time later
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
        """When those who wait now give up, the next one first."""
        return sorted(self._now + (deadline - self._elapsed) for deadline in self._waiters.values())

    async def advance(self, by: timedelta) -> None:
        """Let time pass: each deadline on the way comes at its own time, and what it wakes runs
        before time goes on.
        """
        target = self._now + by
        await self.settle()
        while (deadlines := self.deadlines()) and deadlines[0] <= target:
            self._pass(deadlines[0] - self._now)
            await self.settle()
        self._pass(target - self._now)

    def jump(self, to: datetime) -> None:
        """Make it `to` at once: whoever waited for a time on the way wakes late, as after a
        machine's sleep.
        """
        self._pass(max(timedelta(), to - self._now))

    def jump_time_of_day(self, to: datetime) -> None:
        """Set the time of day, forward or back, as a correction of the machine's clock does.

        No time passes, and nobody wakes.
        """
        self._now = to

    async def settle(self) -> None:
        """Let every task run that can without time passing.

        What runs in threads isn't waited for.
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
