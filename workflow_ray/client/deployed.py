"""Finds workflows in a deployment, without their definitions."""

from workflow_ray.errors import UnknownWorkflow
from workflow_ray.records import DeployedWorkflow, Deployment


def find_deployed(deployment: Deployment, name: str) -> DeployedWorkflow:
    """Find the workflow of that name. Raises UnknownWorkflow."""
    for workflow in deployment.workflows:
        if workflow.name == name:
            return workflow
    raise UnknownWorkflow(name, sorted(workflow.name for workflow in deployment.workflows))
