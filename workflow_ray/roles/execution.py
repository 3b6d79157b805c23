"""Running a step's function for one run, and telling what came of it. It never raises what the function raised."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from workflow_ray.definition import Fatal, Resource, Status, Step, Workflow
from workflow_ray.engine.runs import run_of
from workflow_ray.engine.transition import Failed, Outcome, Returned
from workflow_ray.records import MAX_DATA, Record

log = logging.getLogger(__name__)

MAX_ERROR = 2000
"""Characters of an error that are kept in the record and its history."""
MAX_THREADS = 64


class Execution:
    """One step, its resources open."""

    def __init__(self, workflow: Workflow[Any, Any], step: Step[Any], resources: Mapping[str, object], threads: ThreadPoolExecutor) -> None:
        self._workflow, self._step, self._resources, self._threads = workflow, step, resources, threads

    async def outcome(self, record: Record) -> Outcome:
        """Run the function on a fresh copy of the data. Cancelled only from outside: a step that cancels itself has failed."""
        try:
            run = run_of(self._workflow, record)
            value = await self._call(run)
            data = self._workflow.encode(run.data)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._failed(record, error)
        except (Exception, SystemExit) as error:
            return self._failed(record, error)
        return self._checked(value, None if data == record.data else data)

    async def _call(self, run: Any) -> object:
        function = partial(self._step.function, run, **self._resources)
        if self._step.is_async:
            return await function()
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, function)

    def _checked(self, value: object, data: bytes | None) -> Outcome:
        """Type checkers hold functions to their annotations; this holds those that no checker saw."""
        step = self._step
        allowed = value in step.returns if isinstance(value, Status) else type(value) in step.halts
        if not allowed:
            return Failed(f"{step.name} returned {value!r}, which its annotation doesn't list ({step.where})", fatal=True)
        if data is not None and len(data) > MAX_DATA:
            return Failed(f"{step.name} made the data {len(data)} bytes long; {MAX_DATA} are allowed", fatal=True)
        return Returned(value, data)  # type: ignore[arg-type]  # what is allowed is a status or a halt

    def _failed(self, record: Record, error: BaseException) -> Failed:
        where = {"run_id": record.run_id, "version": record.version}
        log.warning("%s failed: %s", self._step.name, type(error).__qualname__, exc_info=error, extra=where)
        return Failed(f"{type(error).__qualname__}: {error}"[:MAX_ERROR], fatal=isinstance(error, Fatal))


@asynccontextmanager
async def opened(workflow: Workflow[Any, Any], step: Step[Any], replaced: Mapping[Resource[Any], object]) -> AsyncIterator[Execution]:
    """The step ready to run: its resources are opened first and closed last; those `replaced` are taken as given."""
    async with AsyncExitStack() as stack:
        resources = {
            name: replaced[resource] if resource in replaced else await stack.enter_async_context(resource.open())
            for name, resource in step.resources.items()
        }
        threads = ThreadPoolExecutor(min(step.max_in_flight, MAX_THREADS), thread_name_prefix=step.name)
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        yield Execution(workflow, step, resources, threads)
