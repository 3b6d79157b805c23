"""The functions that a workflow calls with a run, and that lead it to its next status."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias

from workflow_ray.definition.halt import Halt
from workflow_ray.definition.resources import Resource
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import S

AnyFunction: TypeAlias = Callable[..., Any]
"""A function of a user. Resources are handed in by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFunction(Generic[S]):
    """A function that was read and checked: it takes the run, and returns where the run goes on."""

    # A step has the function's qualified name, every other function its plain name. The plain names
    # of callbacks and timeouts are unique in the workflow.
    name: str
    where: str  # file:line
    statuses: frozenset[S]  # the statuses whose runs it is called with
    function: AnyFunction
    # Whether a call only makes a coroutine. If not, the function is called in a thread, and what
    # it returns may still be an awaitable.
    is_async: bool
    returns: frozenset[S]  # the statuses it may return
    halts: frozenset[type[Halt]]  # the halts it may return
    resources: Mapping[str, Resource[Any]]  # by the parameter's name
    retry: Retry
    # The status that a run enters when the attempts are used up, or when the function raises Fatal.
    # None: the run is paused with the error; a failed callback leaves it as it is.
    on_failure: S | None
    timeout: float | None = None  # the seconds that an attempt may take; None: no limit

    @property
    def targets(self) -> frozenset[S]:
        """The statuses that it can lead to, `on_failure` included."""
        return self.returns if self.on_failure is None else self.returns | {self.on_failure}


class OneStatus(RunFunction[S]):
    """A function for the runs at one status."""

    __slots__ = ()

    @property
    def status(self) -> S:
        (status,) = self.statuses
        return status
