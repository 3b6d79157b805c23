"""Shows and controls the schedules of one workflow."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.bulk_controls import BulkControls
from workflow_ray.client.handle import Handle
from workflow_ray.client.inputs import checked_data
from workflow_ray.client.schedule_pauses import pause_schedule, resume_schedule
from workflow_ray.client.triggers import BATCH, TriggerOutcome, batches
from workflow_ray.definition import FunctionCall, Schedule, Status, Workflow
from workflow_ray.definition.arguments import checked_text, checked_time
from workflow_ray.definition.layers import call_through
from workflow_ray.engine.error_text import text_of
from workflow_ray.engine.schedules import (
    between,
    first_write_of,
    in_zone_of,
    last_tick_of,
    moment_of,
    offset_of,
    tick_text,
    ticks_of,
)
from workflow_ray.engine.visible import visible
from workflow_ray.errors import InvalidInput, ScheduleFailed, UnknownSchedule
from workflow_ray.records import Write, scheduler_group

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo:
    """A schedule, and how far it is.

    Args:
        name: The schedule's name.
        cron: Its ticks as a cron expression, or None.
        every: Its ticks as the time between them, or None.
        timezone: The IANA name of the timezone of `cron`.
        paused: Whether it is paused.
        last_tick: The last tick that has started a run; triggers by hand and backfills do not
            count. None: none has.
        next_tick: The first tick that is not done, which is in the past while the schedule is late.
            None: the schedule is paused, or has no further tick.
    """

    name: str
    cron: str | None
    every: timedelta | None
    timezone: str
    paused: bool
    last_tick: datetime | None
    next_tick: datetime | None


class ScheduleControls(BulkControls[D, S], ABC, Generic[D, S]):
    """Shows and controls the schedules of one workflow."""

    async def schedules(self) -> list[ScheduleInfo]:
        """Return the workflow's schedules, in the order of the code."""
        now = await self._now()
        deployment = await self._records.deployment()
        paused = {
            schedule
            for workflow in deployment.workflows
            if workflow.name == self._workflow.name
            for schedule in workflow.paused
        }
        return [
            await self._info(schedule, now, is_paused=schedule.name in paused)
            for schedule in self._workflow.checked().schedules
        ]

    async def pause_schedule(self, name: str) -> None:
        """Pause a schedule: its ticks start no runs. Runs that have started go on.

        A run whose start was under way may still start. To pause a paused schedule changes nothing.

        Args:
            name: The schedule's name.

        Raises:
            UnknownWorkflow, UnknownSchedule: It is not deployed.
        """
        await pause_schedule(self._records, self._workflow.name, checked_text("name", name))

    async def resume_schedule(self, name: str) -> None:
        """Let a paused schedule continue, from now on: ticks of the pause start no runs.

        `backfill` starts these. To resume a schedule that is not paused changes nothing.

        Args:
            name: The schedule's name.

        Raises:
            UnknownWorkflow, UnknownSchedule: It is not deployed.
        """
        await resume_schedule(self._records, self._workflow.name, checked_text("name", name))

    async def trigger_schedule(self, name: str) -> Handle[D, S] | None:
        """Start a run of a schedule now, also while it is paused or an earlier run is unfinished.

        The function is called here, with the time by the store's clock as its tick. The schedule's
        own ticks stay as they are.

        Args:
            name: The schedule's name.

        Returns:
            The run's handle. None: the function has returned no data.

        Raises:
            UnknownSchedule: The definition has none of this name.
            ScheduleFailed: Its function raised an error.
            InvalidInput: Its function has returned data that can't be stored.
        """
        schedule = self._schedule(name)
        now = moment_of(offset_of(await self._now()))
        write = await self._write_of(schedule, in_zone_of(schedule, now))
        if write is None:
            return None
        ((handle, _),) = await self._start_ticks([write])
        return handle

    async def backfill(
        self, name: str, start: datetime, end: datetime
    ) -> list[tuple[Handle[D, S], TriggerOutcome]]:
        """Start the runs of a past interval's ticks, those that no run was started for.

        The function is called here, for each of the ticks. Runs start at once, side by side. The
        schedule's position stays. A call that is repeated starts nothing twice.

        Args:
            name: The schedule's name.
            start: The beginning, with a timezone. A tick at this time is included.
            end: The end, with a timezone, not in the future. A tick at this time is left out.

        Returns:
            For each tick with data, in order, the handle of its run, and the outcome: a new run
            (STARTED), the tick's earlier run (KNOWN), or another unfinished run that has the tick's
            foreign id (ACTIVE).

        Raises:
            UnknownSchedule: The definition has none of this name.
            InvalidInput: The interval can't be used, or the function has returned data that can't
                be stored.
            ScheduleFailed: The function raised an error. Runs of earlier ticks may have started.
        """
        start, end = checked_time("start", start), checked_time("end", end)
        schedule = self._schedule(name)
        ticks = await self._past_ticks(schedule, start, end)
        started: list[tuple[Handle[D, S], TriggerOutcome]] = []
        while some := list(islice(ticks, BATCH)):
            writes = [await self._write_of(schedule, tick) for tick in some]
            for batch in batches(write for write in writes if write is not None):
                started += await self._start_ticks(batch)
        return started

    async def _past_ticks(
        self, schedule: Schedule, start: datetime, end: datetime
    ) -> Iterator[datetime]:
        if offset_of(start) >= offset_of(end):
            raise InvalidInput("start", "it is not before `end`; the tick at `end` is left out")
        if offset_of(end) > offset_of(await self._now()):
            raise InvalidInput(
                "end", "it is in the future; the schedule itself starts the runs of later ticks"
            )
        return between(ticks_of(schedule), start, end)

    async def _info(self, schedule: Schedule, now: datetime, *, is_paused: bool) -> ScheduleInfo:
        positions = await self._records.positions(
            scheduler_group(self._workflow.name, schedule.name)
        )
        done = moment_of(positions[0].offset) if positions else now
        last = last_tick_of(positions[0]) if positions else None
        return ScheduleInfo(
            name=schedule.name,
            cron=schedule.cron,
            every=None if schedule.every is None else timedelta(seconds=schedule.every),
            timezone=schedule.timezone,
            paused=is_paused,
            last_tick=None if last is None else in_zone_of(schedule, last),
            next_tick=None if is_paused else ticks_of(schedule).after(done),
        )

    def _schedule(self, name: str) -> Schedule:
        checked_text("name", name)
        schedules = self._workflow.checked().schedules
        for schedule in schedules:
            if schedule.name == name:
                return schedule
        raise UnknownSchedule(self._workflow.name, name, [known.name for known in schedules])

    async def _write_of(self, schedule: Schedule, tick: datetime) -> Write | None:
        """Call the function, and make the first write of the tick's run."""
        try:
            data = await _data_of(self._workflow, schedule, tick)
        except Exception as error:
            why = visible(text_of(error))
            raise ScheduleFailed(
                self._workflow.name, schedule.name, tick_text(tick), why
            ) from error
        if data is None:
            return None
        encoded = checked_data(self._workflow, data)
        by = self._connection.writer.by
        return first_write_of(self._workflow, schedule.name, tick, encoded, by)

    @abstractmethod
    async def _start_ticks(self, writes: list[Write]) -> list[tuple[Handle[D, S], TriggerOutcome]]:
        """Commit the first writes of runs."""

    async def _now(self) -> datetime:
        """Return the time by the store's clock."""
        return (await self._records.activity(limit=1)).now


async def _data_of(workflow: Workflow[Any, Any], schedule: Schedule, tick: datetime) -> Any:
    """Call the function of a schedule, with the middleware of the workflow around it."""

    async def function() -> object:
        if schedule.is_async:
            return await schedule.function(tick)
        data = await asyncio.to_thread(schedule.function, tick)
        # a plain wrapper of an async function returns an awaitable
        return await data if inspect.isawaitable(data) else data

    call = FunctionCall(workflow=workflow.name, kind="schedule", function=schedule.name, tick=tick)
    return await call_through(workflow.middleware, call, function)
