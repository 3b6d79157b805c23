"""Functions of a workflow with the workflow's middleware around them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from workflow_ray.definition import (
    BatchStep,
    Callback,
    ChildFunction,
    ChildrenFunction,
    FunctionCall,
    FunctionKind,
    Middleware,
    Run,
    RunFunction,
    TimeoutFunction,
    Workflow,
)
from workflow_ray.definition.layers import call_through
from workflow_ray.records import ConnectorEvent
from workflow_ray.roles.calling import value_of
from workflow_ray.roles.threads import Threads


class Surrounded:
    """Calls one function of a workflow with the middleware around it, the first one outermost.

    Args:
        workflow: Has the middleware.
        kind: What the function was declared as.
        name: The function's.
        is_async: Whether a call of the function only makes a coroutine. Otherwise it is called in a
            thread, in the context that the middleware leaves.
        threads: Where a plain function is called.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        kind: FunctionKind,
        name: str,
        is_async: bool,
        threads: Threads,
    ) -> None:
        self._workflow = workflow.name
        self._middleware: Sequence[Middleware] = workflow.middleware
        self._kind: FunctionKind = kind
        self._name = name
        self._is_async = is_async
        self._threads = threads

    async def call(
        self,
        function: Callable[[], object],
        attempt: int,
        *,
        run: Run[Any, Any] | None = None,
        runs: Sequence[Run[Any, Any]] = (),
        message: object = None,
        event: ConnectorEvent | None = None,
        tick: datetime | None = None,
    ) -> object:
        """Call the function, with its arguments bound. Raises what the outermost layer raises."""
        call = FunctionCall(
            workflow=self._workflow,
            kind=self._kind,
            function=self._name,
            attempt=attempt,
            run=run,
            runs=runs,
            message=message,
            event=event,
            tick=tick,
        )
        innermost = partial(
            value_of,
            function,
            is_async=self._is_async,
            threads=self._threads,
            run_id="" if run is None else run.run_id,
        )
        return await call_through(self._middleware, call, innermost)


def surrounded(
    workflow: Workflow[Any, Any],
    function: RunFunction[Any],
    call: Callable[..., object],
    threads: Threads,
) -> Callable[..., Any]:
    """Make the async function that calls a run's function with the middleware around it.

    Args:
        workflow: The function's.
        function: What is called.
        call: Calls it with its resources. It takes the run, and what comes after the run.
        threads: Where a plain function is called.
    """
    around = Surrounded(workflow, _kind_of(function), function.name, function.is_async, threads)

    async def called(run: Run[Any, Any], *more: object) -> object:
        message = more[0] if more else None
        bound = partial(call, run, *more)
        return await around.call(bound, run.attempt + 1, run=run, message=message)

    return called


def surrounded_batch(
    workflow: Workflow[Any, Any],
    step: BatchStep[Any],
    call: Callable[..., object],
    threads: Threads,
) -> Callable[..., Any]:
    """Make the async function that calls a batch step's function with the middleware around it.

    Args:
        workflow: The step's.
        step: What is called.
        call: Calls it with its resources. It takes the runs.
        threads: Where a plain function is called.
    """
    around = Surrounded(workflow, "batch_step", step.name, step.is_async, threads)

    async def called(runs: Sequence[Run[Any, Any]]) -> object:
        attempt = max(run.attempt for run in runs) + 1
        return await around.call(partial(call, runs), attempt, runs=runs)

    return called


def _kind_of(function: RunFunction[Any]) -> FunctionKind:
    match function:
        case Callback():
            return "callback"
        case TimeoutFunction():
            return "timeout"
        case ChildFunction():
            return "child"
        case ChildrenFunction():
            return "children"
        case _:
            return "step"
