"""Definitions: workflows, their statuses and functions, and what these take and return."""

from workflow_ray.definition.breaker import Breaker
from workflow_ray.definition.callback import Callback
from workflow_ray.definition.cancelled import CancelledEvent
from workflow_ray.definition.children import ChildFunction, Children, ChildrenFunction
from workflow_ray.definition.effects import ChildStart, Effects
from workflow_ray.definition.flow import FlowControl, Rate
from workflow_ray.definition.function import AnyFunction, RunFunction
from workflow_ray.definition.graph import Graph
from workflow_ray.definition.halt import Cancel, Fatal, Halt, Pause, Repeat, Stay
from workflow_ray.definition.handlers import Connector, Hook, Overlap, Schedule, Scrubber
from workflow_ray.definition.middleware import FunctionCall, FunctionKind, Middleware, Proceed
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.reference import (
    MAIN,
    by_name,
    code_at,
    code_of,
    is_workflow,
    known_as,
    load,
    python_path_of,
    reference_of,
)
from workflow_ray.definition.resources import Resource, resource
from workflow_ray.definition.retention import Retention
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import Run
from workflow_ray.definition.source import defined_at, module_path
from workflow_ray.definition.status import Status
from workflow_ray.definition.step import BatchStep, Step
from workflow_ray.definition.timeout_function import TimeoutFunction
from workflow_ray.definition.workflow import Workflow

__all__ = [
    "MAIN",
    "AnyFunction",
    "BatchStep",
    "Breaker",
    "Callback",
    "Cancel",
    "CancelledEvent",
    "ChildFunction",
    "ChildStart",
    "Children",
    "ChildrenFunction",
    "Connector",
    "Effects",
    "Fatal",
    "FlowControl",
    "FunctionCall",
    "FunctionKind",
    "Graph",
    "Halt",
    "Hook",
    "Middleware",
    "Overlap",
    "Pause",
    "Proceed",
    "Rate",
    "RayOptions",
    "Repeat",
    "Resource",
    "Retention",
    "Retry",
    "Run",
    "RunFunction",
    "Schedule",
    "Scrubber",
    "Status",
    "Stay",
    "Step",
    "TimeoutFunction",
    "Workflow",
    "by_name",
    "code_at",
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
