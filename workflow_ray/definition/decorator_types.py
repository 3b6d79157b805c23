"""The types of the decorators: each takes a function with some leading parameters, and returns it
with its type.

A protocol of functions has two overloads that a function must match both: the second limits the
results, and the first keeps their precise type.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Protocol, TypeVar, overload

from workflow_ray.definition.children import Children
from workflow_ray.definition.halt import Halt, MessageHalt
from workflow_ray.definition.run import D, Run, S
from workflow_ray.definition.run_effects import OfData, OfStatus, P, R
from workflow_ray.records import ConnectorEvent

if TYPE_CHECKING:
    from workflow_ray.client import Client

R_co = TypeVar("R_co", covariant=True)
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
HandlerResult = TypeVar("HandlerResult", bound=Awaitable[None] | None)


class StepFunction(Protocol[D, S, P, R_co]):
    """A function that can be a step."""

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


class BatchFunction(Protocol[D, S, P, R_co]):
    """A function that can be a batch step."""

    @overload
    def __call__(self, runs: list[Run[D, S]], /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self, runs: list[Run[D, S]], /, *args: Any, **kwargs: Any
    ) -> Sequence[S | Halt | BaseException] | Awaitable[Sequence[S | Halt | BaseException]]: ...


class BatchStepDecorator(Protocol[D, S]):
    """Declares a batch step and returns the same function."""

    def __call__(
        self, function: BatchFunction[D, S, P, R]
    ) -> Callable[Concatenate[list[Run[D, S]], P], R]: ...


class TimeoutHandler(Protocol[D, S, P, R_co]):
    """A function that can be called when a timeout is due."""

    @overload
    def __call__(self, run: Run[D, S], /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(
        self, run: Run[D, S], /, *args: Any, **kwargs: Any
    ) -> S | MessageHalt | Awaitable[S | MessageHalt]: ...


class TimeoutDecorator(Protocol[D, S]):
    """Declares the function of a timeout and returns the same function."""

    def __call__(
        self, function: TimeoutHandler[D, S, P, R]
    ) -> Callable[Concatenate[Run[D, S], P], R]: ...


class MessageFunction(Protocol[D, S, M_contra, P, R_co]):
    """A function that takes a run and a message to it."""

    @overload
    def __call__(
        self, run: Run[D, S], message: M_contra, /, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...
    @overload
    def __call__(
        self, run: Run[D, S], message: M_contra, /, *args: Any, **kwargs: Any
    ) -> S | MessageHalt | Awaitable[S | MessageHalt]: ...


class CallbackDecorator(Protocol[D, S]):
    """Declares a callback and returns the same function."""

    def __call__(
        self, function: MessageFunction[D, S, M, P, R]
    ) -> Callable[Concatenate[Run[D, S], M, P], R]: ...


class ChildDecorator(Protocol[D, S, OfData, OfStatus]):
    """Declares the function for the end of a child and returns the same function."""

    def __call__(
        self, function: MessageFunction[D, S, Run[OfData, OfStatus], P, R]
    ) -> Callable[Concatenate[Run[D, S], Run[OfData, OfStatus], P], R]: ...


class ChildrenDecorator(Protocol[D, S, OfData, OfStatus]):
    """Declares the function for the end of the last child and returns the same function."""

    def __call__(
        self, function: MessageFunction[D, S, Children[OfData, OfStatus], P, R]
    ) -> Callable[Concatenate[Run[D, S], Children[OfData, OfStatus], P], R]: ...


class ConnectorDecorator(Protocol[D, S]):
    """Declares the function of a connector and returns the same function."""

    def __call__(
        self,
        function: "Callable[Concatenate[Client[D, S], ConnectorEvent, P], HandlerResult]",
    ) -> "Callable[Concatenate[Client[D, S], ConnectorEvent, P], HandlerResult]": ...


class ScheduleDecorator(Protocol[D]):
    """Declares the function of a schedule and returns the same function.

    The function may return None: then the tick starts no run.
    """

    @overload
    def __call__(
        self, function: Callable[[datetime], Coroutine[Any, Any, D]]
    ) -> Callable[[datetime], Coroutine[Any, Any, D]]: ...
    @overload
    def __call__(
        self, function: Callable[[datetime], Coroutine[Any, Any, D | None]]
    ) -> Callable[[datetime], Coroutine[Any, Any, D | None]]: ...
    @overload
    def __call__(self, function: Callable[[datetime], D]) -> Callable[[datetime], D]: ...
    @overload
    def __call__(
        self, function: Callable[[datetime], D | None]
    ) -> Callable[[datetime], D | None]: ...


class ScrubDecorator(Protocol[D, S]):
    """Declares a scrubber and returns the same function."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Run[D, S], P], Coroutine[Any, Any, D]]
    ) -> Callable[Concatenate[Run[D, S], P], Coroutine[Any, Any, D]]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Run[D, S], P], D]
    ) -> Callable[Concatenate[Run[D, S], P], D]: ...


class HookDecorator(Protocol[D, S]):
    """Declares a hook and returns the same function."""

    def __call__(
        self, function: Callable[Concatenate[Run[D, S], P], HandlerResult]
    ) -> Callable[Concatenate[Run[D, S], P], HandlerResult]: ...
