"""The workflow: what a user defines, and everything else is handed."""

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Any, Concatenate, Generic, cast

from workflow_ray.definition import checks, reading
from workflow_ray.definition.data import DataCodec
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.retry import DEFAULT_RETRY, Retry
from workflow_ray.definition.run import D, Run, S
from workflow_ray.definition.source import calling_frame, local_names, where
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

    name: part of roles and topics; a deployment knows the workflow by it for good.
    data: the pydantic model of a run's data. statuses: the Status enum.
    start: where runs begin; by default the first member.
    entry: further statuses where runs may begin, by `start_at` of a trigger, and which nothing need
        lead to.
    partitions: into how many parts the work on a status can be split; fixed at the first deploy.
    Mistakes are collected, and reported all at once by `checked`.
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
        # None only where `checked` refuses it all
        self.start = cast(S, next(iter(members), None) if start is None else start)
        self.entry: tuple[S, ...] = _entries(entry)
        self.module = str(frame.f_globals.get("__name__", "__main__"))
        """The module that made it."""
        self.where = where(frame)
        """file:line of its making."""
        self._numbers = {status.value: status for status in members}
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
            self._declare(Declaration(status, function, options, where(frame), local_names(frame)))
            return cast(StepDecorator[D, S], function)
        decorator = object()
        self._unapplied[decorator] = (
            f"{where(frame)}: a step of {checks.named(status)} has no function; write the call as a"
            " decorator, with an @, directly before the function"
        )

        def register(function: StepFunction[D, S, P, R]) -> Callable[Concatenate[Run[D, S], P], R]:
            frame = calling_frame()
            self._unapplied.pop(decorator, None)
            self._declare(Declaration(status, function, options, where(frame), local_names(frame)))
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
        """The graph, once nothing is wrong with the definition; the same one every time.

        Raises InvalidDefinition with all mistakes, each as "file:line: what is wrong; way out".
        """
        if self._graph is None:
            graph, mistakes = reading.read(
                self, self._declared, list(self._unapplied.values()), self._scope
            )
            if graph is None or mistakes:
                raise InvalidDefinition(self.name, mistakes)
            self._graph = graph
            # scopes would keep alive all that the functions around the definition know
            self._declared.clear()
            self._scope.clear()
        return self._graph

    def status_of(self, number: int) -> S:
        """The status with that number. Raises KeyError: the code has none."""
        return self._numbers[number]

    def encode(self, data: D) -> bytes:
        """The data as JSON.

        Raises InvalidInput, without its values: a field's isn't of the field's type, or it is
        another model's.
        """
        return self._codec.encode(data)

    def decode(self, data: bytes) -> D:
        """What `encode` made, read back.

        Raises pydantic.ValidationError: it doesn't fit the model.
        """
        return self._codec.decode(data)

    @cached_property
    def _codec(self) -> DataCodec[D]:
        return DataCodec(
            self.data, f"the data of {self.name}"
        )  # not before it is needed: models may name others that their module defines later

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


def _is_function(value: object) -> bool:
    return callable(value) and not isinstance(value, Status | type)


def _entries(entry: Any) -> tuple[Any, ...]:
    """The statuses of `entry=`; anything else stays as it is, for `checked` to refuse."""
    return tuple(entry) if _is_several(entry) else (entry,)


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
