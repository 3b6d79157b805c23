"""From a deployment to roles at work: the same under asyncio, under Ray and under a fake clock."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from workflow_ray.definition import Resource, Status, Workflow, load
from workflow_ray.errors import NotImportable
from workflow_ray.ports import Clock, OutboxMover, Store
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    DeployedWorkflow,
    Deployment,
    Fence,
    Role,
    consumer_group,
)
from workflow_ray.roles.consumer import Consumer, StepWork
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.publisher import MovingPublisher, SendingPublisher
from workflow_ray.roles.sweeper import Sweeper
from workflow_ray.runtime.mixed import keeps_timeouts_apart

AnyWorkflow: TypeAlias = Workflow[Any, Any]
Replaced: TypeAlias = Mapping[Resource[Any], object]

FOR_ALL = (PUBLISHER, SWEEPER)
"""Groups that a deployment has once, whatever its workflows."""


class RoleProcess(Protocol):
    """What a role does once it is acquired."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish what is in hand. Raises RoleLost."""
        ...


def roles_of(workflows: Sequence[DeployedWorkflow]) -> list[Role]:
    """Every role that these workflows need, those for all of them included."""
    groups = {group: workflow.shards(group) for workflow in workflows for group in workflow.groups}
    return [role for group, shards in groups.items() for role in group_roles(group, shards)]


def own_groups(workflow: DeployedWorkflow) -> list[str]:
    """The groups of the workflow's own roles, without those that a deployment has once."""
    return [group for group in workflow.groups if group not in FOR_ALL]


def group_roles(group: str, shards: int) -> list[Role]:
    """The roles of a group that has that many shards."""
    return [Role(group, shard, shards) for shard in range(1, shards + 1)]


def definitions(role: Role, deployment: Deployment) -> list[AnyWorkflow]:
    """Those that the role needs. Raises NotImportable, InvalidDefinition."""
    return [
        _loaded(workflow) for workflow in deployment.workflows if role.group in own_groups(workflow)
    ]


def _loaded(workflow: DeployedWorkflow) -> AnyWorkflow:
    """The workflow's definition. Raises NotImportable, with a way out, and InvalidDefinition."""
    name = workflow.name
    remove = f"or remove it: `workflow-ray undeploy {name}`"
    if workflow.reference.endswith(":"):
        why = (
            f"it was deployed by a script, or no name of its module ({workflow.reference[:-1]}) is"
            " bound to it, so other processes can't import it"
        )
        raise NotImportable(f"workflow {name!r}", f"{why}. Deploy it from a module, {remove}")
    try:
        return load(workflow.reference, workflow.python_path)
    except NotImportable as error:
        raise NotImportable(
            f"workflow {name!r}", f"{error}. Put it back, deploy it again, {remove}"
        ) from error


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
    in_flight: InFlight | None = None,
) -> None:
    """Run a role that was acquired until `stop`, then finish what is in hand: the role may be
    released then.

    observation: Shared by the roles of this process and event loop.
    in_flight: Shared by the roles of this process.

    Raises RoleLost: leave for good; anything else: it crashed.
    """
    process = role_process(
        role, fence, workflows, store, clock, replaced or {}, observation, in_flight
    )
    await process.run(stop)


def role_process(
    role: Role,
    fence: Fence,
    workflows: Sequence[AnyWorkflow],
    store: Store,
    clock: Clock,
    replaced: Replaced,
    observation: Observation | None = None,
    in_flight: InFlight | None = None,
) -> RoleProcess:
    """What the role does, from its group."""
    if role.group == SWEEPER:
        return Sweeper(fence, store, store, clock)
    if role.group == PUBLISHER and isinstance(store, OutboxMover):
        return MovingPublisher(fence, store, clock, timeouts_apart=keeps_timeouts_apart(store))
    if role.group == PUBLISHER:
        return SendingPublisher(fence, store, clock, timeouts_apart=keeps_timeouts_apart(store))
    workflow, status = _work_of(role, workflows)
    return Consumer(
        StepWork(role, workflow, status, replaced),
        fence,
        store,
        store,
        clock,
        observation,
        in_flight,
    )


def _work_of(role: Role, workflows: Sequence[AnyWorkflow]) -> tuple[AnyWorkflow, Status]:
    for workflow in workflows:
        for step in workflow.checked().steps:
            if consumer_group(workflow.name, step.status.value) == role.group:
                return workflow, step.status
    raise NotImportable(
        role.group, "the definition has no step for this group; deploy what it has now"
    )
