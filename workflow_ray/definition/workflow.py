"""Workflows: the definitions that users write."""

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Any, Concatenate, Generic, cast

from workflow_ray.definition import checks, reading
from workflow_ray.definition.arguments import is_count
from workflow_ray.definition.data import DataCodec
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.retry import DEFAULT_RETRY, Retry
from workflow_ray.definition.run import D, Run, S
from workflow_ray.definition.source import calling_frame, local_names, place_of
from workflow_ray.definition.status import Status
from workflow_ray.definition.step import (
    Declaration,
    Options,
    P,
    R,
    StepDecorator,
    StepFunction,
)
from workflow_ray.errors import InvalidDefinition


class Workflow(Generic[D, S]):
    """A typed state machine: a run stands at a status, and a step takes it to the next.

    Mistakes in the arguments and in the steps are collected. `checked` reports all of them.

    Args:
        name: Part of roles and topics. It identifies the workflow in a deployment for good.
        data: The pydantic model of a run's data.
        statuses: The Status enum.
        start: The status at which runs begin. Default: the first member of `statuses`.
        entry: Further statuses, one or several, at which runs may begin by a trigger's `start_at`.
            No step need lead to them.
        partitions: The number of parts into which the work on a status can be split, from 1 to
            4,096. It is fixed at the first deploy.
    """

    def __init__(
        self,
        name: str,
        data: type[D],
        statuses: type[S],
        *,
        start: S | None = None,
        entry: S | Collection[S] = (),
        partitions: int = 16,
    ) -> None:
        frame = calling_frame()
        self.name = name
        self.data = data
        self.statuses = statuses
        self.partitions = partitions
        members = list(statuses) if checks.is_statuses(statuses) else []
        # None only if there are no statuses, which `checked` refuses
        self.start = cast(S, next(iter(members), None) if start is None else start)
        self.entry: tuple[S, ...] = _entries(entry)
        self.module = str(frame.f_globals.get("__name__", "__main__"))
        """The name of the module that made the workflow."""
        self.where = place_of(frame)
        """file:line of the place where the workflow was made."""
        self._numbers = {status.value: status for status in members if is_count(status.value)}
        self._declared: list[Declaration[S]] = []
        self._unapplied: dict[object, str] = {}  # mistakes of decorators that decorate nothing yet
        self._scope = local_names(frame)
        self._graph: Graph[S] | None = None

    def step(
        self,
        status: S,
        *,
        shards: int = 1,
        retry: Retry = DEFAULT_RETRY,
        on_failure: S | None = None,
        max_in_flight: int = 100,
        timeout: Duration | None = None,
    ) -> StepDecorator[D, S]:
        """Declare the decorated function as the step of the runs at `status`.

        The function takes the run, then resources (`stock: Warehouse = warehouse.value`). Its
        return annotation, made of Literals of statuses and of halts, lists what it may return.

        An async function runs in the event loop, a plain one in a thread. Where the function is
        decorated, what is called decides: a plain wrapper runs in a thread, and an awaitable that
        it returns is awaited in the event loop. The annotations are read through functools.wraps.

        Args:
            status: The status whose runs take the step.
            shards: The number of roles that share the work, from 1 to the workflow's partitions.
            retry: When a failed attempt is made again.
            on_failure: The status that a run enters when its attempts are used up, or when the step
                raises Fatal. None: the run is paused with the error.
            max_in_flight: The number of runs that one role works on at a time.
            timeout: How long an attempt may take, in seconds or as a timedelta. An attempt that
                takes longer has failed: an async function is cancelled; a plain one goes on in its
                thread, and its result is dropped. None: no limit.

        Raises:
            InvalidDefinition: The workflow was put to use before. Other mistakes are collected, and
                `checked` raises them.
        """
        options = Options(shards, retry, on_failure, max_in_flight, timeout)
        frame = calling_frame()
        if _is_function(status):  # `@workflow.step` without parentheses
            function = cast(Any, status)
            self._declare(
                Declaration(status, function, options, place_of(frame), local_names(frame))
            )
            return cast(StepDecorator[D, S], function)
        decorator = object()
        self._unapplied[decorator] = (
            f"{place_of(frame)}: a step of {checks.named(status)} has no function; write the call"
            " as a decorator, with an @, directly before the function"
        )

        def register(function: StepFunction[D, S, P, R]) -> Callable[Concatenate[Run[D, S], P], R]:
            frame = calling_frame()
            self._unapplied.pop(decorator, None)
            self._declare(
                Declaration(status, function, options, place_of(frame), local_names(frame))
            )
            return function

        return register

    def _declare(self, step: Declaration[S]) -> None:
        if self._graph is not None:
            late = (
                f"{step.where}: step {step.name} comes after the workflow was put to use; declare"
                " all steps before that"
            )
            raise InvalidDefinition(self.name, [late])
        self._declared.append(step)

    def checked(self) -> Graph[S]:
        """Check the definition and return its graph, the same one every time.

        Raises:
            InvalidDefinition: The definition has mistakes. The error has all of them, each as
                "file:line: what is wrong; way out".
        """
        if self._graph is None:
            graph, mistakes = reading.read(
                self, self._declared, list(self._unapplied.values()), self._scope
            )
            if graph is None or mistakes:
                raise InvalidDefinition(self.name, mistakes)
            self._graph = graph
            # the scopes would keep alive the local variables of functions
            self._declared.clear()
            self._scope.clear()
        return self._graph

    def status_of(self, number: int) -> S:
        """The status with that number. Raises KeyError if there is none."""
        return self._numbers[number]

    def encode(self, data: D) -> bytes:
        """Convert the data to JSON that reads back equal.

        Raises:
            InvalidInput: The data is not of the workflow's model, or would not read back equal. The
                error does not show the data.
        """
        return self._codec.encode(data)

    def decode(self, data: bytes) -> D:
        """Read data that `encode` has made.

        Raises:
            pydantic.ValidationError: The data doesn't fit the model.
        """
        return self._codec.decode(data)

    @cached_property
    def _codec(self) -> DataCodec[D]:
        # made at its first use, because a model may use names that are defined later
        return DataCodec(self.data, f"the data of {self.name}")

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


def _is_function(value: object) -> bool:
    return callable(value) and not isinstance(value, Status | type)


def _entries(entry: Any) -> tuple[Any, ...]:
    """The statuses of `entry=`. Anything else is kept, and `checked` refuses it."""
    return tuple(entry) if _is_several(entry) else (entry,)


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
