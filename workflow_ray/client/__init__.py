"""What a program uses to trigger runs, read them and wait for them."""

from workflow_ray.client.bulk import BulkJob
from workflow_ray.client.bulk_progress import BulkPreview, BulkProgress
from workflow_ray.client.client import Client
from workflow_ray.client.dead_letters import DeadLetter, DeadLetterContent, DeadLetters
from workflow_ray.client.flow_limits import StatusLimits
from workflow_ray.client.handle import Handle
from workflow_ray.client.history import Entry
from workflow_ray.client.schedules import ScheduleInfo
from workflow_ray.client.triggers import Trigger, TriggerOutcome

__all__ = [
    "BulkJob",
    "BulkPreview",
    "BulkProgress",
    "Client",
    "DeadLetter",
    "DeadLetterContent",
    "DeadLetters",
    "Entry",
    "Handle",
    "ScheduleInfo",
    "StatusLimits",
    "Trigger",
    "TriggerOutcome",
]
