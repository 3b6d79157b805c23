"""The workflow: what a user defines, and everything else is handed."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Concatenate, Generic, cast

from workflow_ray.definition import checks
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
    Step,
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
        self.entry: tuple[S, ...] = (entry,) if isinstance(entry, Status) else tuple(entry)
        self.module = str(frame.f_globals.get("__name__", "__main__"))
        """The module that made it."""
        self.where = where(frame)
        """file:line of its making."""
        self._numbers = {status.value: status for status in members}
        self._declared: list[Declaration[S]] = []
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
        """The step of the runs at `status`: an async function, or a plain one, which runs in a
        thread.

        It takes the run, then resources (`stock: Warehouse = warehouse.value`); its return
        annotation, made of Literals of statuses and of halts, is the list of what it may return.
        shards: the roles that share the work, 1 to the workflow's partitions.
        on_failure: where a run goes whose attempts are used up, or that raised Fatal; by default it
            is paused with the error.
        max_in_flight: runs that one role works on at a time.
        timeout: how long an attempt may take, in seconds or as a timedelta; then it has failed. An
            async function is cancelled; a plain one goes on in its thread, and its result is
            dropped. None: as long as it takes. Raises InvalidDefinition only after `checked`: who
            has read the graph would never hear of the step.
        """
        options = Options(shards, retry, on_failure, max_in_flight, timeout)

        def register(function: StepFunction[D, S, P, R]) -> Callable[Concatenate[Run[D, S], P], R]:
            frame = calling_frame()
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
            graph, mistakes = self._read()
            if graph is None or mistakes:
                raise InvalidDefinition(self.name, mistakes)
            self._graph = graph
            self._declared.clear()  # their scopes would keep whole functions' names alive
        return self._graph

    def _read(self) -> tuple[Graph[S] | None, list[str]]:
        mistakes = list(checks.workflow_mistakes(self))
        if not checks.is_statuses(self.statuses):
            return None, mistakes  # without statuses nothing can be said about steps
        steps: dict[S, Step[S]] = {}
        for declared in self._declared:
            mistakes += checks.step_mistakes(declared, self.statuses, self.partitions)
            step, of_function = checks.read_step(declared, self.statuses)
            mistakes += of_function
            if step is not None:
                steps.setdefault(step.status, step)
        graph = Graph(steps.values())
        mistakes += checks.duplicate_mistakes(self._declared)
        mistakes += checks.unreachable_mistakes(
            graph, self.statuses, (self.start, *self.entry), self.where
        )
        return graph, mistakes

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
