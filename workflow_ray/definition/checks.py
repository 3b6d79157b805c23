"""The mistakes in the arguments of a workflow, each with its place and a way out."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from workflow_ray.definition.arguments import is_count, shown
from workflow_ray.definition.codecs import codec_mistakes
from workflow_ray.definition.data import model_mistake
from workflow_ray.definition.declarations import named
from workflow_ray.definition.durations import duration_mistake, seconds_of
from workflow_ray.definition.middleware import middleware_mistakes
from workflow_ray.definition.retention import retention_mistake
from workflow_ray.definition.status import Status

if TYPE_CHECKING:
    from workflow_ray.definition.workflow import Workflow

MAX_NAME = 100
"""The longest name of a workflow. It is part of topics, and Kafka's have 249 characters at most."""
MAX_PARTITIONS = 4096
"""Each partition has a position in each group, and on Kafka a partition in each topic."""
MAX_NUMBER = 2**31 - 1
"""The largest number of a status that every database can store."""
# Kafka allows these characters in a topic. A dash is safe although it also separates the parts of a
# topic or role: these are never parsed, and the number of the status keeps them distinct.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def workflow_mistakes(workflow: "Workflow[Any, Any]", scope: Mapping[str, object]) -> Iterator[str]:
    """Find the mistakes in the arguments of `Workflow`.

    Args:
        workflow: The workflow.
        scope: Names that its data model may use beside those of the model's module.
    """
    place = f"{workflow.where}:"
    if not is_name(workflow.name):
        allowed = f"use up to {MAX_NAME} of A-Z a-z 0-9 . _ -, a letter or digit first"
        yield f"{place} the name {shown(workflow.name)} can't be part of a role or topic; {allowed}"
    if not is_count(workflow.partitions) or workflow.partitions > MAX_PARTITIONS:
        yield (
            f"{place} partitions={shown(workflow.partitions)} is not a whole number from 1 to"
            f" {MAX_PARTITIONS}; the default is 16"
        )
    yield from (f"{place} {mistake}" for mistake in middleware_mistakes(workflow.middleware))
    yield from (f"{place} {mistake}" for mistake in codec_mistakes(workflow.codecs))
    if mistake := _retry_paused_mistake(workflow.retry_paused):
        yield f"{place} retry_paused={shown(workflow.retry_paused)} can't be used: {mistake}"
    if mistake := retention_mistake(workflow.retention):
        yield f"{place} retention={shown(workflow.retention)} can't be used; {mistake}"
    if not isinstance(cast(object, workflow.traces), bool):
        yield f"{place} traces={shown(workflow.traces)} can't be used; use True or False"
    if _is_subclass(workflow.data, Status) and _is_subclass(workflow.statuses, BaseModel):
        yield (
            f"{place} data and statuses are in each other's place; write"
            f" `{workflow.statuses.__name__}, {workflow.data.__name__}`"
        )
        return
    yield from (f"{place} {mistake}" for mistake in _data_mistakes(workflow.data, scope))
    if is_statuses(workflow.statuses):
        yield from _number_mistakes(workflow.statuses, workflow.where)
        yield from (f"{place} {mistake}" for mistake in _begin_mistakes(workflow))
        yield from (f"{place} {mistake}" for mistake in _moved_mistakes(workflow))
    else:
        yield (
            f"{place} {shown(workflow.statuses)} is not an enum of statuses; hand in a subclass of"
            " Status that has members"
        )


def _retry_paused_mistake(given: object) -> str | None:
    if given is None:
        return None
    if (mistake := duration_mistake(given)) is None and seconds_of("retry_paused", given) == 0:
        return "runs would fail again at once; give a time, e.g. an hour"
    return mistake


def _data_mistakes(data: type[BaseModel], scope: Mapping[str, object]) -> Iterator[str]:
    if not _is_subclass(data, BaseModel) or data is BaseModel:
        yield f"the data {shown(data)} is not a pydantic model; hand in a subclass of BaseModel"
    elif mistake := model_mistake(data, scope):
        yield f"the data model {data.__name__} {mistake}"


def _begin_mistakes(workflow: "Workflow[Any, Any]") -> Iterator[str]:
    name = workflow.statuses.__name__
    if not isinstance(workflow.start, workflow.statuses):
        yield (
            f"start={named(workflow.start)} is not a status of {name}; name one, or leave it out"
        )
    others = [entry for entry in workflow.entry if not isinstance(entry, workflow.statuses)]
    if others:
        listed = " and ".join(map(shown, others))
        what = "which is not a status" if len(others) == 1 else "which are not statuses"
        yield f"entry has {listed}, {what} of {name}; take it out"


def _moved_mistakes(workflow: "Workflow[Any, Any]") -> Iterator[str]:
    moved = cast(object, workflow.moved)
    name = workflow.statuses.__name__
    if not isinstance(moved, Mapping):
        statuses: type[Status] = workflow.statuses
        example = f'`moved={{"OLD_NAME": {next(iter(statuses))}}}`'
        yield f"moved={shown(moved)} is not a mapping of names to statuses; write {example}"
        return
    for old, new in cast(Mapping[object, object], moved).items():
        if not isinstance(old, str):
            yield (
                f"moved has the key {named(old)}, which is not a name; write the name that the"
                " status had"
            )
        elif old in workflow.statuses.__members__:
            yield f"moved has {old!r}, which {name} still has; take it out of one of them"
        if not isinstance(new, workflow.statuses):
            what = f"moved={{{shown(old)}: {named(new)}}}"
            yield f"{what} doesn't lead to a status of {name}; name one"


def is_name(name: object) -> bool:
    """Whether this can be the name of a workflow."""
    return isinstance(name, str) and len(name) <= MAX_NAME and bool(_NAME.fullmatch(name))


def is_statuses(statuses: object) -> bool:
    """Whether it is an enum of statuses with members. If not, steps can't be checked."""
    return isinstance(statuses, type) and issubclass(statuses, Status) and len(statuses) > 0


def has_aliases(statuses: type[Status]) -> bool:
    """Whether two names have the same number. Then Enum makes them one status."""
    return len(statuses.__members__) > len(statuses)


def _number_mistakes(statuses: type[Status], where: str) -> Iterator[str]:
    for name, status in statuses.__members__.items():
        if name != status.name:
            yield (
                f"{where}: {statuses.__name__}.{name} has the number of {status}; give it one of"
                " its own"
            )
        elif not is_count(status.value) or status.value > MAX_NUMBER:
            yield (
                f"{where}: {status} = {shown(status.value)} is not a whole number from 1 to"
                f" {MAX_NUMBER}; give it one"
            )


def _is_subclass(value: object, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)
