"""From a deployment to roles at work: the same under asyncio, under Ray and under a fake clock."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

from workflow_ray.definition import Resource, Status, Workflow, code_of, load, python_path_of, reference_of
from workflow_ray.errors import DeploymentConflict, NotImportable
from workflow_ray.ports import Clock, Store, persist
from workflow_ray.records import PUBLISHER, DeployedWorkflow, Deployment, Role, Taken, consumer_group
from workflow_ray.roles.consumer import Consumer, StepWork
from workflow_ray.roles.publisher import MovingPublisher

AnyWorkflow: TypeAlias = Workflow[Any, Any]
Replaced: TypeAlias = Mapping[Resource[Any], object]


class RoleProcess(Protocol):
    """What a role does once it is taken."""

    @property
    def settled(self) -> bool:
        """True where it leaves nothing in doubt behind."""
        ...

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
    """Every role that these workflows need, the publisher among them."""
    groups = {group: shards for workflow in workflows for group, shards in workflow.groups.items()}
    return [Role(group, shard, shards) for group, shards in groups.items() for shard in range(1, shards + 1)]


async def merge(store: Store, workflows: Sequence[DeployedWorkflow]) -> Deployment:
    """Add workflows to what should run, in place of those of the same name; the others stay.

    Raises StatusRenumbered, PartitionsChanged: nothing was written.
    """
    while True:
        current = await store.deployment()
        target = tuple({workflow.name: workflow for workflow in (*current.workflows, *workflows)}.values())  # in the order first deployed
        if target == current.workflows:
            return current
        try:
            return await store.deploy(current.version, target)
        except DeploymentConflict:
            continue


async def host(role: Role, deployment: Deployment, store: Store, clock: Clock, stop: asyncio.Event) -> None:
    """Take the role and work at it until `stop`, with the definitions that the deployment names.

    Raises RoleLost, RoleRetired: leave for good; NotImportable, InvalidDefinition; anything else: it crashed.
    """
    needed = [workflow for workflow in deployment.workflows if role.group in workflow.groups and role.group != PUBLISHER]
    definitions = [load(workflow.reference, workflow.python_path) for workflow in needed]
    await play(role, definitions, store, clock, stop)


async def play(
    role: Role,
    workflows: Sequence[AnyWorkflow],
    store: Store,
    clock: Clock,
    stop: asyncio.Event,
    *,
    replaced: Replaced | None = None,
) -> None:
    """Take the role and work at it until `stop`. Released only if nothing is left in doubt. Raises RoleLost, RoleRetired."""
    taken = await persist(lambda: store.take(role), clock, role.name)
    process = role_process(role, taken, workflows, store, clock, replaced or {})
    await process.run(stop)
    if process.settled:
        await store.release(taken.fence)


def role_process(role: Role, taken: Taken, workflows: Sequence[AnyWorkflow], store: Store, clock: Clock, replaced: Replaced) -> RoleProcess:
    """What the role does, from its group."""
    if role.group == PUBLISHER:
        return MovingPublisher(taken.fence, store, clock)
    workflow, status = _work_of(role, workflows)
    return Consumer(StepWork(role, workflow, status, replaced), taken, store, store, clock)


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
        groups={**groups, PUBLISHER: 1},
    )
