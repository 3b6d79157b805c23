"""A workflow's functions, by the statuses whose runs they are for, and where they lead."""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from workflow_ray.definition.callback import Callback
from workflow_ray.definition.children import ChildFunction, ChildrenFunction
from workflow_ray.definition.flow import FlowControl
from workflow_ray.definition.function import AnyFunction, RunFunction
from workflow_ray.definition.handlers import Connector, Hook, Schedule, Scrubber
from workflow_ray.definition.migrations import Migration
from workflow_ray.definition.run import S
from workflow_ray.definition.step import Step
from workflow_ray.definition.timeout_function import TimeoutFunction
from workflow_ray.records import Awaits

F = TypeVar("F", bound=RunFunction[Any])


class Entry(NamedTuple):
    """What the entry of a status does."""

    asks: bool = False  # for its step
    prepares: bool = False  # it sets timeouts, gathers children or parks the run
    ends: bool = False  # the run, because the status has no function
    awaits: Awaits = Awaits.NOBODY  # what the run waits for then
    flow: FlowControl[Any, Any] | None = None  # how the run is parked; None: it is not


TERMINAL = Entry(ends=True)


class Graph(Generic[S]):
    """The functions of each status, and the statuses that can follow it.

    What has an order is in the order in which it was declared.

    Args:
        functions: Those that are called with a run. A status has one step at most, and for the
            children of a workflow one function for the end of each, and one for the end of all.
        connectors: The connectors.
        schedules: The schedules.
        hooks: The hooks.
        scrubber: The scrubber. None: there is none.
        migrations: The migrations, by the version of data that they take.
    """

    def __init__(
        self,
        functions: Iterable[RunFunction[S]],
        *,
        connectors: Iterable[Connector] = (),
        schedules: Iterable[Schedule] = (),
        hooks: Iterable[Hook] = (),
        scrubber: Scrubber | None = None,
        migrations: Mapping[int, Migration] | None = None,
    ) -> None:
        declared = tuple(functions)
        self.steps = tuple(each for each in declared if isinstance(each, Step))
        self.child_functions = tuple(each for each in declared if isinstance(each, ChildFunction))
        self.children_functions = tuple(
            each for each in declared if isinstance(each, ChildrenFunction)
        )
        self.connectors = tuple(connectors)
        self.schedules = tuple(schedules)
        self.hooks = tuple(hooks)
        self.scrubber = scrubber
        self.migrations: Mapping[int, Migration] = migrations or {}
        self._functions = _by_status(declared)
        self.entries: Mapping[S, Entry] = {
            status: _entry(here) for status, here in self._functions.items()
        }
        """What the entry of a status does. That of a status without a function is TERMINAL."""
        self._steps = {step.status: step for step in self.steps}
        callbacks = [each for each in declared if isinstance(each, Callback)]
        self._callbacks = _by_status(callbacks)
        self._callback_names = {callback.name: callback for callback in callbacks}
        self._timeouts = _by_status(
            [each for each in declared if isinstance(each, TimeoutFunction)]
        )
        self._child = {(each.status, each.child.name): each for each in self.child_functions}
        self._children = {(each.status, each.child.name): each for each in self.children_functions}
        self._targets = {
            status: frozenset[S]().union(*(function.targets for function in here))
            for status, here in self._functions.items()
        }
        self._reached = {status: _closure(status, self._targets) for status in self._targets}

    @property
    def has_callbacks(self) -> bool:
        """Whether some status has a callback."""
        return bool(self._callback_names)

    @property
    def functions_for_children(self) -> tuple[ChildFunction[S] | ChildrenFunction[S], ...]:
        """The functions for the end of each child, then the functions for the end of all."""
        return (*self.child_functions, *self.children_functions)

    @property
    def callback_names(self) -> list[str]:
        """The names of all callbacks, sorted."""
        return sorted(self._callback_names)

    @property
    def statuses_with_functions(self) -> tuple[S, ...]:
        """The statuses at which a run is not complete."""
        return tuple(sorted(self._functions, key=lambda status: status.value))

    def functions(self, status: S) -> tuple[RunFunction[S], ...]:
        """All functions that are called with runs at the status: step, callbacks and so on."""
        return self._functions.get(status, ())

    def step(self, status: S) -> Step[S] | None:
        return self._steps.get(status)

    def callbacks(self, status: S) -> tuple[Callback[S], ...]:
        return self._callbacks.get(status, ())

    def timeouts(self, status: S) -> tuple[TimeoutFunction[S], ...]:
        return self._timeouts.get(status, ())

    def callback(self, name: str) -> Callback[S] | None:
        """The callback of that name, whatever its statuses are."""
        return self._callback_names.get(name)

    def callback_of(self, function: AnyFunction) -> Callback[S] | None:
        """The callback that this function was declared as."""
        return next(
            (each for each in self._callback_names.values() if each.function is function), None
        )

    def child(self, status: S, workflow: str) -> ChildFunction[S] | None:
        """The function for the end of each child of the workflow."""
        return self._child.get((status, workflow))

    def children(self, status: S, workflow: str) -> ChildrenFunction[S] | None:
        """The function for the end of the last child of the workflow."""
        return self._children.get((status, workflow))

    def is_terminal(self, status: S) -> bool:
        """Whether the status has no function: a run that enters it is complete."""
        return status not in self._functions

    def targets(self, status: S) -> frozenset[S]:
        """The statuses that one transition can lead to, `on_failure` included."""
        return self._targets.get(status, frozenset())

    def reaches(self, origin: S, target: S) -> bool:
        """Whether one or more transitions can lead from `origin` to `target`.

        A status reaches itself only if a cycle leads back to it.
        """
        return target in self._reached.get(origin, frozenset())


def _entry(functions: Iterable[RunFunction[Any]]) -> Entry:
    step = next((each for each in functions if isinstance(each, Step)), None)
    flow = None if step is None else step.flow
    return Entry(
        asks=step is not None,
        prepares=flow is not None
        or any(isinstance(each, TimeoutFunction | ChildrenFunction) for each in functions),
        awaits=Awaits.MESSAGE if step is None else Awaits.EVENT,
        flow=flow,
    )


def _by_status(functions: Iterable[F]) -> dict[Any, tuple[F, ...]]:
    found: dict[Any, tuple[F, ...]] = {}
    for function in functions:
        for status in function.statuses:
            found[status] = (*found.get(status, ()), function)
    return found


def _closure(origin: S, targets: Mapping[S, frozenset[S]]) -> frozenset[S]:
    reached: set[S] = set()
    ahead = set(targets[origin])
    while ahead:
        status = ahead.pop()
        reached.add(status)
        ahead |= targets.get(status, frozenset()) - reached
    return frozenset(reached)
