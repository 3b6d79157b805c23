"""The reception of events: as many as the window has room for, from partitions without events in
doubt.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from workflow_ray.records import Arrivals, Received, RoleName
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.event_records import Written
from workflow_ray.roles.group_commits import BATCH, FULL_PAUSE, ROOM, WINDOW, WINDOW_DATA
from workflow_ray.roles.intake import Intake
from workflow_ray.roles.partition import Partition, share
from workflow_ray.roles.results import Results
from workflow_ray.roles.waiting import LONG_POLL, Interruptible


class Reception:
    """Receives the events of one role, and starts the attempts.

    Args:
        start: Called with the attempts to start.
    """

    def __init__(
        self,
        role: RoleName,
        partitions: Mapping[int, Partition],
        intake: Intake,
        results: Results,
        start: Callable[[Sequence[Attempt]], object],
    ) -> None:
        self._role = role
        self._partitions = partitions
        self._most = share(
            WINDOW, len(partitions)
        )  # the most events that one partition may have in hand
        self._intake = intake
        self._results = results
        self._start = start
        self._until_stopped: Interruptible | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Receive until `stop`."""
        async with Interruptible(stop) as until_stopped:
            self._until_stopped = until_stopped
            while not stop.is_set():
                with self._results.own_writes.noted() as written:
                    if arrivals := await until_stopped.wait(self._next):
                        await self._take(arrivals, written, stop, until_stopped)

    def receive_claimed(self) -> None:
        """Receive from partitions that were claimed since the current receive began."""
        if self._until_stopped is not None:
            self._until_stopped.cut()

    async def _next(self) -> Arrivals | None:
        """Receive the next events, from the partitions that have not used up their share of the
        window.
        """
        await self._wait_for_room()
        claimed = [at for at in self._partitions.values() if at.in_doubt is None]
        asked = [at for at in claimed if at.progress.in_hand < self._most]
        waits = bool(asked) and len(asked) == len(claimed)
        arrivals = Arrivals()
        if asked:
            limit = min(BATCH, WINDOW - len(self._results.attempts))
            arrivals = await self._intake.receive(
                asked, reader=self._role, limit=limit, wait=LONG_POLL if waits else 0.0
            )
        if not arrivals.events:
            await self._results.check_fence()
            if not waits:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._results.next_settled().wait(), FULL_PAUSE)
        return arrivals

    async def _wait_for_room(self) -> None:
        attempts = self._results.attempts
        while len(attempts) > WINDOW - ROOM or attempts.data >= WINDOW_DATA:
            await self._results.next_settled().wait()

    async def _take(
        self,
        arrivals: Arrivals,
        written: Written,
        stop: asyncio.Event,
        until_stopped: Interruptible,
    ) -> None:
        rest, cut_off = self._within_share(arrivals.events)
        while rest and not stop.is_set():
            attempts, rest = await self._intake.judge(rest, written)
            self._start(attempts)
            if rest:
                await until_stopped.wait(self._wait_for_room)
        if not rest:
            self._pass(
                {
                    number: offset
                    for number, offset in arrivals.read.items()
                    if number not in cut_off
                }
            )

    def _within_share(self, received: Sequence[Received]) -> tuple[list[Received], set[int]]:
        """Return the events within the shares, and the partitions that have more events than their
        share.
        """
        numbers = {item.event.partition for item in received}
        room = {
            number: self._most - self._partitions[number].progress.in_hand for number in numbers
        }
        within: list[Received] = []
        cut_off = set[int]()
        for item in received:
            number = item.event.partition
            room[number] -= 1
            if room[number] >= 0:
                within.append(item)
            else:
                cut_off.add(number)
        return within, cut_off

    def _pass(self, read: Mapping[int, int]) -> None:
        """Go on from these offsets. What is before them are not events of workflow_ray."""
        moved = [
            number
            for number, offset in read.items()
            if offset > self._partitions[number].progress.next
        ]
        for number in moved:
            self._partitions[number].progress.skip(read[number])
        if moved:
            self._results.touch()
