"""The reading of one function that is called with a run."""

from collections.abc import Iterator, Sequence
from typing import Any, Generic

from workflow_ray.definition.callables import is_async, kind_mistake
from workflow_ray.definition.callback import Callback
from workflow_ray.definition.children import ChildFunction, ChildrenFunction
from workflow_ray.definition.data import ValueCodec
from workflow_ray.definition.declarations import (
    BatchStepDeclaration,
    CallbackDeclaration,
    ChildDeclaration,
    ChildrenDeclaration,
    RunDeclaration,
    StepDeclaration,
    TimeoutDeclaration,
)
from workflow_ray.definition.function import RunFunction
from workflow_ray.definition.function_checks import (
    attempt_seconds,
    count_or,
    function_mistakes,
    is_placed,
    is_workflow,
    seconds_or,
)
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.halt import HALTS, MESSAGE_HALTS
from workflow_ray.definition.message_type import MessageType
from workflow_ray.definition.run import S
from workflow_ray.definition.signature import BatchResults, Parameters, Results, runs_mistake
from workflow_ray.definition.step import BatchStep, Step
from workflow_ray.definition.timeout_function import TimeoutFunction


class FunctionReader(Generic[S]):
    """Reads one declared function, as far as that is possible."""

    def __init__(self, declared: RunDeclaration[S], statuses: type[S], partitions: int) -> None:
        self.function: RunFunction[S] | None = None
        self.declared = declared
        self._statuses = statuses
        self._of_options = list(function_mistakes(declared, statuses, partitions))
        self._kind = kind_mistake(declared.function)
        self._message: MessageType | None = None
        self._runs: str | None = None  # why the first parameter can't be a list of runs
        if self._kind is None:
            halts = HALTS if isinstance(declared, StepDeclaration) else MESSAGE_HALTS
            is_batch = isinstance(declared, BatchStepDeclaration)
            reads: type[Results[S]] = BatchResults[S] if is_batch else Results[S]
            self._results = reads(declared.function, declared.scope, statuses, halts)
            self._session_kind: str | None = None
            if isinstance(declared, StepDeclaration) and declared.transactional is True:
                self._session_kind = "AsyncSession" if is_async(declared.function) else "Session"
            self._parameters = Parameters(declared.function, declared.leading, self._session_kind)
            if is_batch and self._parameters.leading:
                first = self._parameters.leading[0]
                self._runs = runs_mistake(declared.function, first, declared.scope)
            if isinstance(declared, CallbackDeclaration) and len(self._parameters.leading) > 1:
                self._message = MessageType(
                    declared.function, self._parameters.leading[1], declared.scope
                )
            self.function = self._read()

    @property
    def hides_targets(self) -> bool:
        """Whether a mistake hides the function's statuses or its targets."""
        return (
            self.function is None
            or self._results.mistake is not None
            or not is_placed(self.declared, self._statuses)
        )

    def mistakes(self, missing: Sequence[S], graph: Graph[S]) -> Iterator[str]:
        """The function's mistakes, each with its place.

        Args:
            missing: The statuses that nothing leads to, for the annotation that is suggested.
            graph: The graph, as far as it is known.
        """
        for mistake in self._all(missing, graph):
            yield f"{self.declared.place} {mistake}"

    def _all(self, missing: Sequence[S], graph: Graph[S]) -> Iterator[str]:
        yield from self._of_options
        if self.declared.is_bare:
            free = [status for status in self._statuses if graph.step(status) is None]
            status = (free or list(self._statuses))[0]
            yield (
                f"is declared without its status; write `{self.declared.usage.format(status)}` in"
                " the decorator, with the status that it is for"
            )
        if self._kind is not None:
            yield self._kind
            return
        yield from self._parameters.mistakes
        if self._parameters.are_hidden:
            return
        if self._runs is not None:
            yield self._runs
        if self._message is not None and self._message.mistake is not None:
            yield self._message.mistake
        if self._session_kind and self._parameters.session is None:
            yield (
                "is transactional and takes no session; give it a parameter"
                f" `session: {self._session_kind}` of SQLAlchemy"
                f" ({'an async' if self._session_kind == 'AsyncSession' else 'a plain'} function"
                " takes that kind)"
            )
        if self._results.mistake is not None:
            way_out = self._results.way_out or self._other_annotation(missing)
            yield f"{self._results.mistake}; {way_out}"

    def _other_annotation(self, missing: Sequence[S]) -> str:
        targets = [
            status
            for status in self._statuses
            if status in self._results.statuses
            or (status in missing and status not in self.declared.statuses)
        ]
        parts: list[str] = []
        if names := ", ".join(map(str, targets or self._next())):
            parts.append(f"Literal[{names}]")
        parts += sorted(halt.__name__ for halt in self._results.halts)
        results = " | ".join(parts)
        if isinstance(self.declared, BatchStepDeclaration):
            results = f"list[{results} | Exception]"
        return f"annotate `-> {results}`, the statuses and halts that it may return"

    def _next(self) -> list[S]:
        """The status after the function's own, else the one before, else its own."""
        statuses = list(self._statuses)
        own = [status for status in self.declared.statuses if status in statuses]
        if not own:
            return statuses[-1:]
        at = statuses.index(own[0])
        return statuses[at + 1 : at + 2] or statuses[max(at - 1, 0) :][:1]

    def _read(self) -> RunFunction[S] | None:
        declared = self.declared
        own = frozenset(status for status in declared.statuses if _is_a(status, self._statuses))
        on_failure = declared.on_failure
        read: dict[str, Any] = {
            "name": declared.name,
            "where": declared.where,
            "statuses": own,
            "function": declared.function,
            "is_async": is_async(declared.function),
            "returns": frozenset(self._results.statuses),
            "halts": frozenset(self._results.halts),
            "resources": self._parameters.resources,
            "retry": declared.retry,
            "on_failure": on_failure if _is_a(on_failure, self._statuses) else None,
            "timeout": attempt_seconds(declared.timeout),
        }
        if not own:
            return None
        match declared:
            case BatchStepDeclaration():
                return _batch_step(declared, read)
            case StepDeclaration():
                return Step(
                    **read,
                    shards=declared.shards,
                    max_in_flight=declared.max_in_flight,
                    ray=declared.ray,
                    breaker=declared.breaker,
                    flow=declared.flow,
                    session=self._parameters.session,
                )
            case CallbackDeclaration(early=early):
                message = self._message
                what = f"the message of {declared.name}"
                codec = message.codec(what) if message else ValueCodec[Any](object, what)
                return Callback(**read, early=seconds_or(0.0, early), codec=codec)
            case TimeoutDeclaration(after=after, at=at):
                seconds = None if after is None else seconds_or(0.0, after)
                return TimeoutFunction(**read, after=seconds, at=at)
            case ChildrenDeclaration(child=child) if is_workflow(child):
                return ChildrenFunction(**read, child=child)
            case ChildDeclaration(child=child) if is_workflow(child):
                return ChildFunction(**read, child=child)
            case _:
                return None


def _batch_step(declared: BatchStepDeclaration[S], read: dict[str, Any]) -> BatchStep[S]:
    max_batch, max_batches = count_or(1, declared.max_batch), count_or(1, declared.max_batches)
    call_timeout: float | None = read.pop("timeout")
    return BatchStep(
        **read,
        shards=declared.shards,
        # The runs of the calls, and those of the batch that is being collected meanwhile.
        max_in_flight=max_batch * (max_batches + 1),
        ray=declared.ray,
        flow=declared.flow,
        breaker=declared.breaker,
        max_batch=max_batch,
        max_wait=seconds_or(0.0, declared.max_wait),
        max_batches=max_batches,
        call_timeout=call_timeout,
    )


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)
