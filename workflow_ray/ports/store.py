"""The store that a process works with: one object for everything that its URLs name."""

from typing import Protocol, runtime_checkable

from workflow_ray.ports.event_streamer import EventStreamer, OutboxMover, Trimmer
from workflow_ray.ports.record_store import RecordStore
from workflow_ray.ports.role_scheduler import RoleScheduler
from workflow_ray.ports.timeout_store import TimeoutStore


class Records(RecordStore, RoleScheduler, Protocol):
    """Runs, and the roles that write them: a fence is stored with what it guards."""

    @property
    def store_id(self) -> str:
        """The id that was chosen when the store was made. A copy of the store has the same id."""
        ...


class Store(Records, EventStreamer, TimeoutStore, Protocol):
    """All ports together. One server may hold everything, or several may."""


@runtime_checkable
class WholeStore(EventStreamer, TimeoutStore, OutboxMover, Trimmer, Protocol):
    """A record store that holds events and timeouts too, so that one transaction can span them."""


_OPTIONAL: tuple[type, ...] = (OutboxMover, Trimmer)
STORE_PORTS: tuple[type, ...] = (Store, *_OPTIONAL)
"""The ports that a store implements: Store always, each of the others only where it applies."""


def ports_of(store: Store) -> tuple[type, ...]:
    """Return those of STORE_PORTS that the store implements."""
    return (Store, *(port for port in _OPTIONAL if isinstance(store, port)))
