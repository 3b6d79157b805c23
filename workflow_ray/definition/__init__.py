"""Definitions: workflows, their statuses and steps, and what steps take and return."""

from workflow_ray.definition.graph import Graph
from workflow_ray.definition.halt import Cancel, Fatal, Halt, Pause, Repeat, Stay
from workflow_ray.definition.reference import (
    MAIN,
    by_name,
    code_of,
    is_workflow,
    known_as,
    load,
    python_path_of,
    reference_of,
)
from workflow_ray.definition.resources import Resource, resource
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import Run
from workflow_ray.definition.source import defined_at, module_path
from workflow_ray.definition.status import Status
from workflow_ray.definition.step import Step
from workflow_ray.definition.workflow import Workflow

__all__ = [
    "MAIN",
    "Cancel",
    "Fatal",
    "Graph",
    "Halt",
    "Pause",
    "Repeat",
    "Resource",
    "Retry",
    "Run",
    "Status",
    "Stay",
    "Step",
    "Workflow",
    "by_name",
    "code_of",
    "defined_at",
    "is_workflow",
    "known_as",
    "load",
    "module_path",
    "python_path_of",
    "reference_of",
    "resource",
]
