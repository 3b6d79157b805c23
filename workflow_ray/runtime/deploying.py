"""Adding a program's workflows to the deployment that the store keeps."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, cast

import msgspec

from workflow_ray.definition import (
    MAIN,
    Status,
    code_of,
    known_as,
    python_path_of,
    reference_of,
)
from workflow_ray.errors import (
    DefinitionSuperseded,
    DeploymentConflict,
    PartitionsChanged,
    StatusRenumbered,
    WorkflowNameTaken,
)
from workflow_ray.ports import Store
from workflow_ray.records import (
    DeployedWorkflow,
    Deployment,
    Topic,
    bulk_group,
    connector_group,
    consumer_group,
    hooks_group,
    paused_retry_group,
    run_state_topic,
    scheduler_group,
    status_topic,
    timeout_group,
)
from workflow_ray.records.deployment import SUPERSEDED
from workflow_ray.runtime.hosting import FOR_ALL, AnyWorkflow
from workflow_ray.runtime.identity import is_same, place_of

log = logging.getLogger(__name__)

OLDER = (
    "other code has replaced this process's since it was deployed, and stays deployed; this process"
    " runs the steps that it has. To deploy this code again: --rollback, in a program"
    " rollback=True."
)

_Merged: TypeAlias = Callable[[DeployedWorkflow | None, DeployedWorkflow], DeployedWorkflow]
"""Takes a workflow as it is deployed, and as a program has it; returns the one that should run."""


def describe(workflow: AnyWorkflow) -> DeployedWorkflow:
    """Describe the workflow as a deployment keeps it.

    Raises:
        InvalidDefinition: It has mistakes.
        NotImportable: Other processes can't import it.
    """
    reference_of(workflow)
    return describe_here(workflow)


def describe_here(workflow: AnyWorkflow) -> DeployedWorkflow:
    """As `describe`, for roles of this process alone: they need not import the workflow, so it may
    be in `__main__`.
    """
    graph, statuses = workflow.checked(), cast(type[Status], workflow.statuses)
    schedulers = [scheduler_group(workflow.name, schedule.name) for schedule in graph.schedules]
    return DeployedWorkflow(
        name=workflow.name,
        reference=_reference_of(workflow),
        python_path=python_path_of(workflow),
        code=code_of(workflow),
        statuses={status.name: status.value for status in statuses},
        partitions=workflow.partitions,
        groups={
            **_status_groups(workflow),
            **_delivering_groups(workflow),
            **_paused_retry_groups(workflow),
            **dict.fromkeys((*schedulers, bulk_group(workflow.name), *FOR_ALL), 1),
        },
    )


def _status_groups(workflow: AnyWorkflow) -> dict[str, int]:
    """Return the groups of the statuses, with their shards."""
    graph, groups = workflow.checked(), dict[str, int]()
    for status in graph.statuses_with_functions:
        step = graph.step(status)
        groups[consumer_group(workflow.name, status.value)] = 1 if step is None else step.shards
        if graph.timeouts(status):
            groups[timeout_group(workflow.name, status.value)] = 1
    return groups


def _delivering_groups(workflow: AnyWorkflow) -> dict[str, int]:
    """Return the groups of the workflow's connectors and hooks, with their shards."""
    graph = workflow.checked()
    groups = {
        connector_group(workflow.name, connector.name): connector.shards
        for connector in graph.connectors
    }
    return {**groups, hooks_group(workflow.name): 1} if graph.hooks else groups


def _paused_retry_groups(workflow: AnyWorkflow) -> dict[str, int]:
    return {} if workflow.retry_paused is None else {paused_retry_group(workflow.name): 1}


def _reference_of(workflow: AnyWorkflow) -> str:
    """Return the reference by which other processes import the workflow.

    The workflow of a script has none, because importing a script runs it: its attribute is empty.
    """
    reference = known_as(workflow)
    return reference if workflow.module not in MAIN else f"{reference.partition(':')[0]}:"


async def merge(
    store: Store,
    workflows: Sequence[DeployedWorkflow],
    *,
    rollback: bool = False,
    replace: bool = False,
) -> Deployment:
    """Add workflows to the deployment, in place of those of the same name, and make their topics.

    The other workflows stay, and operators' settings too. If an error is raised, nothing was
    written.

    Args:
        store: Where they are deployed.
        workflows: As this program has them.
        rollback: Allow code to be deployed again that was replaced since it was deployed.
        replace: Allow a workflow to replace another definition of its name, because it was moved or
            renamed.

    Raises:
        DefinitionSuperseded: See `rollback`.
        WorkflowNameTaken: See `replace`.
        StatusRenumbered: A status has another number in what is stored.
        PartitionsChanged: The workflow has another number of partitions in what is stored.
        TopicMismatch: A topic has another number of partitions.
    """
    return await _merge(store, workflows, partial(_merged, rollback=rollback, replace=replace))


async def merge_or_join(
    store: Store,
    workflows: Sequence[DeployedWorkflow],
    *,
    rollback: bool = False,
    replace: bool = False,
) -> Deployment:
    """As `merge`, for a process that runs roles itself. If its code is older than the deployed one,
    it deploys nothing, and warns.

    Such a process was started again during a rolling upgrade, or starts late. It works like one
    that has run since before the upgrade: it runs the steps that it has, with the shard counts of
    the newer deployment. So a process manager that restarts earlier processes restarts the work.
    """
    deployment = await _merge(
        store, workflows, partial(_joined, rollback=rollback, replace=replace)
    )
    current = {workflow.name: workflow.code for workflow in deployment.workflows}
    for workflow in workflows:
        if workflow.code != current[workflow.name]:
            log.warning("workflow %r: %s", workflow.name, OLDER, extra={"workflow": workflow.name})
    return deployment


async def _merge(
    store: Store, workflows: Sequence[DeployedWorkflow], merged: _Merged
) -> Deployment:
    while True:
        current = await store.deployment()
        before = {workflow.name: workflow for workflow in current.workflows}
        after = {
            workflow.name: merged(before.get(workflow.name), workflow) for workflow in workflows
        }
        target = tuple({**before, **after}.values())  # in the order of their first deploys
        await store.prepare(_topics(target))  # of all workflows: the stream may be another one
        if target == current.workflows:
            return current
        try:
            deployed = await store.deploy(current.version, target)
        except DeploymentConflict:
            continue
        for name in before.keys() & after.keys():
            await _warn_of_runs_without_step(store, before[name], after[name])
        return deployed


async def _warn_of_runs_without_step(
    store: Store, before: DeployedWorkflow, after: DeployedWorkflow
) -> None:
    """Log at which statuses unfinished runs stand that the new code has no step for."""
    names = {number: name for name, number in before.statuses.items()}
    stand = Counter[str]()
    for count in await store.counts(after.name):
        has_step = consumer_group(after.name, count.status) in after.groups
        if not has_step and not count.run_state.finished:
            stand[names.get(count.status, str(count.status))] += count.runs
    if stand:
        log.warning(
            "workflow %r: the code has no step for statuses at which unfinished runs stand: %s."
            " They go on once it has these steps again, or can be cancelled",
            after.name,
            ", ".join(f"{status} ({runs})" for status, runs in stand.items()),
            extra={"workflow": after.name},
        )


def _joined(
    before: DeployedWorkflow | None, workflow: DeployedWorkflow, *, rollback: bool, replace: bool
) -> DeployedWorkflow:
    """As `_merged`; but newer code that has replaced the workflow's stays."""
    try:
        return _merged(before, workflow, rollback=rollback, replace=replace)
    except DefinitionSuperseded:
        return before or workflow


def _merged(
    before: DeployedWorkflow | None, workflow: DeployedWorkflow, *, rollback: bool, replace: bool
) -> DeployedWorkflow:
    """Return the workflow that should run in place of the one before. Raises what `merge` does."""
    if before is None:
        return workflow
    if not replace and not is_same(before, workflow.reference, workflow.python_path):
        raise WorkflowNameTaken(workflow.name, place_of(before), place_of(workflow))
    _check_stored(before, workflow)
    if workflow.code in before.superseded and not rollback:
        raise DefinitionSuperseded(
            workflow.name,
            place_of(workflow),
            len(before.superseded) - before.superseded.index(workflow.code),
        )
    return _with_settings(before, workflow)


def _with_settings(before: DeployedWorkflow, workflow: DeployedWorkflow) -> DeployedWorkflow:
    """Return the workflow with the operators' settings. A scaling under way begins again."""
    scaled = {group: shards for group, shards in before.scaled.items() if group in workflow.groups}
    superseded = [
        code for code in (*before.superseded, before.code) if code and code != workflow.code
    ]
    paused = [
        schedule
        for schedule in before.paused
        if scheduler_group(workflow.name, schedule) in workflow.groups
    ]
    return msgspec.structs.replace(
        workflow, scaled=scaled, superseded=tuple(superseded[-SUPERSEDED:]), paused=tuple(paused)
    )


def _check_stored(before: DeployedWorkflow, workflow: DeployedWorkflow) -> None:
    """Check the workflow's numbers before its topics are made. The store checks them again."""
    if before.partitions != workflow.partitions:
        raise PartitionsChanged(workflow.name, before.partitions, workflow.partitions)
    for name, number in workflow.statuses.items():
        if (stored := before.statuses.get(name, number)) != number:
            raise StatusRenumbered(workflow.name, name, stored, number)


def _topics(workflows: Sequence[DeployedWorkflow]) -> dict[Topic, int]:
    """Return the topics that have consumers, and how many partitions they need."""
    topics = {
        status_topic(workflow.name, status): workflow.partitions
        for workflow in workflows
        for status in workflow.statuses.values()
        if consumer_group(workflow.name, status) in workflow.groups
    }
    return topics | {
        run_state_topic(workflow.name): workflow.partitions
        for workflow in workflows
        if hooks_group(workflow.name) in workflow.groups
    }
