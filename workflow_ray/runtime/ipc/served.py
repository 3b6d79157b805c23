"""What a server serves: the methods of its store, and methods of its own."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from workflow_ray.ports import OutboxMover, Store, Trimmer
from workflow_ray.runtime.ipc.about import About
from workflow_ray.runtime.mixed import keeps_timeouts_apart
from workflow_ray.runtime.process_status import ProcessStatus

Process: TypeAlias = Callable[[], ProcessStatus | None]
"""Returns the status of the server's process; None: it runs no roles, as on Ray."""


def no_status() -> None:
    """The Process of a server that runs no roles."""


class ServerMethods(Protocol):
    """The methods that a server adds to those of its store."""

    async def about(self) -> About:
        """Describe the store."""
        ...

    async def process(self) -> ProcessStatus | None:
        """Return the status of the server's process; None: it runs no roles."""
        ...


class Served:
    """A store with the methods that its server adds."""

    def __init__(self, store: Store, process: Process = no_status) -> None:
        self.store = store
        self._process = process

    async def about(self) -> About:
        """See ServerMethods."""
        return About(
            store_id=self.store.store_id,
            stream_id=self.store.stream_id,
            moves=isinstance(self.store, OutboxMover),
            trims=isinstance(self.store, Trimmer),
            timeouts_apart=keeps_timeouts_apart(self.store),
        )

    async def process(self) -> ProcessStatus | None:
        """See ServerMethods."""
        return self._process()
