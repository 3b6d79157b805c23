"""Adding a program's workflows to the deployment that the store keeps."""

import logging
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
from workflow_ray.engine.shapes import shape_of
from workflow_ray.engine.stranding import gone_statuses
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
    data_group,
    hooks_group,
    paused_retry_group,
    run_state_topic,
    scheduler_group,
    status_topic,
    timeout_group,
)
from workflow_ray.records.deployment import SUPERSEDED
from workflow_ray.runtime.deploy_terms import STRICT, DeployTerms
from workflow_ray.runtime.flow import with_flow, with_flow_of_runs, with_flow_settings
from workflow_ray.runtime.hosting import FOR_ALL, AnyWorkflow
from workflow_ray.runtime.identity import is_same, place_of
from workflow_ray.runtime.redeploying import Redeploy

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
    described = DeployedWorkflow(
        name=workflow.name,
        reference=_reference_of(workflow),
        python_path=python_path_of(workflow),
        code=code_of(workflow),
        statuses={status.name: status.value for status in statuses},
        partitions=workflow.partitions,
        shape=shape_of(workflow),
        groups={
            **_status_groups(workflow),
            **_delivering_groups(workflow),
            **_paused_retry_groups(workflow),
            **dict.fromkeys(
                (*schedulers, bulk_group(workflow.name), data_group(workflow.name), *FOR_ALL), 1
            ),
        },
    )
    return with_flow(described, workflow)


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
    terms: DeployTerms = STRICT,
    *,
    definitions: Sequence[AnyWorkflow] = (),
) -> Deployment:
    """Add workflows to the deployment, in place of those of the same name, and make their topics.

    The other workflows stay, and operators' settings too. If an error is raised, nothing was
    written.

    Args:
        store: Where they are deployed.
        workflows: As this program has them.
        terms: What the deploy may do.
        definitions: The definitions of the workflows. Without them, no run is read.

    Raises:
        DeployStrandsRuns: Unfinished runs could not go on. Allowed by `strand`.
        DefinitionSuperseded: The code was replaced since it was deployed. Allowed by `rollback`.
        WorkflowNameTaken: Another definition is deployed by that name. Allowed by `replace`, if the
            workflow was moved or renamed.
        StatusRenumbered: A status has another number in what is stored.
        PartitionsChanged: The workflow has another number of partitions in what is stored.
        TopicMismatch: A topic has another number of partitions.
    """
    merged = partial(_merged, rollback=terms.rollback, replace=terms.replace)
    redeploy = Redeploy(store, definitions, strand=terms.strand)
    return await _merge(store, workflows, merged, redeploy)


async def merge_or_join(
    store: Store,
    workflows: Sequence[DeployedWorkflow],
    terms: DeployTerms = STRICT,
    *,
    definitions: Sequence[AnyWorkflow] = (),
) -> Deployment:
    """As `merge`, for a process that runs roles itself. If its code is older than the deployed one,
    it deploys nothing, and warns.

    Such a process was started again during a rolling upgrade, or starts late. It works like one
    that has run since before the upgrade: it runs the steps that it has, with the shard counts of
    the newer deployment. So a process manager that restarts earlier processes restarts the work.
    """
    joined = partial(_joined, rollback=terms.rollback, replace=terms.replace)
    redeploy = Redeploy(store, definitions, strand=terms.strand)
    deployment = await _merge(store, workflows, joined, redeploy)
    current = {workflow.name: workflow.code for workflow in deployment.workflows}
    for workflow in workflows:
        if workflow.code != current[workflow.name]:
            log.warning("workflow %r: %s", workflow.name, OLDER, extra={"workflow": workflow.name})
    return deployment


async def _merge(
    store: Store, workflows: Sequence[DeployedWorkflow], merged: _Merged, redeploy: Redeploy
) -> Deployment:
    deployed = await _changed(store, workflows, merged, redeploy)
    await redeploy.finish(deployed, workflows)
    return deployed


async def _changed(
    store: Store, workflows: Sequence[DeployedWorkflow], merged: _Merged, redeploy: Redeploy
) -> Deployment:
    while True:
        current = await store.deployment()
        before = {workflow.name: workflow for workflow in current.workflows}
        after = {
            workflow.name: merged(before.get(workflow.name), workflow) for workflow in workflows
        }
        for name in after.keys() - before.keys():
            after[name] = await with_flow_of_runs(store, after[name])
        target = tuple({**before, **after}.values())  # in the order of their first deploys
        await redeploy.check(before, after)
        await store.prepare(_topics(target))  # of all workflows: the stream may be another one
        if target == current.workflows:
            return current
        try:
            return await store.deploy(current.version, target)
        except DeploymentConflict:
            continue


def redeployed(before: DeployedWorkflow, workflow: DeployedWorkflow) -> DeployedWorkflow:
    """Return the workflow as a deploy would store it. Raises what `merge` does."""
    return _merged(before, workflow, rollback=False, replace=False)


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
    shape = workflow.shape
    if shape is not None and (gone := gone_statuses(before, workflow)):
        shape = msgspec.structs.replace(shape, gone=gone)
    kept = msgspec.structs.replace(
        workflow,
        scaled=scaled,
        superseded=tuple(superseded[-SUPERSEDED:]),
        paused=tuple(paused),
        shape=shape,
    )
    return with_flow_settings(before, kept)


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
