"""Sources: outside logs whose messages connectors receive."""

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from workflow_ray.ports.clock import Clock
from workflow_ray.records import ConnectorEvent


class SourceReader(Protocol):
    """An open source.

    It keeps no cursor: each call names its offsets. Every method may raise StoreUnavailable.
    """

    @property
    def source_id(self) -> str:
        """Names the log that the offsets count in, without a password."""
        ...

    async def starts(self) -> dict[int, int]:
        """Return the offset of the first message of each partition that exists now."""
        ...

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the offset that the next message of each partition will have, or a lower one that
        is above those of all messages. Partitions whose end is not known are left out.
        """
        ...

    async def receive(
        self, offsets: Mapping[int, int], *, limit: int, wait: float
    ) -> list[ConnectorEvent]:
        """Read messages of partitions, each from the given offset, ascending within a partition.

        If messages at an offset are gone, it goes on from the first one that exists, and logs an
        error.

        Args:
            offsets: For each partition to read, the offset to read from.
            limit: The most messages in all. They also have not much more than 8 MiB of data. The
                partitions share both limits fairly.
            wait: The most seconds to wait for the first message.
        """
        ...

    async def lag(self, offsets: Mapping[int, int]) -> int:
        """Count the messages at or after the given offset of each partition."""
        ...


@runtime_checkable
class PositionListener(Protocol):
    """A SourceReader that is told how far its connector is, because its log is trimmed by that."""

    async def committed(self, offsets: Mapping[int, int]) -> None:
        """Take note of committed positions. They may be reported late, or again.

        Raises StoreUnavailable: they are reported again, with later ones.
        """
        ...


class ConnectorSource(Protocol):
    """Names an outside log, in a definition. It opens nothing before it is asked to."""

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        """Return the log, not yet open: `async with` opens it.

        Args:
            clock: Measures the waits.
            events: The deployment's URL for events. A source that does not name a server is there.
        """
        ...
