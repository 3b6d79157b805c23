"""Workflows: the definitions that users write."""

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any, cast

from workflow_ray.definition import checks, reading
from workflow_ray.definition.arguments import is_count
from workflow_ray.definition.data import ValueCodec
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.handler_decorators import HandlerDecorators
from workflow_ray.definition.run import D, S
from workflow_ray.definition.run_decorators import RunDecorators
from workflow_ray.definition.source import calling_frame, local_names, place_of
from workflow_ray.errors import InvalidDefinition


class Workflow(RunDecorators[D, S], HandlerDecorators[D, S]):
    """A typed state machine: a run stands at a status, and a step takes it to the next.

    Mistakes in the arguments and in the functions are collected. `checked` reports all of them.

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
        super().__init__(name)
        frame = calling_frame()
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
        self._scope = local_names(frame)
        self._graph: Graph[S] | None = None

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
            self._is_in_use = True
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
    def _codec(self) -> ValueCodec[D]:
        # made at its first use, because a model may use names that are defined later
        return ValueCodec(self.data, f"the data of {self.name}")

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


def _entries(entry: Any) -> tuple[Any, ...]:
    """The statuses of `entry=`. Anything else is kept, and `checked` refuses it."""
    return tuple(entry) if _is_several(entry) else (entry,)


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
