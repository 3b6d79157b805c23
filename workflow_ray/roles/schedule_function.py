"""Calls of a schedule's function, which makes the data of a tick's run."""

import asyncio
import inspect
from datetime import datetime
from functools import partial
from typing import Any

from workflow_ray.definition import Schedule, Workflow
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA
from workflow_ray.roles.execution import failed
from workflow_ray.roles.surrounded import Surrounded
from workflow_ray.roles.threads import Answer, Threads


class CallFailed(Exception):
    """The function of a schedule raised something that is not an Exception."""


class ScheduleFunction:
    """Calls the function of a schedule: an async one in the event loop, a plain one in a thread."""

    def __init__(self, workflow: Workflow[Any, Any], schedule: Schedule) -> None:
        self._workflow = workflow
        self._schedule = schedule
        self._threads = Threads(schedule.name, 1)
        self._around: Surrounded | None = None
        if workflow.middleware:
            self._around = Surrounded(
                workflow, "schedule", schedule.name, schedule.is_async, self._threads
            )

    async def data_of(self, tick: datetime, attempt: int) -> bytes | None:
        """Call the function. Returns the run's data as it is stored, or None for no run.

        Whatever the function raises, this raises an Exception. InvalidInput: it has not returned
        data of the workflow's model.
        """
        call = asyncio.create_task(self._call(tick, attempt))
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError:
            call.cancel()
            await asyncio.wait([call])
            raise
        data, error = call.result()
        if isinstance(error, Exception):
            raise error
        if error is not None:
            raise CallFailed(failed(error).error) from error
        return None if data is None else encoded(self._workflow, data)

    async def _call(self, tick: datetime, attempt: int) -> Answer:
        """Call the function. What it raises ends neither the task nor the process."""
        try:
            if self._around is not None:
                function = partial(self._schedule.function, tick)
                return await self._around.call(function, attempt, tick=tick), None
            if self._schedule.is_async:
                return await self._schedule.function(tick), None
            value, error = await self._threads.call(partial(self._schedule.function, tick))
            if error is None and inspect.isawaitable(value):  # a plain wrapper of an async one
                value = await value
            return value, error
        except BaseException as error:
            if is_interrupt(error):
                raise
            return None, error


def encoded(workflow: Workflow[Any, Any], data: Any) -> bytes:
    """Return what a schedule's function has returned as it is stored. Raises InvalidInput."""
    stored = workflow.encode(data)
    if len(stored) > MAX_DATA:
        raise InvalidInput(
            "the run's data", f"it is {len(stored)} bytes long; {MAX_DATA} are allowed"
        )
    return stored
