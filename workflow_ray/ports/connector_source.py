"""Outside logs that workflows take messages from."""

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from workflow_ray.ports.clock import Clock
from workflow_ray.records import ConnectorEvent


class SourceReader(Protocol):
    """A source that is open.

    It keeps no cursor: whoever receives names its offsets. Every method may raise StoreUnavailable.
    """

    @property
    def source_id(self) -> str:
        """Names the log that the offsets count in, without a password."""
        ...

    async def starts(self) -> dict[int, int]:
        """Of each partition that there is by now the offset of its first message."""
        ...

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Of each of these partitions the offset that its next message gets."""
        ...

    async def receive(
        self, offsets: Mapping[int, int], *, limit: int, wait: float
    ) -> list[ConnectorEvent]:
        """Messages of the partitions named, each from the offset given on, ascending within a
        partition.

        At most `limit` in all, and not much more than 8 MiB of data, shared fairly. Waits up to
        `wait` seconds for the first. Where messages are gone it goes on from the first that is
        there, and logs an error.
        """
        ...

    async def lag(self, offsets: Mapping[int, int]) -> int:
        """How many messages stand at or after the offsets, in the partitions named."""
        ...


class ConnectorSource(Protocol):
    """Names an outside log, as a definition does. Nothing is opened before it is asked for."""

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        """The log, open.

        events: the deployment's URL for events, where a source that names no server of its own is
        found.
        """
        ...
