"""The reading of a whole definition: it gives the graph, and reports each mistake once.

A mistake can hide where steps lead. Then its consequences, such as a status that nothing leads to,
are not reported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

from workflow_ray.definition import checks
from workflow_ray.definition.callables import is_async, kind_mistake
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.run import S
from workflow_ray.definition.signature import Parameters, Results
from workflow_ray.definition.step import Declaration, Step

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow


def read(
    workflow: "Workflow[Any, S]",
    declared: Sequence[Declaration[S]],
    unapplied: Sequence[str],
    scope: Mapping[str, object],
) -> tuple[Graph[S] | None, list[str]]:
    """Read the graph, as far as that is possible, and find all mistakes.

    Args:
        workflow: The workflow.
        declared: Its steps, in order.
        unapplied: The mistakes for calls of `.step` that decorate nothing.
        scope: The local names at the place where the workflow was made.
    """
    names = dict(scope)
    for step in declared:
        names |= step.scope
    mistakes = list(checks.workflow_mistakes(workflow, names))
    statuses = workflow.statuses
    if not checks.is_statuses(statuses) or checks.has_aliases(statuses):
        return None, mistakes  # steps can't be checked without statuses
    mistakes += unapplied
    readers = [_Reader(step, statuses, workflow.partitions) for step in declared]
    first: dict[S, Step[S]] = {}
    for reader in readers:
        if reader.step is not None and isinstance(reader.step.status, statuses):
            first.setdefault(reader.step.status, reader.step)
    graph = Graph(first.values())
    begins = [begin for begin in (workflow.start, *workflow.entry) if isinstance(begin, statuses)]
    missing = _first_unreached(graph, statuses, begins)
    for reader in readers:
        mistakes += reader.mistakes(missing, graph)
    duplicates = list(_duplicate_mistakes(declared, statuses))
    is_whole = len(begins) == 1 + len(workflow.entry) and not unapplied and not duplicates
    if is_whole and not any(reader.hides_targets for reader in readers):
        mistakes += _unreachable_mistakes(graph, missing, begins[0], workflow.where)
    return graph, mistakes + duplicates


class _Reader(Generic[S]):
    """Reads one declared step, as far as that is possible."""

    def __init__(self, declared: Declaration[S], statuses: type[S], partitions: int) -> None:
        self.step: Step[S] | None = None
        self._declared = declared
        self._statuses = statuses
        self._place = f"{declared.where}: step {declared.name}"
        self._of_options = list(checks.step_mistakes(declared, statuses, partitions))
        self._kind = kind_mistake(declared.function)
        if self._kind is None:
            self._results = Results(declared.function, declared.scope, statuses)
            self._parameters = Parameters(declared.function)
            self.step = _step(declared, self._results, self._parameters, statuses)

    @property
    def hides_targets(self) -> bool:
        """Whether a mistake hides the step's status or its targets."""
        return (
            self._kind is not None
            or self._results.mistake is not None
            or not checks.is_placed(self._declared, self._statuses)
        )

    def mistakes(self, missing: Sequence[S], graph: Graph[S]) -> Iterator[str]:
        """The step's mistakes.

        Args:
            missing: The statuses that nothing leads to, for the annotation that is suggested.
            graph: The graph, as far as it is known.
        """
        yield from self._of_options
        if self._declared.is_bare:
            free = [status for status in self._statuses if graph.is_terminal(status)]
            status = (free or list(self._statuses))[0]
            yield (
                f"{self._place} is declared without its status; write `.step({status})` in the"
                " decorator, with the status that it is for"
            )
        if self._kind is not None:
            yield f"{self._place} {self._kind}"
            return
        yield from (f"{self._place} {mistake}" for mistake in self._parameters.mistakes)
        if self._results.mistake is not None and not self._parameters.are_hidden:
            way_out = self._results.way_out or self._other_annotation(missing)
            yield f"{self._place} {self._results.mistake}; {way_out}"

    def _other_annotation(self, missing: Sequence[S]) -> str:
        targets = [
            status
            for status in self._statuses
            if status in self._results.statuses
            or (status in missing and status != self._declared.status)
        ]
        parts: list[str] = []
        if names := ", ".join(map(str, targets or self._next())):
            parts.append(f"Literal[{names}]")
        parts += sorted(halt.__name__ for halt in self._results.halts)
        return f"annotate `-> {' | '.join(parts)}`, the statuses and halts that it may return"

    def _next(self) -> list[S]:
        """The status after the step's own, else the one before, else its own."""
        statuses = list(self._statuses)
        if self._declared.status not in statuses:
            return statuses[-1:]
        at = statuses.index(self._declared.status)
        return statuses[at + 1 : at + 2] or statuses[max(at - 1, 0) :][:1]


def _step(
    declared: Declaration[S], results: Results[S], parameters: Parameters, statuses: type[S]
) -> Step[S]:
    options = declared.options
    return Step(
        status=declared.status,
        function=declared.function,
        name=declared.name,
        where=declared.where,
        is_async=is_async(declared.function),
        returns=frozenset(results.statuses),
        halts=frozenset(results.halts),
        resources=parameters.resources,
        shards=options.shards,
        retry=options.retry,
        on_failure=options.on_failure if isinstance(options.on_failure, statuses) else None,
        max_in_flight=options.max_in_flight,
        timeout=checks.timeout_seconds(options.timeout),
    )


def _duplicate_mistakes(steps: Sequence[Declaration[S]], statuses: type[S]) -> Iterator[str]:
    first: dict[S, Declaration[S]] = {}
    for step in steps:
        if not isinstance(step.status, statuses):
            continue
        other = first.setdefault(step.status, step)
        if other is not step:
            taken = f"{step.status} has the step {other.name} at {other.where} already"
            yield (
                f"{step.where}: step {step.name} is one too many: {taken}; a status has one step,"
                " so take one of them out"
            )


def _first_unreached(graph: Graph[S], statuses: Iterable[S], begins: Sequence[S]) -> list[S]:
    """The statuses that no run can reach, without the consequences of others.

    A status to which another unreached status leads is a consequence. Of statuses that lead to each
    other, only the first is returned.
    """
    unreached = [
        status
        for status in statuses
        if status not in begins and not any(graph.reaches(begin, status) for begin in begins)
    ]
    return [
        status
        for at, status in enumerate(unreached)
        if not any(
            graph.reaches(other, status) and (earlier < at or not graph.reaches(status, other))
            for earlier, other in enumerate(unreached)
            if other is not status
        )
    ]


def _unreachable_mistakes(
    graph: Graph[S], unreached: Iterable[S], start: S, where: str
) -> Iterator[str]:
    for status in unreached:
        step = graph.step(status)
        yield (
            f"{step.where if step else where}: nothing leads from the start, {start}, to {status};"
            " let a step return it, take it out, or, if runs begin there by start_at, make it an"
            f" entry of the workflow: `entry={status}`"
        )
