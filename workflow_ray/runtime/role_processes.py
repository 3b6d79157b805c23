"""The work of a role, as its group and the definitions say: under asyncio, Ray or a fake clock."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from workflow_ray.client import Client
from workflow_ray.client.writer import EventKeys
from workflow_ray.coding import coded
from workflow_ray.definition import Connector, Resource, Schedule, Status
from workflow_ray.definition.durations import seconds_of
from workflow_ray.errors import NotImportable
from workflow_ray.ports import Clock, ConnectorSource, OutboxMover, Store
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    Fence,
    Role,
    admission_group,
    bulk_group,
    connector_group,
    consumer_group,
    data_group,
    hooks_group,
    paused_retry_group,
    scheduler_group,
    timeout_group,
)
from workflow_ray.roles.admission import Admission
from workflow_ray.roles.bulk import BulkRole
from workflow_ray.roles.connectors import Clients, ConnectorRole, ConnectorWork
from workflow_ray.roles.consumer import Consumer
from workflow_ray.roles.data_deletion import DataRole, DataWork
from workflow_ray.roles.hooks import HooksRole, HooksWork
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.paused_retry import PausedRetry, PausedRetryWork
from workflow_ray.roles.publisher import MovingPublisher, SendingPublisher
from workflow_ray.roles.scheduler import Scheduler
from workflow_ray.roles.step_work import StepWork
from workflow_ray.roles.sweeper import Sweeper
from workflow_ray.roles.timeouts import TimeoutConsumer, TimeoutWork
from workflow_ray.runtime.deploying import describe_here
from workflow_ray.runtime.hosting import AnyWorkflow
from workflow_ray.runtime.mixed import keeps_timeouts_apart
from workflow_ray.runtime.transactional import transactions_for

Replaced: TypeAlias = Mapping[Resource[Any], object]
Sources: TypeAlias = Mapping[str, ConnectorSource]
"""Sources that replace those of connectors, by the connector's group."""


class RoleProcess(Protocol):
    """The work of a role that was acquired."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish the work in hand. Raises RoleLost."""
        ...


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
    records: str = "",
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
        records: The deployment's URL for records, where transactional steps write.

    Raises:
        RoleLost: Another process has the role. Any other error: the role crashed.
    """
    process = role_process(
        role,
        fence,
        workflows,
        store,
        clock,
        replaced or {},
        observation,
        in_flight,
        events,
        records=records,
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
    records: str = "",
) -> RoleProcess:
    """Make the work of a role, which depends on its group."""
    store = _coded(role, workflows, store)
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
    if aside := _aside_process(
        role, fence, workflows, store, clock, replaced, observation, in_flight
    ):
        return aside
    if timeout_work := _timeout_work_of(role, workflows):
        return TimeoutConsumer(timeout_work, fence, store, store, clock)
    if scheduled := _schedule_of(role, workflows):
        return Scheduler(fence, *scheduled, store, clock, in_flight)
    if control := _control_process(role, fence, workflows, store, clock):
        return control
    workflow, status = _work_of(role, workflows)
    transactions = transactions_for(workflow, status, records, store, clock)
    return Consumer(
        StepWork(role, workflow, status, replaced, transactions),
        fence,
        store,
        store,
        clock,
        observation,
        in_flight,
    )


def _coded(role: Role, workflows: Sequence[AnyWorkflow], store: Store) -> Store:
    """Return the store for the code of the workflow that the role works for."""
    found = [each for each in workflows if role.group.startswith(f"{each.name}-")]
    if len(found) > 1:  # such as orders and orders-1
        found = [each for each in found if role.group in describe_here(each).groups]
    for workflow in found:
        functions = workflow.checked().functions_for_children
        return coded(store, workflow, [function.child for function in functions])
    return store


def _aside_process(
    role: Role,
    fence: Fence,
    workflows: Sequence[AnyWorkflow],
    store: Store,
    clock: Clock,
    replaced: Replaced,
    observation: Observation | None,
    in_flight: InFlight | None,
) -> RoleProcess | None:
    """Make the work of a role that calls functions for runs beside their steps."""
    if hooked := _hooked_of(role, workflows):
        hooks = HooksWork(role, hooked, replaced)
        return HooksRole(hooks, fence, store, store, clock, observation, in_flight)
    if owner := _data_of(role, workflows):
        data = DataWork(role, owner, replaced)
        return DataRole(data, fence, store, clock, observation, in_flight)
    return None


def _control_process(
    role: Role, fence: Fence, workflows: Sequence[AnyWorkflow], store: Store, clock: Clock
) -> RoleProcess | None:
    """Make the work of a role that controls the runs of a workflow."""
    if retry_work := _paused_retry_work_of(role, workflows):
        return PausedRetry(retry_work, fence, store, clock)
    for workflow in workflows:
        if admission_group(workflow.name) == role.group:
            return Admission(fence, workflow.name, store, clock)
    if controlled := _bulk_of(role, workflows):
        return BulkRole(fence, controlled, store, clock)
    return None


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


def _paused_retry_work_of(role: Role, workflows: Sequence[AnyWorkflow]) -> PausedRetryWork | None:
    for workflow in workflows:
        if workflow.retry_paused is not None and paused_retry_group(workflow.name) == role.group:
            statuses = workflow.checked().statuses_with_functions
            first = seconds_of("retry_paused", workflow.retry_paused)
            numbers = tuple(status.value for status in statuses)
            return PausedRetryWork(workflow.name, numbers, first)
    return None


def _schedule_of(
    role: Role, workflows: Sequence[AnyWorkflow]
) -> tuple[AnyWorkflow, Schedule] | None:
    for workflow in workflows:
        for schedule in workflow.checked().schedules:
            if scheduler_group(workflow.name, schedule.name) == role.group:
                return workflow, schedule
    return None


def _bulk_of(role: Role, workflows: Sequence[AnyWorkflow]) -> AnyWorkflow | None:
    return next((each for each in workflows if bulk_group(each.name) == role.group), None)


def _data_of(role: Role, workflows: Sequence[AnyWorkflow]) -> AnyWorkflow | None:
    return next((each for each in workflows if data_group(each.name) == role.group), None)


def _work_of(role: Role, workflows: Sequence[AnyWorkflow]) -> tuple[AnyWorkflow, Status]:
    for workflow in workflows:
        for status in workflow.checked().statuses_with_functions:
            if consumer_group(workflow.name, status.value) == role.group:
                return workflow, status
    raise NotImportable(
        role.group,
        "the definition has no function or schedule for this group; deploy what it has now",
    )
