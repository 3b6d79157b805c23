"""The roles of a deployment, and the definitions that they need."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from workflow_ray.definition import RayOptions, Workflow, load
from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.errors import NotImportable
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    DeployedWorkflow,
    Deployment,
    Role,
    connector_group,
    consumer_group,
)
from workflow_ray.roles.functions import Functions

AnyWorkflow: TypeAlias = Workflow[Any, Any]
FOR_ALL = (PUBLISHER, SWEEPER)
"""Groups that a deployment has once, whatever workflows it has."""


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


def has_time_limit(role: Role, workflows: Sequence[AnyWorkflow]) -> bool:
    """Whether a function that the role runs has a time limit, so that it may be abandoned."""
    return any(
        Functions(workflow, status).may_abandon_calls
        for workflow in workflows
        for status in workflow.checked().statuses_with_functions
        if consumer_group(workflow.name, status.value) == role.group
    )


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


def ray_options_of(role: Role, workflows: Sequence[AnyWorkflow]) -> RayOptions:
    """Return what the role's actor asks of a Ray cluster, as its step or connector says."""
    for workflow in workflows:
        graph = workflow.checked()
        for step in graph.steps:
            if step.ray and consumer_group(workflow.name, step.status.value) == role.group:
                return step.ray
        for connector in graph.connectors:
            if connector.ray and connector_group(workflow.name, connector.name) == role.group:
                return connector.ray
    return NOTHING
