"""From a deployment to roles at work: the same under asyncio, under Ray and under a fake clock."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

import msgspec

from workflow_ray.definition import Resource, Status, Workflow, code_of, load, python_path_of, reference_of
from workflow_ray.errors import DeploymentConflict, NotImportable, PartitionsChanged
from workflow_ray.ports import Clock, OutboxMover, Store
from workflow_ray.records import PUBLISHER, SWEEPER, DeployedWorkflow, Deployment, Fence, Role, Topic, consumer_group, status_topic
from workflow_ray.records.deployment import SUPERSEDED
from workflow_ray.roles.consumer import Consumer, StepWork
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.publisher import MovingPublisher, SendingPublisher
from workflow_ray.roles.sweeper import Sweeper

AnyWorkflow: TypeAlias = Workflow[Any, Any]
Replaced: TypeAlias = Mapping[Resource[Any], object]

FOR_ALL = (PUBLISHER, SWEEPER)
"""Groups that a deployment has once, whatever its workflows."""


class RoleProcess(Protocol):
    """What a role does once it is acquired."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish what is in hand. Raises RoleLost."""
        ...


def deployed(workflow: AnyWorkflow) -> DeployedWorkflow:
    """The workflow as a deployment keeps it. Raises InvalidDefinition; NotImportable: other processes couldn't import it."""
    return _described(workflow, reference_of(workflow), python_path_of(workflow), code_of(workflow))


def deployed_here(workflow: AnyWorkflow) -> DeployedWorkflow:
    """The same for roles of this process alone, which need not import the workflow: it may stand in `__main__`."""
    try:
        return deployed(workflow)
    except NotImportable:
        return _described(workflow, "", (), "")


def roles_of(workflows: Sequence[DeployedWorkflow]) -> list[Role]:
    """Every role that these workflows need, those for all of them included."""
    groups = {group: workflow.shards(group) for workflow in workflows for group in workflow.groups}
    return [Role(group, shard, shards) for group, shards in groups.items() for shard in range(1, shards + 1)]


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


def definitions(role: Role, deployment: Deployment) -> list[AnyWorkflow]:
    """Those that the role needs. Raises NotImportable, InvalidDefinition."""
    needed = [workflow for workflow in deployment.workflows if role.group in workflow.groups and role.group not in FOR_ALL]
    return [load(workflow.reference, workflow.python_path) for workflow in needed]


async def run_role(
    role: Role,
    fence: Fence,
    workflows: Sequence[AnyWorkflow],
    store: Store,
    clock: Clock,
    stop: asyncio.Event,
    *,
    replaced: Replaced | None = None,
    observation: Observation | None = None,
) -> None:
    """Run a role that was acquired until `stop`, then finish what is in hand: the role may be released then.

    observation: Shared by the roles of this process and event loop.

    Raises RoleLost: leave for good; anything else: it crashed.
    """
    await role_process(role, fence, workflows, store, clock, replaced or {}, observation).run(stop)


def role_process(
    role: Role,
    fence: Fence,
    workflows: Sequence[AnyWorkflow],
    store: Store,
    clock: Clock,
    replaced: Replaced,
    observation: Observation | None = None,
) -> RoleProcess:
    """What the role does, from its group."""
    if role.group == SWEEPER:
        return Sweeper(fence, store, store, clock)
    if role.group == PUBLISHER and isinstance(store, OutboxMover):
        return MovingPublisher(fence, store, clock, timeouts_apart=_keeps_timeouts_apart(store))
    if role.group == PUBLISHER:
        return SendingPublisher(fence, store, clock, timeouts_apart=_keeps_timeouts_apart(store))
    workflow, status = _work_of(role, workflows)
    return Consumer(StepWork(role, workflow, status, replaced), fence, store, store, clock, observation)


def _keeps_timeouts_apart(store: Store) -> bool:
    """Whether its timeouts are in another store than its records."""
    return bool(getattr(store, "timeouts_apart", False))


def _work_of(role: Role, workflows: Sequence[AnyWorkflow]) -> tuple[AnyWorkflow, Status]:
    for workflow in workflows:
        for step in workflow.checked().steps:
            if consumer_group(workflow.name, step.status.value) == role.group:
                return workflow, step.status
    raise NotImportable(role.group, "the definition has no step for this group; deploy what it has now")


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
