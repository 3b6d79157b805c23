"""Running a step's function for one run, and telling what came of it. It never raises what the function raised."""

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from workflow_ray.definition import Fatal, Resource, Status, Step, Workflow
from workflow_ray.engine.runs import run_of
from workflow_ray.engine.transition import Failed, Outcome, Returned
from workflow_ray.records import MAX_DATA, Record

log = logging.getLogger(__name__)

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
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # SystemExit and the like too: what a step raises ends its attempt, never the role
            if isinstance(error, asyncio.CancelledError) and _cancelled_from_outside():
                raise
            return self._failed(record, error)
        return self._checked(value, None if data == record.data else data)

    async def _call(self, run: Any) -> object:
        function = partial(self._step.function, run, **self._resources)
        if self._step.is_async:
            return await function()
        return await asyncio.get_running_loop().run_in_executor(self._threads, _called, function, contextvars.copy_context())

    def _checked(self, value: object, data: bytes | None) -> Outcome:
        """Type checkers hold functions to their annotations; this holds those that no checker saw."""
        step = self._step
        allowed = value in step.returns if isinstance(value, Status) else type(value) in step.halts
        if not allowed:
            return Failed(f"{step.name} returned {_shown(value)}, which its annotation doesn't list ({step.where})", fatal=True)
        if data is not None and len(data) > MAX_DATA:
            return Failed(f"{step.name} made the data {len(data)} bytes long; {MAX_DATA} are allowed", fatal=True)
        return Returned(value, data)  # type: ignore[arg-type]  # what is allowed is a status or a halt

    def _failed(self, record: Record, error: BaseException) -> Failed:
        where = {"run_id": record.run_id, "version": record.version}
        log.warning("%s failed: %s", self._step.name, type(error).__qualname__, exc_info=error, extra=where)
        return Failed(_told(error), fatal=isinstance(error, Fatal))


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _called(function: Callable[[], object], context: contextvars.Context) -> object:
    """In a thread. A future can't carry StopIteration: whoever awaits it would wait for ever."""
    try:
        return context.run(function)
    except StopIteration as error:
        raise RuntimeError("the step raised StopIteration") from error  # as an async function's becomes one


def _shown(value: object) -> str:
    """A result, without what it holds: that may be personal."""
    return str(value) if isinstance(value, Status) else f"a value of type {type(value).__name__}"


def _told(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as failure:  # an error's text is a step's code too
        text = f"its text can't be had, for {type(failure).__qualname__}"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


@asynccontextmanager
async def opened(workflow: Workflow[Any, Any], step: Step[Any], replaced: Mapping[Resource[Any], object]) -> AsyncGenerator[Execution]:
    """The step ready to run: its resources are opened first and closed last; those `replaced` are taken as given."""
    async with AsyncExitStack() as stack:
        resources = {
            name: replaced[resource] if resource in replaced else await stack.enter_async_context(resource.open())
            for name, resource in step.resources.items()
        }
        threads = ThreadPoolExecutor(min(step.max_in_flight, MAX_THREADS), thread_name_prefix=step.name)
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        yield Execution(workflow, step, resources, threads)
