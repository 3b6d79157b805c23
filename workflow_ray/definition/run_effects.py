"""What a function may ask of its run beside the transition that it returns."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from pydantic import BaseModel

from workflow_ray.definition.cancelled import CancelledEvent
from workflow_ray.definition.effects import (
    ChildStart,
    Effects,
    Unbound,
    checked_call,
    checked_child,
)
from workflow_ray.definition.status import Status

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow

OfData = TypeVar("OfData", bound=BaseModel)
OfStatus = TypeVar("OfStatus", bound=Status)
P = ParamSpec("P")
R = TypeVar("R")


class RunEffects:
    """The part of a run that hands what is asked to its effects."""

    __slots__ = ("_effects",)

    _effects: Effects

    # It is not an async function, so that a plain step that does not await it is told so.
    @overload
    def once(
        self, name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def once(
        self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    def once(
        self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Any]:
        """Call a function whose effect must not be repeated, and store its result under a name.

        Another attempt in the same visit gets the stored result, and the function is not called
        again. If the process dies between the call and the commit of its result, the next attempt
        calls the function again. On a run made by hand the function is just called.

        Args:
            name: Names the result within the visit. An attempt uses a name once.
            function: A plain function, which is called in a thread, or an async one.
            args: The function's arguments.
            kwargs: The function's arguments by name.

        Raises:
            InvalidInput: An argument can't be used, or the result can't be stored as JSON that
                reads back equal. Or the call is not made in an async function: then it is refused
                at once, because nothing would await it.
        """
        return self._effects.once(*checked_call(name, function, args, kwargs))

    def start(
        self,
        workflow: "Workflow[OfData, OfStatus]",
        foreign_id: str,
        data: OfData,
        *,
        start_at: OfStatus | None = None,
        if_active: Literal["refuse", "join"] = "refuse",
        cascade: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Start a run of a workflow as a child of this run.

        The child is committed with what the function returns: both or neither. On a run made by
        hand it is only added to `started`.

        Args:
            workflow: The child's workflow. It may be this run's own.
            foreign_id: The child's key.
            data: The child's data.
            start_at: The status at which the child begins. Default: its workflow's start.
            if_active: What to do if the foreign id has an unfinished run: "refuse" fails the
                function without further attempts, "join" makes that run the child.
            cascade: Whether the child is cancelled when this run is.
            labels: The child's labels, as `Client.trigger` takes them. A run that is joined keeps
                its own. None: it has none.

        Raises:
            InvalidInput: An argument can't be used.
        """
        self._effects.start(
            checked_child(
                workflow,
                foreign_id,
                data,
                start_at=start_at,
                if_active=if_active,
                cascade=cascade,
                labels=labels,
            )
        )

    @property
    def cancelled(self) -> CancelledEvent:
        """Set once the result of this attempt will be dropped: the run was cancelled, paused,
        retried or moved, its function exceeded its time limit, or its role ends.

        A long function asks `run.cancelled.is_set()` now and then, or awaits
        `run.cancelled.wait()`, and then stops its work; what it returns or raises does not count.
        It learns of a change of the run within about two seconds after it first asked. On a run
        made by hand the event is not set until the test sets it.

        Raises:
            InvalidInput: The run is not that of a function.
        """
        return self._effects.cancelled()

    @property
    def started(self) -> tuple[ChildStart, ...]:
        """The children that a function has started on a run that was made by hand, in order."""
        return tuple(self._effects.started) if isinstance(self._effects, Unbound) else ()
