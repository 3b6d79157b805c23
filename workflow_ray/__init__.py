"""workflow_ray: typed, durable, event-driven workflows, from one process to a Ray cluster."""

from workflow_ray.client import (
    Client,
    DeadLetter,
    DeadLetterContent,
    DeadLetters,
    Entry,
    Handle,
    ScheduleInfo,
    Trigger,
    TriggerOutcome,
)
from workflow_ray.definition import (
    Cancel,
    Children,
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
from workflow_ray.records import Cause, ConnectorEvent, RunState
from workflow_ray.runtime import Runtime, TransitionSource, connect
from workflow_ray.sources import IteratedSource, source

__all__ = [
    "Cancel",
    "Cause",
    "Children",
    "Client",
    "ConnectorEvent",
    "DeadLetter",
    "DeadLetterContent",
    "DeadLetters",
    "Entry",
    "Fatal",
    "Handle",
    "IteratedSource",
    "Pause",
    "Repeat",
    "Retry",
    "Run",
    "RunState",
    "Runtime",
    "ScheduleInfo",
    "Status",
    "Stay",
    "TransitionSource",
    "Trigger",
    "TriggerOutcome",
    "Workflow",
    "WorkflowError",
    "connect",
    "resource",
    "source",
]
