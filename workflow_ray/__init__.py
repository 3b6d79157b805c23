"""workflow_ray: typed, durable, event-driven workflows, from one process to a Ray cluster."""

from workflow_ray.client import Client, Entry, Handle, Trigger, TriggerOutcome
from workflow_ray.definition import (
    Cancel,
    Fatal,
    Pause,
    Repeat,
    Retry,
    Run,
    Status,
    Stay,
    Workflow,
    resource,
)
from workflow_ray.errors import WorkflowError
from workflow_ray.records import Cause, RunState
from workflow_ray.runtime import Runtime, connect

__all__ = [
    "Cancel",
    "Cause",
    "Client",
    "Entry",
    "Fatal",
    "Handle",
    "Pause",
    "Repeat",
    "Retry",
    "Run",
    "RunState",
    "Runtime",
    "Status",
    "Stay",
    "Trigger",
    "TriggerOutcome",
    "Workflow",
    "WorkflowError",
    "connect",
    "resource",
]
