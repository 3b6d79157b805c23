"""What an adapter implements: typed protocols, async and batch-first. The docstrings are the contract."""

from workflow_ray.ports.adapters import Adapter, adapter_for, scheme_of
from workflow_ray.ports.clock import Clock, SystemClock
from workflow_ray.ports.event_streamer import EventStreamer, OutboxMover
from workflow_ray.ports.record_store import RecordStore, RoleScheduler
from workflow_ray.ports.store import OpenStore, Store

__all__ = [
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
    "scheme_of",
]
