"""Steps: the functions that take a run from one status to the next."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from workflow_ray.definition.callables import name_of
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.halt import Halt
from workflow_ray.definition.resources import Resource
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import D, Run, S

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

AnyStep: TypeAlias = Callable[..., Any]
"""The function of a step. It is called with the run, and with the resources by name."""


class StepFunction(Protocol[D, S, P, R_co]):
    """A function that can be a step.

    It must match both overloads: the second limits the results to S, and the first keeps their
    precise type.
    """

    @overload
    def __call__(self, run: Run[D, S], /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self, run: Run[D, S], /, *args: Any, **kwargs: Any
    ) -> S | Halt | Awaitable[S | Halt]: ...


class StepDecorator(Protocol[D, S]):
    """Declares a step and returns the same function."""

    def __call__(
        self, function: StepFunction[D, S, P, R]
    ) -> Callable[Concatenate[Run[D, S], P], R]: ...


@dataclass(frozen=True, slots=True)
class Options(Generic[S]):
    """The arguments of `.step`."""

    shards: int
    retry: Retry
    on_failure: S | None
    max_in_flight: int
    timeout: Duration | None


@dataclass(frozen=True, slots=True)
class Declaration(Generic[S]):
    """A step as it was declared, before it is read and checked."""

    status: S
    function: AnyStep
    options: Options[S]
    where: str  # file:line
    scope: Mapping[str, object]  # the local names at its place, for its annotations

    @property
    def name(self) -> str:
        return name_of(self.function)

    @property
    def is_bare(self) -> bool:
        """Whether `.step` was written without parentheses, so that its argument is the function."""
        return cast(object, self.status) is self.function


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """A step that was read and checked."""

    status: S
    function: AnyStep
    name: str  # the function's qualified name
    where: str  # file:line
    # Whether a call only makes a coroutine. If not, the function is called in a thread, and what
    # it returns may still be an awaitable.
    is_async: bool
    returns: frozenset[S]  # the statuses it may return
    halts: frozenset[type[Halt]]  # the halts it may return
    resources: Mapping[str, Resource[Any]]  # by the parameter's name
    shards: int
    retry: Retry
    # The status that a run enters when its attempts are used up, or when the step raises Fatal.
    # None: the run is paused with the error.
    on_failure: S | None
    max_in_flight: int  # the runs that one role works on at a time
    timeout: float | None = None  # the seconds that an attempt may take; None: no limit
