"""What an adapter implements: typed protocols, async and batch-first. The docstrings are the contract."""

from workflow_ray.ports.adapters import Adapter, adapter_for, scheme_of
from workflow_ray.ports.clock import Clock, SystemClock
from workflow_ray.ports.event_streamer import EventStreamer, OutboxMover
from workflow_ray.ports.persistence import FIRST_PAUSE, LONGEST_PAUSE, persist
from workflow_ray.ports.record_store import RecordStore, RoleScheduler
from workflow_ray.ports.store import OpenStore, Store

__all__ = [
    "FIRST_PAUSE",
    "LONGEST_PAUSE",
    "Adapter",
    "Clock",
    "EventStreamer",
    "OpenStore",
    "OutboxMover",
    "RecordStore",
    "RoleScheduler",
    "Store",
    "SystemClock",
    "adapter_for",
    "persist",
    "scheme_of",
]
