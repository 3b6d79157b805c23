"""Middleware: the async functions of a user that run around the functions of a workflow."""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from workflow_ray.definition.arguments import shown
from workflow_ray.definition.callables import call_mistake, is_async, kind_mistake, name_of
from workflow_ray.definition.run import Run
from workflow_ray.records import ConnectorEvent

FunctionKind: TypeAlias = Literal[
    "step",
    "batch_step",
    "callback",
    "timeout",
    "child",
    "children",
    "connector",
    "schedule",
    "hook",
    "scrub",
]
"""What a function was declared as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A call of one of a workflow's functions, as middleware gets it.

    Args:
        workflow: The name of the workflow.
        kind: What the function was declared as: "step", "batch_step", "callback", "timeout",
            "child", "children", "connector", "schedule", "hook" or "scrub".
        function: The name of the function; of a connector or a schedule, the name that its
            decorator gives it.
        attempt: 1 for the first attempt, one more after each that has failed. Of a batch, that of
            the run with most attempts.
        run: The run, the same object that the function gets. None for batch steps, connectors and
            schedules.
        runs: The runs of a batch step. Empty for all others.
        message: What a function gets beside its run: a callback its message, a child's function the
            child's run, a children's function the children. None for all others.
        event: The event of a connector. None for all others.
        tick: The tick of a schedule. None for all others.
    """

    workflow: str
    kind: FunctionKind
    function: str
    attempt: int = 1
    run: Run[Any, Any] | None = None
    runs: Sequence[Run[Any, Any]] = ()
    message: object = None
    event: ConnectorEvent | None = None
    tick: datetime | None = None


Proceed: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
"""Runs the rest: the middleware that comes after, then the function. Returns what the function
returned, and raises what it raised. It can be called once.
"""
Middleware: TypeAlias = Callable[[FunctionCall, Proceed], Coroutine[Any, Any, object]]
"""Runs around a function. What it returns takes the place of what the function returned, and what
it raises fails the attempt.
"""

_WAY_OUT = "write `async def {}(call: FunctionCall, proceed: Proceed) -> object`"


def middleware_of(given: Any) -> tuple[Any, ...]:
    """The middleware as it was given. Anything that is not a list of some is one wrong item."""
    return tuple(given) if _is_iterable(given) else (given,)


def middleware_mistakes(middleware: Iterable[object]) -> Iterator[str]:
    """Find the mistakes in the middleware of a workflow."""
    for given in middleware:
        if isinstance(given, type) or not callable(given):
            yield (
                f"middleware has {shown(given)}, which is not a function; hand in a list of async"
                " functions, as in middleware=[timing]"
            )
            continue
        name = name_of(given)
        way_out = _WAY_OUT.format(name.rpartition(".")[2])
        if mistake := kind_mistake(given):
            yield f"middleware {name} {mistake.partition(';')[0]}; {way_out}"
        elif not is_async(given):
            yield f"middleware {name} is not async; {way_out}"
        elif mistake := call_mistake(given, 2, set()):
            yield f"middleware {name} can't be called with two arguments ({mistake}); {way_out}"


def _is_iterable(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
