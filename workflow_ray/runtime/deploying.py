"""What should run: a program's workflows, added to the deployment that the store keeps."""

from collections.abc import Sequence
from typing import cast

import msgspec

from workflow_ray.definition import Status, code_of, python_path_of, reference_of
from workflow_ray.errors import DeploymentConflict, NotImportable, PartitionsChanged
from workflow_ray.ports import Store
from workflow_ray.records import DeployedWorkflow, Deployment, Topic, consumer_group, status_topic
from workflow_ray.records.deployment import SUPERSEDED
from workflow_ray.runtime.hosting import FOR_ALL, AnyWorkflow


def deployed(workflow: AnyWorkflow) -> DeployedWorkflow:
    """The workflow as a deployment keeps it. Raises InvalidDefinition; NotImportable: other processes couldn't import it."""
    return _described(workflow, reference_of(workflow), python_path_of(workflow), code_of(workflow))


def deployed_here(workflow: AnyWorkflow) -> DeployedWorkflow:
    """The same for roles of this process alone, which need not import the workflow: it may stand in `__main__`."""
    try:
        return deployed(workflow)
    except NotImportable:
        return _described(workflow, "", (), "")


async def merge(store: Store, workflows: Sequence[DeployedWorkflow]) -> Deployment:
    """Add workflows to what should run, in place of those of the same name; the others stay. Their topics are there then.

    Raises StatusRenumbered, PartitionsChanged, TopicMismatch: nothing was written.
    """
    while True:
        current = await store.deployment()
        before = {workflow.name: workflow for workflow in current.workflows}
        merged = {workflow.name: _kept(before.get(workflow.name), workflow) for workflow in workflows}
        target = tuple({**before, **merged}.values())  # in the order first deployed
        for workflow in target:
            _check_partitions(before.get(workflow.name), workflow)
        await store.prepare(_topics(target))  # also of what is deployed already: the stream may be another than before
        if target == current.workflows:
            return current
        try:
            return await store.deploy(current.version, target)
        except DeploymentConflict:
            continue


def _kept(before: DeployedWorkflow | None, workflow: DeployedWorkflow) -> DeployedWorkflow:
    """The workflow with what operators have set. Whoever is about to scale it begins again."""
    if before is None:
        return workflow
    scaled = {group: shards for group, shards in before.scaled.items() if group in workflow.groups}
    superseded = [code for code in (*before.superseded, before.code) if code and code != workflow.code]
    return msgspec.structs.replace(workflow, scaled=scaled, superseded=tuple(superseded[-SUPERSEDED:]))


def _check_partitions(before: DeployedWorkflow | None, workflow: DeployedWorkflow) -> None:
    """The store checks it too, but by then there would be topics of the wrong number."""
    if before is not None and before.partitions != workflow.partitions:
        raise PartitionsChanged(workflow.name, before.partitions, workflow.partitions)


def _topics(workflows: Sequence[DeployedWorkflow]) -> dict[Topic, int]:
    """The topics that have consumers, and how many partitions they need."""
    return {
        status_topic(workflow.name, status): workflow.partitions
        for workflow in workflows
        for status in workflow.statuses.values()
        if consumer_group(workflow.name, status) in workflow.groups
    }


def _described(workflow: AnyWorkflow, reference: str, python_path: tuple[str, ...], code: str) -> DeployedWorkflow:
    steps, statuses = workflow.checked().steps, cast(type[Status], workflow.statuses)
    groups = {consumer_group(workflow.name, step.status.value): step.shards for step in steps}
    return DeployedWorkflow(
        name=workflow.name,
        reference=reference,
        python_path=python_path,
        code=code,
        statuses={status.name: status.value for status in statuses},
        partitions=workflow.partitions,
        groups={**groups, **dict.fromkeys(FOR_ALL, 1)},
    )
