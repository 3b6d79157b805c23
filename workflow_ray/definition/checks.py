"""The mistakes in the arguments of a workflow and of its steps, each with its place and a way
out.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from workflow_ray.definition.arguments import is_count, shown
from workflow_ray.definition.data import model_mistake
from workflow_ray.definition.durations import seconds_of
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import S
from workflow_ray.definition.status import Status
from workflow_ray.definition.step import Declaration
from workflow_ray.errors import InvalidInput

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
    if (
        not _is_a(workflow.name, str)
        or not _NAME.fullmatch(workflow.name)
        or len(workflow.name) > MAX_NAME
    ):
        allowed = f"use up to {MAX_NAME} of A-Z a-z 0-9 . _ -, a letter or digit first"
        yield f"{place} the name {shown(workflow.name)} can't be part of a role or topic; {allowed}"
    if not is_count(workflow.partitions) or workflow.partitions > MAX_PARTITIONS:
        yield (
            f"{place} partitions={shown(workflow.partitions)} is not a whole number from 1 to"
            f" {MAX_PARTITIONS}; the default is 16"
        )
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
    else:
        yield (
            f"{place} {shown(workflow.statuses)} is not an enum of statuses; hand in a subclass of"
            " Status that has members"
        )


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


def step_mistakes(step: Declaration[S], statuses: type[S], partitions: int) -> Iterator[str]:
    """Find the mistakes in the arguments of `.step`."""
    options = step.options
    place = f"{step.where}: step {step.name}"
    way_out = f"name a status of {statuses.__name__}"
    if not step.is_bare and not isinstance(step.status, statuses):
        yield (
            f"{place} is declared for {named(step.status)}, which is not a status of this workflow;"
            f" {way_out}"
        )
    if options.on_failure is not None and not isinstance(options.on_failure, statuses):
        yield (
            f"{place} has on_failure={named(options.on_failure)}, which is not a status of this"
            f" workflow; {way_out}"
        )
    elif options.on_failure is not None and options.on_failure is step.status:
        yield (
            f"{place} goes round for ever with on_failure={options.on_failure}; name another status"
        )
    if not is_count(options.shards) or (is_count(partitions) and options.shards > partitions):
        most = partitions if is_count(partitions) else MAX_PARTITIONS
        allowed = f"use 1 to {most}, the workflow's partitions"
        yield f"{place} can't have shards={shown(options.shards)}; {allowed}"
    if not is_count(options.max_in_flight):
        yield (
            f"{place} can't have max_in_flight={shown(options.max_in_flight)}; use a whole number"
            " from 1 up"
        )
    if (mistake := _timeout_mistake(options.timeout)) is not None:
        yield f"{place} can't have timeout={shown(options.timeout)}: {mistake}"
    if not _is_a(options.retry, Retry):
        yield f"{place} has retry={shown(options.retry)}; use Retry(...)"


def is_placed(step: Declaration[S], statuses: type[S]) -> bool:
    """Whether the step's status and its `on_failure` are statuses that it can have."""
    on_failure = step.options.on_failure
    return isinstance(step.status, statuses) and (
        on_failure is None or (isinstance(on_failure, statuses) and on_failure is not step.status)
    )


def timeout_seconds(timeout: object) -> float | None:
    """The seconds that an attempt may take. None if it has no limit, or a wrong one."""
    return None if timeout is None or _timeout_mistake(timeout) else seconds_of("timeout", timeout)


def named(value: object) -> str:
    """Format a status, or what was given in its place, for the text of a mistake."""
    return str(value) if isinstance(value, Status) else shown(value)


def _timeout_mistake(timeout: object) -> str | None:
    try:
        is_zero = timeout is not None and seconds_of("timeout", timeout) == 0
    except InvalidInput as error:
        return error.why
    return "an attempt needs some time; leave it out for no limit" if is_zero else None


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _is_subclass(value: object, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)
