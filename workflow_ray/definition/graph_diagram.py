"""Makes the diagram of a workflow from its graph."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from workflow_ray.definition.arguments import checked_count, shown
from workflow_ray.definition.callback import Callback
from workflow_ray.definition.children import ChildFunction, ChildrenFunction
from workflow_ray.definition.durations import spelled
from workflow_ray.definition.function import RunFunction
from workflow_ray.definition.halt import Cancel, Halt, Pause, Repeat, Stay
from workflow_ray.definition.status import Status
from workflow_ray.definition.step import BatchStep
from workflow_ray.definition.timeout_function import TimeoutFunction
from workflow_ray.diagram import Diagram, Kind, Label, Mark, StatusPart, Tally, Transition
from workflow_ray.errors import InvalidInput
from workflow_ray.records import RunState

if TYPE_CHECKING:
    from workflow_ray.definition.graph import Graph
    from workflow_ray.definition.workflow import Workflow

Counts = Mapping[tuple[Any, RunState], int]
"""The runs at each status in each run state."""
MARKS: Mapping[type[Halt], Mark] = {
    Repeat: Mark.REPEAT,
    Stay: Mark.STAY,
    Pause: Mark.PAUSE,
    Cancel: Mark.CANCEL,
}
TALLIES = {
    RunState.INITIATED: Tally.ACTIVE,
    RunState.RUNNING: Tally.ACTIVE,
    RunState.PAUSED: Tally.PAUSED,
    RunState.COMPLETED: Tally.COMPLETED,
    RunState.CANCELLED: Tally.CANCELLED,
    RunState.REQUESTED_DATA_DELETED: Tally.DELETED,
    RunState.DATA_DELETED: Tally.DELETED,
}


def diagram_of(
    workflow: "Workflow[Any, Any]",
    counts: Counts | None = None,
    failed: Mapping[Any, int] | None = None,
) -> Diagram:
    """Make the diagram.

    Args:
        workflow: The workflow.
        counts: The runs; None: the diagram tells of no runs.
        failed: How many of the paused runs at each status an error has paused.

    Raises:
        InvalidDefinition: The definition has mistakes.
        InvalidInput: The counts can't be used.
    """
    graph = workflow.checked()
    tallies = _tallies(
        workflow, _checked_counts(workflow, counts), _checked_failed(workflow, failed)
    )
    statuses = _in_order(workflow)
    lost = sorted(status for status in tallies if not isinstance(status, Status))
    parts = [
        *(_part(workflow, graph, status, tallies.get(status, {})) for status in statuses),
        *(
            StatusPart(name=f"status {number}", is_known=False, counts=_counts(tallies[number]))
            for number in lost
        ),
    ]
    runs = None if counts is None else sum(sum(each.values()) for each in tallies.values())
    return Diagram(workflow.name, tuple(parts), _transitions(graph, statuses), runs=runs)


def _in_order(workflow: "Workflow[Any, Any]") -> list[Any]:
    """The statuses: the start, other entries, then the rest as they are defined."""
    statuses: type[Status] = workflow.statuses
    return list(dict.fromkeys([workflow.start, *workflow.entry, *statuses]))


def _part(
    workflow: "Workflow[Any, Any]", graph: "Graph[Any]", status: Any, tallies: Mapping[Tally, int]
) -> StatusPart:
    functions = graph.functions(status)
    halts = {halt for function in functions for halt in function.halts}
    return StatusPart(
        name=status.name,
        is_start=status is workflow.start,
        is_entry=status in workflow.entry and status is not workflow.start,
        is_terminal=graph.is_terminal(status),
        functions=tuple(_label(each) for each in functions if not each.targets),
        marks=tuple(mark for halt, mark in MARKS.items() if halt in halts),
        counts=_counts(tallies),
    )


def _transitions(graph: "Graph[Any]", statuses: Sequence[Any]) -> tuple[Transition, ...]:
    """Join the functions of one kind that lead from one status to another."""
    place = {status: i for i, status in enumerate(statuses)}
    labels: dict[tuple[int, int, Kind], list[Label]] = {}
    for source in statuses:
        for function in graph.functions(source):
            for target in sorted(function.returns, key=place.__getitem__):
                label = _label(function)
                labels.setdefault((place[source], place[target], label.kind), []).append(label)
            if function.on_failure is not None:
                way = place[source], place[function.on_failure], Kind.FAILURE
                labels.setdefault(way, []).append(_failure(function))
    return tuple(
        Transition(source=source, target=target, kind=kind, labels=tuple(each))
        for (source, target, kind), each in labels.items()
    )


def _label(function: RunFunction[Any]) -> Label:
    name = _short(function.name)
    match function:
        case BatchStep():
            return Label(Kind.STEP, name, f"up to {function.max_batch:,} runs a call")
        case Callback():
            return Label(Kind.CALLBACK, name)
        case TimeoutFunction():
            return Label(Kind.TIMEOUT, name, _due(function))
        case ChildFunction():
            return Label(Kind.CHILD, name, f"a run of {function.child.name} ended")
        case ChildrenFunction():
            return Label(Kind.CHILD, name, f"all runs of {function.child.name} ended")
        case _:
            return Label(Kind.STEP, name)


def _failure(function: RunFunction[Any]) -> Label:
    attempts = function.retry.attempts
    after = "at the first error" if attempts == 1 else f"after {attempts:,} attempts"
    return Label(Kind.FAILURE, f"{_short(function.name)} fails", after)


def _due(function: TimeoutFunction[Any]) -> str:
    if function.after is not None:
        return f"after {spelled(function.after)}"
    at = function.at
    while isinstance(at, partial):
        at = at.func
    name = getattr(at, "__name__", "")
    return f"at {name}()" if name.isidentifier() else "at a computed time"


def _short(name: str) -> str:
    """The name of a function without that of the function around it."""
    return name.rpartition("<locals>.")[2]


def _tallies(
    workflow: "Workflow[Any, Any]", counts: Counts, failed: Mapping[Any, int]
) -> dict[Any, dict[Tally, int]]:
    """Add up the runs at each status. A status that the code has no more is its number."""
    found: dict[Any, dict[Tally, int]] = {}
    for (status, run_state), runs in counts.items():
        tally = TALLIES[run_state]
        here = found.setdefault(status, {})
        here[tally] = here.get(tally, 0) + runs
    for status, runs in failed.items():
        here = found.setdefault(status, {})
        paused = here.get(Tally.PAUSED, 0)
        here[Tally.FAILED] = min(runs, paused)  # they are read after the counts
        here[Tally.PAUSED] = paused - here[Tally.FAILED]
    return {status: here for status, here in found.items() if any(here.values())}


def _counts(tallies: Mapping[Tally, int]) -> tuple[tuple[Tally, int], ...]:
    return tuple((tally, tallies[tally]) for tally in Tally if tallies.get(tally))


def _checked_counts(workflow: "Workflow[Any, Any]", counts: object) -> Counts:
    checked: Counter[tuple[Any, RunState]] = Counter()
    for key, runs in _items("counts", counts):
        match key:
            case (status, RunState() as run_state):
                at = _checked_status(workflow, "counts", status), run_state
                checked[at] += checked_count("counts", runs, least=0)
            case _:
                raise InvalidInput(
                    "counts",
                    f"its keys are (status, run state), as of Client.counts, not {shown(key)}",
                )
    return checked


def _checked_failed(workflow: "Workflow[Any, Any]", failed: object) -> Mapping[Any, int]:
    checked: Counter[Any] = Counter()
    for status, runs in _items("failed", failed):
        checked[_checked_status(workflow, "failed", status)] += checked_count(
            "failed", runs, least=0
        )
    return checked


def _items(what: str, given: Any) -> Iterable[tuple[Any, Any]]:
    if given is None:
        return ()
    if not _is_mapping(given):
        raise InvalidInput(what, f"give a mapping with numbers of runs, not {shown(given)}")
    items: Iterable[tuple[Any, Any]] = given.items()
    return items


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _checked_status(workflow: "Workflow[Any, Any]", what: str, status: object) -> object:
    if type(status) is int:  # of a status that the code has no more, or as it is stored
        try:
            return workflow.status_of(status)
        except KeyError:
            return status
    if isinstance(status, workflow.statuses):
        return status
    raise InvalidInput(what, f"{workflow.name} has no status {shown(status)}")
