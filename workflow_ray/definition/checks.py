"""The mistakes a definition can have, each with its place and a way out.

Each function yields those of one kind.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from workflow_ray.definition.durations import is_count, seconds_of
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import S
from workflow_ray.definition.signature import Parameters, Results, is_async, kind_mistake
from workflow_ray.definition.status import Status
from workflow_ray.definition.step import Declaration, Step
from workflow_ray.errors import InvalidInput

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow

MAX_NAME = 100
"""Characters of a workflow's name: topics and roles are made of it, and Kafka's topics have 249 at
most.
"""
MAX_PARTITIONS = 4096
"""Each has a position in each group, and on Kafka a partition in each topic."""
MAX_NUMBER = 2**31 - 1
"""Of a status, in every database."""
# As in Kafka's topics. A dash is safe: roles and topics are put together from names and never taken
# apart again, and the status's number that follows keeps them distinct.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def workflow_mistakes(workflow: "Workflow[Any, Any]") -> Iterator[str]:
    if (
        not _is_a(workflow.name, str)
        or not _NAME.fullmatch(workflow.name)
        or len(workflow.name) > MAX_NAME
    ):
        allowed = f"use up to {MAX_NAME} of A-Z a-z 0-9 . _ -, a letter or digit first"
        yield (
            f"{workflow.where}: the name {workflow.name!r} can't be part of a role or topic;"
            f" {allowed}"
        )
    if not _is_subclass(workflow.data, BaseModel):
        yield (
            f"{workflow.where}: the data {workflow.data!r} is not a pydantic model; hand in a"
            " subclass of BaseModel"
        )
    if not is_count(workflow.partitions) or workflow.partitions > MAX_PARTITIONS:
        yield (
            f"{workflow.where}: partitions={workflow.partitions!r} is not a whole number from 1 to"
            f" {MAX_PARTITIONS}; the default is 16"
        )
    if not is_statuses(workflow.statuses):
        yield (
            f"{workflow.where}: {workflow.statuses!r} is not an enum of statuses; hand in a"
            " subclass of Status that has members"
        )
    else:
        yield from _number_mistakes(workflow.statuses, workflow.where)
        if not isinstance(workflow.start, workflow.statuses):
            yield (
                f"{workflow.where}: start={workflow.start} is not a status of"
                f" {workflow.statuses.__name__}; name one, or leave it out"
            )
        for entry in workflow.entry:
            if not isinstance(entry, workflow.statuses):
                yield (
                    f"{workflow.where}: entry has {entry!r}, which is not a status of"
                    f" {workflow.statuses.__name__}; take it out"
                )


def is_statuses(statuses: object) -> bool:
    """True for an enum of statuses with members: what all that is said of steps rests on."""
    return isinstance(statuses, type) and issubclass(statuses, Status) and len(statuses) > 0


def _number_mistakes(statuses: type[Status], where: str) -> Iterator[str]:
    for name, status in statuses.__members__.items():
        if name != status.name:
            yield (
                f"{where}: {statuses.__name__}.{name} has the number of {status}; give it one of"
                " its own"
            )
        elif not is_count(status.value) or status.value > MAX_NUMBER:
            yield (
                f"{where}: {status} = {status.value!r} is not a whole number from 1 to"
                f" {MAX_NUMBER}; give it one"
            )


def step_mistakes(step: Declaration[S], statuses: type[S], partitions: int) -> Iterator[str]:
    """Mistakes in what `.step` was told."""
    options = step.options
    way_out = f"name a status of {statuses.__name__}"
    if not isinstance(step.status, statuses):
        yield (
            f"{step.where}: step {step.name} stands at {step.status}, which is not a status of this"
            f" workflow; {way_out}"
        )
    if options.on_failure is not None and not isinstance(options.on_failure, statuses):
        yield (
            f"{step.where}: step {step.name} has on_failure={options.on_failure}, which is not a"
            f" status of this workflow; {way_out}"
        )
    if options.on_failure is not None and options.on_failure == step.status:
        yield (
            f"{step.where}: step {step.name} goes round for ever with"
            f" on_failure={options.on_failure}; name another status"
        )
    if not is_count(options.shards) or (is_count(partitions) and options.shards > partitions):
        allowed = f"use 1 to {partitions}, the workflow's partitions"
        yield f"{step.where}: step {step.name} can't have shards={options.shards!r}; {allowed}"
    if not is_count(options.max_in_flight):
        yield (
            f"{step.where}: step {step.name} can't have max_in_flight={options.max_in_flight!r};"
            " use a whole number from 1 up"
        )
    if (mistake := _timeout_mistake(options.timeout)) is not None:
        yield f"{step.where}: step {step.name} can't have timeout={options.timeout!r}: {mistake}"
    if not _is_a(options.retry, Retry):
        yield f"{step.where}: step {step.name} has retry={options.retry!r}; use Retry(...)"


def read_step(declared: Declaration[S], statuses: type[S]) -> tuple[Step[S] | None, list[str]]:
    """The step, as far as it can be read, and the mistakes in its function."""
    place = f"{declared.where}: step {declared.name}"
    if mistake := kind_mistake(declared.function):
        return None, [f"{place} {mistake}"]
    results, parameters = (
        Results(declared.function, declared.scope, statuses),
        Parameters(declared.function),
    )
    step = Step(
        status=declared.status,
        function=declared.function,
        name=declared.name,
        where=declared.where,
        is_async=is_async(declared.function),
        returns=frozenset(results.statuses),
        halts=frozenset(results.halts),
        resources=parameters.resources,
        shards=declared.options.shards,
        retry=declared.options.retry,
        on_failure=declared.options.on_failure,
        max_in_flight=declared.options.max_in_flight,
        timeout=_timeout(declared.options.timeout),
    )
    return step, [f"{place} {mistake}" for mistake in (*parameters.mistakes, *results.mistakes)]


def duplicate_mistakes(steps: Sequence[Declaration[S]]) -> Iterator[str]:
    first: dict[S, Declaration[S]] = {}
    for step in steps:
        other = first.setdefault(step.status, step)
        if other is not step:
            taken = f"{step.status} has the step {other.name} at {other.where} already"
            yield (
                f"{step.where}: step {step.name} is one too many: {taken}; a status has one step,"
                " so take one of them out"
            )


def unreachable_mistakes(
    graph: Graph[S], statuses: Iterable[S], begins: Sequence[S], where: str
) -> Iterator[str]:
    """begins: Where runs may begin; the start is the first."""
    start = begins[0]
    for status in statuses:
        if (
            isinstance(start, type(status))
            and status not in begins
            and not any(graph.reaches(begin, status) for begin in begins)
        ):
            step = graph.step(status)
            way_out = (
                "let a step return it, take it out, or name it in entry= if runs begin there by"
                " start_at"
            )
            yield (
                f"{step.where if step else where}: nothing leads from the start, {start}, to"
                f" {status}; {way_out}"
            )


def _timeout_mistake(timeout: object) -> str | None:
    try:
        is_none_at_all = timeout is not None and seconds_of("timeout", timeout) == 0
    except InvalidInput as error:
        return error.why
    return "an attempt needs some time; leave it out for no limit" if is_none_at_all else None


def _timeout(timeout: object) -> float | None:
    """None too where it is a mistake, which `step_mistakes` tells."""
    return None if timeout is None or _timeout_mistake(timeout) else seconds_of("timeout", timeout)


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _is_subclass(value: object, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)
