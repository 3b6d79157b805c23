"""A store that holds everything at once, as the embedded ones do."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from workflow_ray.ports.event_streamer import EventStreamer, OutboxMover
from workflow_ray.ports.record_store import RecordStore, RoleScheduler


class Store(RecordStore, EventStreamer, RoleScheduler, OutboxMover, Protocol):
    """Records, events and roles in one place, so that a transaction can span them."""

    @property
    def store_id(self) -> str: ...


OpenStore: TypeAlias = AbstractAsyncContextManager[Store]
