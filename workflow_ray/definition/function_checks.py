"""The mistakes in the arguments of the decorators of a run's functions."""

from collections.abc import Iterator
from typing import Any, cast

from workflow_ray.definition.arguments import is_count, shown
from workflow_ray.definition.breaker import Breaker
from workflow_ray.definition.callables import is_async
from workflow_ray.definition.checks import MAX_PARTITIONS
from workflow_ray.definition.declarations import (
    BatchStepDeclaration,
    CallbackDeclaration,
    ChildDeclaration,
    RunDeclaration,
    StepDeclaration,
    TimeoutDeclaration,
    named,
)
from workflow_ray.definition.declaring import Declaring
from workflow_ray.definition.durations import duration_mistake, seconds_of
from workflow_ray.definition.flow import FlowControl
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import S
from workflow_ray.errors import InvalidInput

MAX_BATCH = 500
"""The most runs in one batch: a role has 1,000 in hand, and two batches must fit."""
MAX_BATCHES = 64
"""The most batches at a time. Each call of a plain function needs a thread."""


def function_mistakes(
    declared: RunDeclaration[S], statuses: type[S], partitions: int
) -> Iterator[str]:
    """Find the mistakes in the arguments with which a function was declared.

    Args:
        declared: The function.
        statuses: The statuses of the workflow.
        partitions: The workflow's partitions, as they were given.
    """
    if not declared.is_bare:
        yield from _status_mistakes(declared, statuses)
        yield from _mistakes_of_kind(declared, partitions)
    yield from _on_failure_mistakes(declared, statuses)
    if (mistake := attempt_mistake(declared.timeout)) is not None:
        yield f"can't have timeout={shown(declared.timeout)}: {mistake}"
    if mistake := retry_mistake(declared.retry):
        yield mistake


def is_placed(declared: RunDeclaration[S], statuses: type[S]) -> bool:
    """Whether all its statuses, `on_failure` included, are ones that it can have."""
    on_failure = declared.on_failure
    return (
        bool(declared.statuses)
        and all(isinstance(status, statuses) for status in declared.statuses)
        and (
            on_failure is None
            or (isinstance(on_failure, statuses) and on_failure not in declared.statuses)
        )
    )


def is_workflow(value: object) -> bool:
    return isinstance(value, Declaring)


def seconds_or(default: float, given: object) -> float:
    """Convert a duration to seconds. The default if it can't be used, as a mistake has told."""
    try:
        return seconds_of("", given)
    except InvalidInput:
        return default


def count_or(default: int, given: object) -> int:
    """Return the count. The default if it is not one, as a mistake has told."""
    return given if is_count(given) else default


def attempt_seconds(timeout: object) -> float | None:
    """The seconds that an attempt may take. None if it has no limit, or a wrong one."""
    return None if timeout is None or attempt_mistake(timeout) else seconds_of("timeout", timeout)


def attempt_mistake(timeout: object) -> str | None:
    if timeout is None:
        return None
    if (mistake := duration_mistake(timeout)) is None and seconds_of("timeout", timeout) == 0:
        return "an attempt needs some time; leave it out for no limit"
    return mistake


def retry_mistake(retry: object) -> str | None:
    return None if isinstance(retry, Retry) else f"has retry={shown(retry)}; use Retry(...)"


def ray_mistake(ray: object) -> str | None:
    if ray is None or isinstance(ray, RayOptions):
        return None
    return f"can't have ray={shown(ray)}; use RayOptions(...)"


def flow_mistake(flow: object) -> str | None:
    if flow is None or isinstance(flow, FlowControl):
        return None
    return f"can't have flow={shown(flow)}; use FlowControl(...)"


def shards_mistake(shards: object, partitions: object) -> str | None:
    """Why there can't be so many shards. `partitions` are the workflow's, as they were given."""
    if is_count(shards) and not (is_count(partitions) and shards > partitions):
        return None
    most = partitions if is_count(partitions) else MAX_PARTITIONS
    return f"can't have shards={shown(shards)}; use 1 to {most}, the workflow's partitions"


def _status_mistakes(declared: RunDeclaration[S], statuses: type[S]) -> Iterator[str]:
    way_out = f"name a status of {statuses.__name__}"
    if not declared.statuses:
        yield f"is declared for no status; {way_out}"
    for status in declared.statuses:
        if not isinstance(status, statuses):
            yield (
                f"is declared for {named(status)}, which is not a status of this workflow;"
                f" {way_out}"
            )


def _on_failure_mistakes(declared: RunDeclaration[S], statuses: type[S]) -> Iterator[str]:
    on_failure = declared.on_failure
    if on_failure is not None and not isinstance(on_failure, statuses):
        yield (
            f"has on_failure={named(on_failure)}, which is not a status of this workflow; name a"
            f" status of {statuses.__name__}"
        )
    elif on_failure is not None and on_failure in declared.statuses:
        yield f"goes round for ever with on_failure={on_failure}; name another status"


def _mistakes_of_kind(declared: RunDeclaration[Any], partitions: int) -> Iterator[str]:
    match declared:
        case StepDeclaration():
            yield from _step_mistakes(declared, partitions)
        case CallbackDeclaration():
            if mistake := duration_mistake(declared.early):
                yield f"can't have early={shown(declared.early)}: {mistake}"
        case TimeoutDeclaration():
            yield from _due_mistakes(declared)
        case ChildDeclaration():
            if not is_workflow(declared.child):
                yield (
                    f"is for the children of {shown(declared.child)}, which is not a Workflow; hand"
                    " in the workflow whose runs are started"
                )
        case _:
            pass


def _step_mistakes(declared: StepDeclaration[Any], partitions: int) -> Iterator[str]:
    if mistake := shards_mistake(declared.shards, partitions):
        yield mistake
    if mistake := ray_mistake(declared.ray):
        yield mistake
    if mistake := flow_mistake(declared.flow):
        yield mistake
    if declared.breaker is not None and not isinstance(cast(object, declared.breaker), Breaker):
        yield f"can't have breaker={shown(declared.breaker)}; use Breaker(...)"
    if isinstance(declared, BatchStepDeclaration):
        yield from _batch_mistakes(declared)
    elif not is_count(declared.max_in_flight):
        most = shown(declared.max_in_flight)
        yield f"can't have max_in_flight={most}; use a whole number from 1 up"
    if not isinstance(cast(object, declared.transactional), bool):
        yield f"can't have transactional={shown(declared.transactional)}; use True or False"


def _batch_mistakes(declared: BatchStepDeclaration[Any]) -> Iterator[str]:
    if not is_count(declared.max_batch) or declared.max_batch > MAX_BATCH:
        yield (
            f"can't have max_batch={shown(declared.max_batch)}; use a whole number from 1 to"
            f" {MAX_BATCH}"
        )
    if not is_count(declared.max_batches) or declared.max_batches > MAX_BATCHES:
        yield (
            f"can't have max_batches={shown(declared.max_batches)}; use a whole number from 1 to"
            f" {MAX_BATCHES}"
        )
    if mistake := duration_mistake(declared.max_wait):
        yield f"can't have max_wait={shown(declared.max_wait)}: {mistake}"


def _due_mistakes(declared: TimeoutDeclaration[Any]) -> Iterator[str]:
    after, at = declared.after, declared.at
    if after is None and at is None:
        yield "has no time; give after=, e.g. timedelta(hours=1), or at="
    elif after is not None and at is not None:
        yield "has both after= and at=; take one of them out"
    elif after is not None and (mistake := duration_mistake(after)):
        yield f"can't have after={shown(after)}: {mistake}"
    elif at is not None and not callable(at):
        yield (
            f"can't have at={shown(at)}; give a function of the run that returns a datetime with a"
            " timezone"
        )
    elif at is not None and is_async(at):
        yield "can't have an async function as at=; give a plain one, which does not wait"
