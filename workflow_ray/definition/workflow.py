"""Workflows: the definitions that users write."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from workflow_ray.definition import checks, reading
from workflow_ray.definition.arguments import is_count
from workflow_ray.definition.batch_decorators import BatchDecorators
from workflow_ray.definition.codecs import codecs_of
from workflow_ray.definition.data import ValueCodec
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.graph_diagram import diagram_of
from workflow_ray.definition.handler_decorators import HandlerDecorators
from workflow_ray.definition.middleware import Middleware, middleware_of
from workflow_ray.definition.migration_decorators import MigrationDecorators
from workflow_ray.definition.migrations import migrated
from workflow_ray.definition.retention import Retention
from workflow_ray.definition.run import D, S
from workflow_ray.definition.run_decorators import RunDecorators
from workflow_ray.definition.source import calling_frame, local_names, place_of
from workflow_ray.diagram import Diagram
from workflow_ray.errors import InvalidDefinition
from workflow_ray.ports import Codec
from workflow_ray.records import RunState


class Workflow(
    RunDecorators[D, S], BatchDecorators[D, S], HandlerDecorators[D, S], MigrationDecorators
):
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
        middleware: Async functions that run around every function of the workflow, the first one
            outermost. Each takes a FunctionCall and `proceed`, and returns `await proceed()`.
        retry_paused: Runs that an error has paused are retried so long after the pause, in seconds
            or as a timedelta. The time doubles with each retry in a row that ends in an error
            again, up to a day. Runs that a function or an operator has paused stay so. None: only
            operators retry.
        codec: Encodes the data of runs, and whatever else holds data of the user, before it is
            stored. Several encode one after the other, as in [Compression(), Encryption(keys)].
        retention: For how long finished runs, their history and their keys are kept. None: for
            good.
        data_version: The version of the data model, from 1. Raise it by one with a change that
            stored data does not fit, and declare a migration from the version before. See
            `migrate`.
        moved: For statuses that the code has no more: the name of each, and the status to which
            its unfinished runs are moved after a deploy. A bulk job moves them, as `move` does.
        traces: Whether the history keeps the traceback of an error beside its type and its text, up
            to 16,000 bytes of the newest lines.
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
        middleware: Sequence[Middleware] = (),
        retry_paused: Duration | None = None,
        codec: Codec | Sequence[Codec] = (),
        retention: Retention | None = None,
        data_version: int = 1,
        moved: Mapping[str, S] | None = None,
        traces: bool = True,
    ) -> None:
        super().__init__(name)
        frame = calling_frame()
        self.data = data
        self.statuses = statuses
        self.partitions = partitions
        self.middleware: tuple[Middleware, ...] = middleware_of(middleware)
        self.retry_paused = retry_paused
        self.codecs: tuple[Codec, ...] = codecs_of(codec)
        self.retention = retention
        self.data_version = data_version
        self.moved: Mapping[str, S] = _moved_of(moved)
        self.traces = traces
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

    def graph(
        self,
        *,
        counts: Mapping[tuple[S | int, RunState], int] | None = None,
        failed: Mapping[S, int] | Mapping[int, int] | None = None,
    ) -> Diagram:
        """Make a diagram of the workflow: Mermaid, DOT or SVG. It needs no store.

        Args:
            counts: The runs at each status in each run state, from `await client.counts()`. None:
                the diagram is of the definition alone.
            failed: How many of the paused runs at each status an error has paused. The others are
                shown as paused. None: all are shown as paused.

        Raises:
            InvalidDefinition: The definition has mistakes.
            InvalidInput: An argument can't be used.
        """
        return diagram_of(self, counts, failed)

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

    def decode(self, data: bytes, data_version: int | None = None) -> D:
        """Read data that `encode` has made, in this code or in an earlier version of it.

        Args:
            data: The JSON.
            data_version: The version in which it was stored. None: that of the code.

        Raises:
            pydantic.ValidationError: The data doesn't fit the model.
            ValueError: A migration has failed, or the version is newer than the code's.
        """
        if data_version is None or data_version == self.data_version:
            return self._codec.decode(data)
        return self._codec.decode(self.migrated(data, data_version))

    def migrated(self, data: bytes, data_version: int) -> bytes:
        """Convert stored JSON to the version of the code. It is not compared with the model.

        Args:
            data: The JSON.
            data_version: The version in which it was stored.

        Raises:
            ValueError: A migration has failed, or the version is newer than the code's.
        """
        if data_version == self.data_version:
            return data
        return migrated(data, data_version, self.data_version, self.checked().migrations)

    @cached_property
    def _codec(self) -> ValueCodec[D]:
        # made at its first use, because a model may use names that are defined later
        return ValueCodec(self.data, f"the data of {self.name}")

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


def _entries(entry: Any) -> tuple[Any, ...]:
    """The statuses of `entry=`. Anything else is kept, and `checked` refuses it."""
    return tuple(entry) if _is_several(entry) else (entry,)


def _moved_of(moved: Any) -> Mapping[str, Any]:
    """Copy the mapping of `moved=`. Anything else is kept, and `checked` refuses it."""
    if moved is None:
        return {}
    return dict(cast(Mapping[str, Any], moved)) if isinstance(moved, Mapping) else moved


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
