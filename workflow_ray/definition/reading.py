"""The reading of a whole definition: it gives the graph, and reports each mistake once.

A mistake can hide where functions lead. Then its consequences, such as a status that nothing leads
to, are not reported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from workflow_ray.definition import checks
from workflow_ray.definition.arguments import is_count
from workflow_ray.definition.declarations import (
    Declaration,
    MigrationDeclaration,
    NamedDeclaration,
    RunDeclaration,
)
from workflow_ray.definition.function_reading import FunctionReader
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.handler_reading import HandlerReader
from workflow_ray.definition.handlers import Connector, Hook, Schedule, Scrubber
from workflow_ray.definition.migration_reading import MigrationReader
from workflow_ray.definition.run import S
from workflow_ray.definition.status import Status

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow


def read(
    workflow: "Workflow[Any, S]",
    declared: Sequence[Declaration],
    unapplied: Sequence[str],
    scope: Mapping[str, object],
) -> tuple[Graph[S] | None, list[str]]:
    """Read the graph, as far as that is possible, and find all mistakes.

    Args:
        workflow: The workflow.
        declared: Its functions, in order.
        unapplied: The mistakes for calls of decorators that decorate nothing.
        scope: The local names at the place where the workflow was made.
    """
    names = dict(scope)
    for each in declared:
        names |= each.scope
    mistakes = list(checks.workflow_mistakes(workflow, names))
    statuses = workflow.statuses
    if not checks.is_statuses(statuses) or checks.has_aliases(statuses):
        return None, mistakes  # functions can't be checked without statuses
    mistakes += unapplied
    readers: list[FunctionReader[S]] = []
    handlers: list[HandlerReader] = []
    for each in declared:
        if isinstance(each, RunDeclaration):
            function = cast(RunDeclaration[S], each)
            readers.append(FunctionReader(function, statuses, workflow.partitions))
        elif not isinstance(each, MigrationDeclaration):
            handlers.append(HandlerReader(each))
    migrations = MigrationReader(
        [each for each in declared if isinstance(each, MigrationDeclaration)],
        workflow.data_version,
        workflow.where,
    )
    graph = _graph(readers, handlers, migrations)
    begins = [begin for begin in (workflow.start, *workflow.entry) if isinstance(begin, statuses)]
    missing = _first_unreached(graph, statuses, begins)
    for reader in readers:
        mistakes += reader.mistakes(missing, graph)
    for handler in handlers:
        mistakes += handler.mistakes()
    mistakes += migrations.mistakes()
    duplicates = list(
        _duplicate_mistakes(each for each in declared if _is_claiming(each, statuses))
    )
    is_whole = len(begins) == 1 + len(workflow.entry) and not unapplied and not duplicates
    if is_whole and not any(reader.hides_targets for reader in readers):
        mistakes += _unreachable_mistakes(graph, missing, begins[0], workflow.where)
    return graph, mistakes + duplicates


def _graph(
    readers: Iterable[FunctionReader[S]],
    handlers: Iterable[HandlerReader],
    migrations: MigrationReader,
) -> Graph[S]:
    """The graph of what could be read. Of several claims of one thing, the first counts."""
    first = {
        reader.declared.claim().key: reader.function
        for reader in reversed(list(readers))
        if reader.function is not None
    }
    made = [reader.handler for reader in handlers]
    return Graph(
        reversed(first.values()),
        connectors=[handler for handler in made if isinstance(handler, Connector)],
        schedules=[handler for handler in made if isinstance(handler, Schedule)],
        hooks=[handler for handler in made if isinstance(handler, Hook)],
        scrubber=next((handler for handler in made if isinstance(handler, Scrubber)), None),
        migrations=migrations.migrations,
    )


def _is_claiming(declared: Declaration, statuses: type[Status]) -> bool:
    """Whether what it claims can be claimed. If not, it has a mistake of its own."""
    match declared:
        case RunDeclaration():
            return all(isinstance(status, statuses) for status in declared.statuses)
        case NamedDeclaration():
            return checks.is_name(declared.label)
        case MigrationDeclaration():
            return is_count(declared.version)
        case _:
            return True


def _duplicate_mistakes(declared: Iterable[Declaration]) -> Iterator[str]:
    first: dict[tuple[object, ...], Declaration] = {}
    for each in declared:
        claim = each.claim()
        other = first.setdefault(claim.key, each)
        if other is not each:
            yield (
                f"{each.place} is one too many: {claim.has} {other.title} at {other.where} already;"
                f" {claim.way_out}"
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
        place = next((function.where for function in graph.functions(status)), where)
        yield (
            f"{place}: nothing leads from the start, {start}, to {status};"
            " let a step return it, take it out, or, if runs begin there by start_at, make it an"
            f" entry of the workflow: `entry={status}`"
        )
