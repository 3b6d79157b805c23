"""What a process works with: everything that its URLs name, as one object."""

from typing import Protocol, runtime_checkable

from workflow_ray.ports.event_streamer import EventStreamer, OutboxMover, Trimmer
from workflow_ray.ports.record_store import RecordStore, RoleScheduler
from workflow_ray.ports.timeout_store import TimeoutStore


class Records(RecordStore, RoleScheduler, Protocol):
    """Runs and the roles that write them: fences live with what they guard."""

    @property
    def store_id(self) -> str:
        """Chosen when the store was made; a copy of it has the same."""
        ...


class Store(Records, EventStreamer, TimeoutStore, Protocol):
    """Every port, whether one server holds them all or several do."""


@runtime_checkable
class WholeStore(EventStreamer, TimeoutStore, OutboxMover, Trimmer, Protocol):
    """What a record store is where it holds events and timeouts too, so that a transaction can span
    them.
    """


_OPTIONAL: tuple[type, ...] = (OutboxMover, Trimmer)
STORE_PORTS: tuple[type, ...] = (Store, *_OPTIONAL)
"""The ports that a store implements: Store always, each of the others only where it applies."""


def ports_of(store: Store) -> tuple[type, ...]:
    """Return those of STORE_PORTS that the store implements."""
    return (Store, *(port for port in _OPTIONAL if isinstance(store, port)))
