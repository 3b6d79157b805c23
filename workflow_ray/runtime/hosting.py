"""The roles of a deployment, and how each of them is run: under asyncio, Ray or a fake clock."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from workflow_ray.client import Client
from workflow_ray.client.writer import EventKeys
from workflow_ray.definition import Connector, Resource, Schedule, Status, Workflow, load
from workflow_ray.errors import NotImportable
from workflow_ray.ports import Clock, ConnectorSource, OutboxMover, Store
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    DeployedWorkflow,
    Deployment,
    Fence,
    Role,
    connector_group,
    consumer_group,
    hooks_group,
    scheduler_group,
    timeout_group,
)
from workflow_ray.roles.connectors import Clients, ConnectorRole, ConnectorWork
from workflow_ray.roles.consumer import Consumer, StepWork
from workflow_ray.roles.hooks import HooksRole, HooksWork
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.publisher import MovingPublisher, SendingPublisher
from workflow_ray.roles.scheduler import Scheduler
from workflow_ray.roles.sweeper import Sweeper
from workflow_ray.roles.timeouts import TimeoutConsumer, TimeoutWork
from workflow_ray.runtime.mixed import keeps_timeouts_apart

AnyWorkflow: TypeAlias = Workflow[Any, Any]
Replaced: TypeAlias = Mapping[Resource[Any], object]
Sources: TypeAlias = Mapping[str, ConnectorSource]
"""Sources that replace those of connectors, by the connector's group."""

FOR_ALL = (PUBLISHER, SWEEPER)
"""Groups that a deployment has once, whatever workflows it has."""


class RoleProcess(Protocol):
    """The work of a role that was acquired."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish the work in hand. Raises RoleLost."""
        ...


def roles_of(workflows: Sequence[DeployedWorkflow]) -> list[Role]:
    """Return every role that these workflows need, including those that all of them share."""
    groups = {group: workflow.shards(group) for workflow in workflows for group in workflow.groups}
    return [role for group, shards in groups.items() for role in group_roles(group, shards)]


def own_groups(workflow: DeployedWorkflow) -> list[str]:
    """Return the groups of the workflow's own roles, without those that all workflows share."""
    return [group for group in workflow.groups if group not in FOR_ALL]


def group_roles(group: str, shards: int) -> list[Role]:
    """Return the roles of a group that has that many shards."""
    return [Role(group, shard, shards) for shard in range(1, shards + 1)]


def load_definitions(role: Role, deployment: Deployment) -> list[AnyWorkflow]:
    """Load the definitions that the role needs. Raises NotImportable, InvalidDefinition."""
    return [
        load_deployed(workflow)
        for workflow in deployment.workflows
        if role.group in own_groups(workflow)
    ]


def load_deployed(workflow: DeployedWorkflow) -> AnyWorkflow:
    """Load the workflow's definition. Raises NotImportable, with a way out, InvalidDefinition."""
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
    events: str = "",
) -> None:
    """Run a role that was acquired until `stop`, then finish the work in hand. The role may be
    released then.

    Args:
        role: The role.
        fence: Proof that this process acquired it last.
        workflows: Include the one whose step it runs.
        store: Holds records, events and timeouts.
        clock: Measures waits.
        stop: Set when the role is to end.
        replaced: Values that replace resources, in tests.
        observation: Shared by the roles of this process and event loop.
        in_flight: Shared by the roles of this process.
        events: The deployment's URL for events, where a connector's source that names no server is.

    Raises:
        RoleLost: Another process has the role. Any other error: the role crashed.
    """
    process = role_process(
        role, fence, workflows, store, clock, replaced or {}, observation, in_flight, events
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
    events: str = "",
    sources: Sources | None = None,
) -> RoleProcess:
    """Make the work of a role, which depends on its group."""
    if role.group == SWEEPER:
        return Sweeper(fence, store, store, clock)
    if role.group == PUBLISHER and isinstance(store, OutboxMover):
        return MovingPublisher(fence, store, clock, timeouts_apart=keeps_timeouts_apart(store))
    if role.group == PUBLISHER:
        return SendingPublisher(fence, store, clock, timeouts_apart=keeps_timeouts_apart(store))
    if found := _connector_of(role, workflows):
        workflow, connector = found
        if sources and role.group in sources:
            connector = replace(connector, source=sources[role.group])
        clients = _clients(workflow, connector, fence, store, clock)
        work = ConnectorWork(role, workflow, connector, clients, events, replaced)
        return ConnectorRole(work, fence, store, clock, observation, in_flight)
    if hooked := _hooked_of(role, workflows):
        hooks = HooksWork(role, hooked, replaced)
        return HooksRole(hooks, fence, store, store, clock, observation, in_flight)
    if timeout_work := _timeout_work_of(role, workflows):
        return TimeoutConsumer(timeout_work, fence, store, store, clock)
    if scheduled := _schedule_of(role, workflows):
        return Scheduler(fence, *scheduled, store, clock, in_flight)
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


def _connector_of(
    role: Role, workflows: Sequence[AnyWorkflow]
) -> tuple[AnyWorkflow, Connector] | None:
    for workflow in workflows:
        for connector in workflow.checked().connectors:
            if connector_group(workflow.name, connector.name) == role.group:
                return workflow, connector
    return None


def _hooked_of(role: Role, workflows: Sequence[AnyWorkflow]) -> AnyWorkflow | None:
    for workflow in workflows:
        if workflow.checked().hooks and hooks_group(workflow.name) == role.group:
            return workflow
    return None


def _clients(
    workflow: AnyWorkflow, connector: Connector, fence: Fence, store: Store, clock: Clock
) -> Clients:
    client: Client[Any, Any] = Client(workflow, store, clock, fence=fence)
    return lambda event_id: client.with_default_keys(EventKeys(connector.name, event_id))


def _timeout_work_of(role: Role, workflows: Sequence[AnyWorkflow]) -> TimeoutWork | None:
    for workflow in workflows:
        for status in workflow.checked().statuses_with_functions:
            if timeout_group(workflow.name, status.value) == role.group:
                return TimeoutWork(role, workflow.name, status.value, workflow.partitions)
    return None


def _schedule_of(
    role: Role, workflows: Sequence[AnyWorkflow]
) -> tuple[AnyWorkflow, Schedule] | None:
    for workflow in workflows:
        for schedule in workflow.checked().schedules:
            if scheduler_group(workflow.name, schedule.name) == role.group:
                return workflow, schedule
    return None


def _work_of(role: Role, workflows: Sequence[AnyWorkflow]) -> tuple[AnyWorkflow, Status]:
    for workflow in workflows:
        for status in workflow.checked().statuses_with_functions:
            if consumer_group(workflow.name, status.value) == role.group:
                return workflow, status
    raise NotImportable(
        role.group,
        "the definition has no function or schedule for this group; deploy what it has now",
    )
