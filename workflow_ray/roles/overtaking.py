"""Tells functions that take long that their runs have moved on, so that their results will be
dropped.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from threading import Lock

from workflow_ray.definition import CancelledEvent
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import NO_VERSION, RoleName, RunId, Version
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.waiting import LONG_POLL

YOUNG = 1.0
"""Seconds after it has asked for which an attempt's run is not watched: most attempts end before.
"""
TOGETHER = 0.25
"""Seconds between two times at which attempts become old enough, so that few calls are made again
for further runs.
"""
AT_MOST = 1000
"""The largest number of runs that one call watches."""


class Overtaking:
    """Watches the runs of those attempts of a role whose functions ask for `run.cancelled`. They
    share their calls to the store.

    Args:
        role: The role's name.
        records: The store.
        clock: Measures waits.
    """

    def __init__(self, role: RoleName, records: RecordStore, clock: Clock) -> None:
        self._role = role
        self._records = records
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._lock = Lock()
        self._young = deque[tuple[float, Attempt]]()  # by the time from which they are watched
        self._added = asyncio.Event()
        self._watched: dict[Attempt, None] = {}

    def event_of(self, attempt: Attempt) -> CancelledEvent:
        """Return the attempt's event, always the same one. Thread-safe."""
        with self._lock:
            event = attempt.cancelled
            is_new = event is None
            if event is None:
                event = attempt.cancelled = CancelledEvent()
        if attempt.phase is Phase.ABANDONED or attempt.is_expired or attempt.is_overtaken:
            event.set()
        elif is_new:
            self._begin(attempt, event)
        return event

    def _begin(self, attempt: Attempt, event: CancelledEvent) -> None:
        try:
            self._loop.call_soon_threadsafe(self._add, attempt)
        except RuntimeError:  # the loop is closed, so nobody waits for the result any more
            event.set()

    def _add(self, attempt: Attempt) -> None:
        due = ((self._clock.monotonic() + YOUNG) // TOGETHER + 1) * TOGETHER
        self._young.append((due, attempt))
        self._added.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._take_up()
            if self._watched:
                await self._watch()
            else:
                await self._next_due()

    def _take_up(self) -> None:
        """Watch the runs of attempts that are old enough, and no longer those of ended ones."""
        now = self._clock.monotonic()
        while self._young and self._young[0][0] <= now:
            self._watched[self._young.popleft()[1]] = None
        for attempt in [one for one in self._watched if one.phase is not Phase.RUNNING]:
            del self._watched[attempt]

    async def _next_due(self) -> None:
        """Wait until another attempt is old enough. Those that end before are forgotten."""
        while True:
            while self._young and self._young[0][1].phase is not Phase.RUNNING:
                self._young.popleft()
            if not self._young:
                self._added.clear()
                await self._added.wait()
            elif (left := self._young[0][0] - self._clock.monotonic()) > 0:
                await self._clock.wait(asyncio.Event(), left)
            else:
                return

    async def _watch(self) -> None:
        """Wait until some of the runs have changed, or another attempt is old enough."""
        due = asyncio.create_task(self._next_due())
        calls = [asyncio.create_task(self._changed(seen)) for seen in self._seen()]
        try:
            await asyncio.wait({due, *calls}, return_when=asyncio.FIRST_COMPLETED)
            for call in calls:
                if call.done():
                    self._tell(call.result())
        finally:
            for task in (due, *calls):
                task.cancel()
            await asyncio.wait({due, *calls})

    def _seen(self) -> Iterator[dict[RunId, Version]]:
        """The versions that the results of the attempts would build on, for one call each."""
        seen: dict[RunId, Version] = {}
        for attempt in self._watched:  # a run may have two: one was overtaken, and not yet told
            record = attempt.record
            seen[record.run_id] = min(record.version, seen.get(record.run_id, record.version))
        runs = iter(seen.items())
        while part := dict(islice(runs, AT_MOST)):
            yield part

    async def _changed(self, seen: dict[RunId, Version]) -> dict[RunId, Version]:
        """Wait for changes of the runs. Returns the versions of those that have changed."""
        watch = partial(self._records.watch, seen, wait=LONG_POLL)
        changed = await persist(watch, self._clock, self._role)
        return {record.run_id: record.version for record in changed}

    def _tell(self, versions: Mapping[RunId, Version]) -> None:
        """Tell the attempts whose runs are above the version that their results would build on."""
        overtaken = [
            attempt
            for attempt in self._watched
            if versions.get(attempt.record.run_id, NO_VERSION) > attempt.record.version
        ]
        for attempt in overtaken:
            del self._watched[attempt]
            if attempt.phase is Phase.RUNNING:
                attempt.is_overtaken = True
                attempt.cancel()
