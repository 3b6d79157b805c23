"""The role that retries the runs of a workflow which an error has paused. It runs no user code."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from workflow_ray.engine.control import Action, Control, decide_control
from workflow_ray.engine.delays import delayed_steps, delays_left
from workflow_ray.engine.past import read_between
from workflow_ray.engine.paused_retries import due_at, streak
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    Cause,
    Fence,
    HistoryEntry,
    Record,
    RunId,
    RunQuery,
    RunState,
    Version,
    Write,
    WriteGroup,
    new_write_id,
)
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.waiting import Interruptible

T = TypeVar("T")
log = logging.getLogger(__name__)

BATCH = 500
"""The most runs that are read, and retried, at once."""
AT_ONCE = 20
"""The histories that are read concurrently."""
ENTRIES = 100
"""The versions that one look at a history goes back."""
LEAST, MOST = 1.0, 60.0
"""Seconds between two looks: a tenth of the first delay, within these limits, and at most that
delay. So each run is seen before it is due.
"""
BUSY = 4.0
"""A look is followed by a pause that is this many times as long, so that many waiting runs do not
keep the store busy.
"""
CHECK = 60.0
"""Seconds without a retry after which the role checks its fence."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PausedRetryWork:
    """The work of the role."""

    workflow: str
    statuses: tuple[int, ...]  # the stored numbers of those that have functions
    first: float  # the seconds from a pause to the first retry


class Waiting(NamedTuple):
    """A run that waits for its retry."""

    version: Version
    due_at: datetime
    retries: int  # in a row, so far


class PausedRetry:
    """Retries each run some time after an error has paused it.

    Only runs whose last write is the pause by an error are touched. A retry is a version that
    builds on that one, so it is made once, whatever becomes of the role, and it loses against what
    an operator does meanwhile. How often a run was retried in a row is read from its history.
    """

    def __init__(
        self, work: PausedRetryWork, fence: Fence, records: RecordStore, clock: Clock
    ) -> None:
        self._work = work
        self._fence = fence
        self._records = records
        self._clock = clock
        self._every = min(max(work.first / 10, LEAST), MOST, work.first)
        self._waiting = dict[RunId, Waiting]()  # those that the last look has found
        self._checked_at = clock.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Retry runs until `stop`. Raises RoleLost.

        If it is cut off, the next holder retries the others.
        """
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                pause = await until_stopped.wait(self._look)
                await self._clock.wait(stop, pause or 0.0)

    async def _look(self) -> float:
        """Retry what is due. Returns the seconds until the next look."""
        begun = self._clock.monotonic()
        now = await self._now()
        waiting = dict[RunId, Waiting]()
        query = self._query(now)
        while page := await self._persist(partial(self._records.runs, query)):
            found = await self._found(page)
            due = [record for record in page if found[record.run_id].due_at <= now]
            await self._retry(due, found)
            waiting |= {run_id: each for run_id, each in found.items() if each.due_at > now}
            query = replace(query, after=page[-1].run_id)
        self._waiting = waiting
        await self._check_fence()
        next_due = min((each.due_at for each in waiting.values()), default=None)
        until_due = self._every if next_due is None else (next_due - now).total_seconds()
        took = self._clock.monotonic() - begun
        return max(min(self._every, until_due), BUSY * took)

    def _query(self, now: datetime) -> RunQuery:
        """Ask for the runs whose first retry is due, or gets due before the next look."""
        latest = now + timedelta(seconds=self._every - self._work.first) + timedelta.resolution
        return RunQuery(
            workflow=self._work.workflow,
            statuses=self._work.statuses,
            run_states=(RunState.PAUSED,),
            causes=(Cause.FAILED,),
            updated_before=max(latest, EPOCH),
            limit=BATCH,
        )

    async def _found(self, page: Sequence[Record]) -> dict[RunId, Waiting]:
        """Find out when these runs are due. Histories are read once for each pause of a run."""
        known = {
            record.run_id: self._waiting[record.run_id]
            for record in page
            if record.run_id in self._waiting
            and self._waiting[record.run_id].version == record.version
        }
        new = [record for record in page if record.run_id not in known]
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            counts = await asyncio.gather(*map(self._retries, some))
            for record, retries in zip(some, counts, strict=True):
                due = due_at(record, self._work.first, retries)
                known[record.run_id] = Waiting(record.version, due, retries)
        return known

    async def _retries(self, record: Record) -> int:
        """Count how often this role has retried the run in a row. It reads from the end."""
        read = partial(self._read, record.run_id)
        retries, end = 0, record.version
        while end > record.visit:
            start = Version(max(record.visit, end - ENTRIES))
            counted = streak(await read_between(read, start, end), self._fence.role)
            retries += counted.retries
            if counted.is_whole:
                break
            end = start
        return retries

    async def _read(self, run_id: RunId, *, after: Version, limit: int) -> list[HistoryEntry]:
        return await self._persist(lambda: self._records.history(run_id, after=after, limit=limit))

    async def _retry(self, due: Sequence[Record], found: dict[RunId, Waiting]) -> None:
        delays = await self._delays_left(due)
        writes = [
            self._write(record, found[record.run_id].retries + 1, delays.get(record.run_id, 0.0))
            for record in due
        ]
        if writes:
            await self._put(tuple(writes))
            log.info(
                "%s: %d runs that an error had paused are retried",
                self._work.workflow,
                len(writes),
                extra={"role": self._fence.role},
            )

    async def _delays_left(self, due: Sequence[Record]) -> Mapping[RunId, float]:
        """Read what is left of the delays of steps that have not failed themselves."""
        if not (steps := delayed_steps(due)):
            return {}
        ask = partial(self._records.activity, limit=len(steps), steps=steps)
        return delays_left(await self._persist(ask))

    def _write(self, record: Record, number: int, delay: float) -> Write:
        reason = f"an error had paused it; retry {number} in a row"
        control = Control(Action.RETRY, self._fence.role, reason)
        write = decide_control(record, control, write_id=new_write_id(), delay=delay)
        assert isinstance(write, Write), "a run that an error has paused can be retried"
        return write

    async def _check_fence(self) -> None:
        """Notice that the role has a newer holder, though nothing was written for a while."""
        if self._clock.monotonic() - self._checked_at >= CHECK:
            await self._put(())

    async def _put(self, writes: tuple[Write, ...]) -> None:
        group = WriteGroup(writes=writes, fence=self._fence)
        await store_fenced(self._records, group, self._clock)
        self._checked_at = self._clock.monotonic()

    async def _now(self) -> datetime:
        """Return the time by the store's clock, by which the pauses are dated."""
        return (await self._persist(lambda: self._records.activity(limit=1))).now

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._clock, self._fence.role)
