"""Children: the runs that a run has started, as its functions get them."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, cast

from workflow_ray.definition.arguments import shown
from workflow_ray.definition.function import OneStatus
from workflow_ray.definition.run import D, Run, S
from workflow_ray.definition.run_effects import OfData, OfStatus
from workflow_ray.errors import InvalidInput
from workflow_ray.records import RunState

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow


class Children(Generic[D, S]):
    """The children of one workflow, all of which have ended.

    `async for run in children` goes over them. It reads them as it goes, so that any number of
    children takes little memory. They are in no order that can be relied on.

    Attributes:
        started: The number of children, the joined ones included.
        completed: The number of those that completed.
        cancelled: The number of those that were cancelled.
    """

    __slots__ = ("_runs", "cancelled", "completed", "started")

    def __init__(self, runs: Iterable[Run[D, S]] = ()) -> None:
        """Make the children of these runs, for a test. Raises InvalidInput if they aren't runs."""
        ended: list[Run[D, S]] = _checked(runs)
        states = [run.run_state for run in ended]
        self.started = len(ended)
        self.completed = states.count(RunState.COMPLETED)
        self.cancelled = states.count(RunState.CANCELLED)

        async def each() -> AsyncIterator[Run[D, S]]:
            for run in ended:
                yield run

        self._runs: Callable[[], AsyncIterator[Run[D, S]]] = each

    @staticmethod
    def stored(
        started: int,
        completed: int,
        cancelled: int,
        runs: "Callable[[], AsyncIterator[Run[OfData, OfStatus]]]",
    ) -> "Children[OfData, OfStatus]":
        """Make the children of which only the numbers are known.

        Args:
            started: Those that were started, the joined ones included.
            completed: Those that completed.
            cancelled: Those that were cancelled.
            runs: Reads them, at each call from the first one on.
        """
        children = cast("Children[OfData, OfStatus]", Children.__new__(Children))
        children.started = started
        children.completed = completed
        children.cancelled = cancelled
        children._runs = runs
        return children

    def __aiter__(self) -> AsyncIterator[Run[D, S]]:
        return self._runs()

    def __repr__(self) -> str:
        return (
            f"<Children started={self.started} completed={self.completed}"
            f" cancelled={self.cancelled}>"
        )


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable)


def _checked(runs: Any) -> list[Any]:
    found: list[Any] = list(runs) if _is_several(runs) else [runs]
    for run in found:
        if not isinstance(run, Run):
            raise InvalidInput("runs", f"give the runs of children, not {shown(run)}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFunction(OneStatus[S]):
    """Called with the run and one child, when that child has ended."""

    child: "Workflow[Any, Any]"  # of the child


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildrenFunction(OneStatus[S]):
    """Called with the run and its children of one workflow, when the last of them has ended."""

    child: "Workflow[Any, Any]"  # of the children
