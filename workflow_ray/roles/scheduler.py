"""The role that starts the runs of a schedule, one for each tick."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec

from workflow_ray.definition import Schedule, Workflow
from workflow_ray.engine.schedules import (
    Missed,
    Starts,
    Waits,
    first_write_of,
    foreign_id_of,
    last_tick_of,
    moment_of,
    next_of,
    offset_of,
    tick_text,
    ticks_of,
)
from workflow_ray.engine.visible import visible
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    ActiveRun,
    Deployment,
    Fence,
    KeyUsed,
    Position,
    Record,
    Write,
    WriteGroup,
    scheduler_group,
)
from workflow_ray.roles.execution import failed
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.schedule_function import ScheduleFunction
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

log = logging.getLogger(__name__)

FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds until a function that has failed is called again. They double from the first to the
longest.
"""
DEATHS = 3
"""The calls for one tick that may end their process. Then the tick is skipped."""

T = TypeVar("T")
Wait: TypeAlias = Callable[[], Awaitable[object]]
"""Waits for what the next tick needs: its time, the end of a run, or another deployment."""


class Scheduler:
    """Calls the function of a schedule at each tick, and starts the run with what it returns.

    Its position tells up to when all ticks are done. It is written together with the run's first
    version, so a tick has one run, whatever becomes of the role. The position's `begun` is the last
    tick that started a run. `trying` has the next tick once for each call that may have ended its
    process, the call in hand included.
    """

    def __init__(
        self,
        fence: Fence,
        workflow: Workflow[Any, Any],
        schedule: Schedule,
        records: RecordStore,
        clock: Clock,
        in_flight: InFlight | None = None,
    ) -> None:
        """in_flight: Shared by the roles of this process."""
        self._fence = fence
        self._workflow = workflow
        self._schedule = schedule
        self._records = records
        self._clock = clock
        self._ticks = ticks_of(schedule)
        self._function = ScheduleFunction(workflow, schedule)
        self._group = scheduler_group(workflow.name, schedule.name)
        self._position = Position(group=self._group, partition=0, offset=0)
        self._deployment = Deployment(store_id="", version=-1)
        self._deaths = 0  # calls for the next tick that ended the process of an earlier holder
        self._failures = 0  # calls for the next tick that have failed here
        self._in_flight = in_flight or InFlight()
        self._is_calling = False
        self._called = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether the function does not run, and what it has returned is committed."""
        return not self._is_calling

    def progress(self) -> asyncio.Event:
        """Return what is set when the next call of the function is committed or has failed."""
        return self._called

    async def run(self, stop: asyncio.Event) -> None:
        """Start the runs of ticks until `stop`. Raises RoleLost.

        A call in hand is finished. If it is cut off, the next holder makes it again.
        """
        self._deployment = await self._persist(self._records.deployment)
        await self._load()
        self._deaths = len(self._position.trying)
        try:
            with self._in_flight.counted(self._fence.role, lambda: int(self._is_calling)):
                async with Interruptible(stop) as until_stopped:
                    while not stop.is_set():
                        await until_stopped.wait(await self._advance())
        finally:
            await self._give_back()

    async def _load(self) -> None:
        """Read the position. A new schedule begins now."""
        positions = await self._persist(lambda: self._records.positions(self._group))
        if positions:
            self._position = positions[0]
        else:
            now = await self._now()
            await self._put(msgspec.structs.replace(self._position, offset=offset_of(now)))

    async def _advance(self) -> Wait:
        """Do what is due. Returns what to wait for after that."""
        if self._is_paused():
            return partial(self._wait_for_deployment, LONG_POLL)
        done, now = moment_of(self._position.offset), await self._now()
        match next_of(self._schedule, self._ticks, done, now):
            case Waits(until):
                wait = LONG_POLL if until is None else (until - now).total_seconds()
                return partial(self._wait_for_deployment, wait)
            case Missed(first, done):
                self._log(
                    f"skips its ticks from {tick_text(first)} on that are more than"
                    f" {self._schedule.catch_up:g} s late (catch_up)"
                )
                await self._finish(done)
            case Starts(tick):
                return await self._start(tick)
        return _go_on

    def _is_paused(self) -> bool:
        return any(
            self._schedule.name in workflow.paused
            for workflow in self._deployment.workflows
            if workflow.name == self._workflow.name
        )

    # --- one tick -------------------------------------------------------------------------------

    async def _start(self, tick: datetime) -> Wait:
        """Start the run of a tick that is due, as far as that is possible now."""
        if self._schedule.overlap != "allow" and (record := await self._unfinished()):
            if self._schedule.overlap == "queue":
                return partial(self._wait_for_end, record)
            self._log(
                f"skips the tick {tick_text(tick)}, because the run of an earlier tick is not"
                f" finished: {record.run_id}"
            )
            await self._finish(tick)
            return _go_on
        if self._deaths >= DEATHS:
            self._log(
                f"skips the tick {tick_text(tick)}, because {DEATHS} processes have ended while its"
                f" function ran ({self._schedule.where})",
                level=logging.ERROR,
            )
            await self._finish(tick)
            return _go_on
        self._is_calling = True
        try:
            return await self._call(tick)
        finally:
            self._is_calling = False
            self._called.set()
            self._called = asyncio.Event()

    async def _call(self, tick: datetime) -> Wait:
        """Call the function, and start the run with its data."""
        await self._count(tick)
        try:
            data = await self._function.data_of(tick, self._failures + 1)
            # it calls the user's functions that set timeouts
            write = None if data is None else self._write(tick, data)
        except Exception as error:
            return self._failed(tick, error)
        await self._finish(tick, write)
        return _go_on

    async def _unfinished(self) -> Record | None:
        """Return the run of the last tick that started one, if it is not finished."""
        if (last := last_tick_of(self._position)) is None:
            return None
        foreign_id = foreign_id_of(self._schedule.name, last)
        (record,) = await self._persist(
            lambda: self._records.latest(self._workflow.name, [foreign_id])
        )
        return None if record is None or record.run_state.finished else record

    def _write(self, tick: datetime, data: bytes) -> Write:
        return first_write_of(self._workflow, self._schedule.name, tick, data, self._fence.role)

    async def _finish(self, tick: datetime, write: Write | None = None) -> None:
        """Move the position past the tick, together with the first write of its run."""
        offset = offset_of(tick)
        begun = self._position.begun if write is None else offset
        position = msgspec.structs.replace(self._position, offset=offset, begun=begun, trying=())
        await self._put(position, write)
        self._deaths = self._failures = 0

    async def _put(self, position: Position, write: Write | None = None) -> None:
        group = WriteGroup(
            writes=() if write is None else (write,), positions=(position,), fence=self._fence
        )
        answer = await store_fenced(self._records, group, self._clock)
        self._position = position
        for result in answer.results:
            if isinstance(result, ActiveRun):
                self._log(f"starts no run, because its foreign id has the run {result.active}")
            elif isinstance(result, KeyUsed):
                self._log(f"had started the run {result.first} before", level=logging.INFO)

    # --- the function ---------------------------------------------------------------------------

    async def _count(self, tick: datetime) -> None:
        """Note that the function is about to be called for the tick."""
        trying = (offset_of(tick),) * (self._deaths + 1)
        if self._position.trying != trying:
            await self._put(msgspec.structs.replace(self._position, trying=trying))

    async def _give_back(self) -> None:
        """Note that this process has not ended in a call. Without a store the call counts."""
        trying = self._position.trying[: self._deaths]
        if self._position.trying != trying:
            position = msgspec.structs.replace(self._position, trying=trying)
            group = WriteGroup(positions=(position,), fence=self._fence)
            with suppress(WorkflowError):
                await self._records.store([group])

    def _failed(self, tick: datetime, error: Exception) -> Wait:
        pause = min(FIRST_RETRY * 2**self._failures, LONGEST_RETRY)
        self._failures += 1
        self._log(
            f"failed for the tick {tick_text(tick)} (attempt {self._failures}):"
            f" {visible(failed(error).error)}. Its function is called again in"
            f" {pause:g} s; later ticks wait",
            raised=error,
        )
        return partial(self._wait_for_deployment, pause)

    # --- waits ----------------------------------------------------------------------------------

    async def _wait_for_deployment(self, seconds: float) -> None:
        """Wait for another deployment, which may pause the schedule or have it go on."""
        wait, version = min(seconds, LONG_POLL), self._deployment.version
        deployment = await self._persist(
            lambda: self._records.deployment(newer_than=version, wait=wait)
        )
        if deployment.version != version:
            self._deployment = deployment
            await self._load()  # a resume moves the position

    async def _wait_for_end(self, record: Record) -> None:
        """Wait until the run may have ended. The schedule may have been paused meanwhile."""
        seen = {record.run_id: record.version}
        await self._persist(lambda: self._records.watch(seen, wait=LONG_POLL, at_rest=True))
        await self._wait_for_deployment(0)

    async def _now(self) -> datetime:
        """Return the time by the store's clock."""
        return (await self._persist(lambda: self._records.activity(limit=1))).now

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._clock, self._fence.role)

    def _log(
        self, text: str, *, level: int = logging.WARNING, raised: BaseException | None = None
    ) -> None:
        log.log(
            level,
            "%s: schedule %r %s",
            self._workflow.name,
            self._schedule.name,
            text,
            exc_info=raised,
            extra={"role": self._fence.role},
        )


async def _go_on() -> None:
    """Wait for nothing: the next tick may be due."""
