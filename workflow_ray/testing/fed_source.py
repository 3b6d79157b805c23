"""The source of a connector in a test, which the test feeds."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from workflow_ray.definition.arguments import shown
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock
from workflow_ray.records import ConnectorEvent
from workflow_ray_adapters.memory.source import Log, MemoryReader

Fed: TypeAlias = ConnectorEvent | bytes | tuple[str, bytes]
"""An event as a test feeds it: whole, its data alone, or its key and its data."""


class FedSource:
    """A ConnectorSource of one partition, with the events that the test has fed.

    Args:
        connector: The connector's name. The id of an event is `{connector}/{offset}`, unless the
            test gives it whole.
    """

    def __init__(self, connector: str) -> None:
        self.connector = connector
        self._log = Log(f"fed:{connector}")
        self._log.partitions[0] = []

    def feed(self, events: Sequence[Fed], clock: Clock) -> None:
        """Append events. Raises InvalidInput before any of them is appended."""
        begin = len(self._log.partitions[0])
        made = [self._event(each, begin + at, clock) for at, each in enumerate(events)]
        self._log.partitions[0] += made
        self._log.arrivals.notify([self._log.source_id])

    def _event(self, fed: Fed, offset: int, clock: Clock) -> ConnectorEvent:
        event_id, at = f"{self.connector}/{offset}", clock.now()
        match fed:
            case ConnectorEvent():
                return ConnectorEvent(
                    id=fed.id,
                    key=fed.key,
                    data=fed.data,
                    headers=fed.headers,
                    partition=0,
                    offset=offset,
                    at=fed.at,
                )
            case bytes():
                return ConnectorEvent(
                    id=event_id, key="", data=fed, partition=0, offset=offset, at=at
                )
            case (str() as key, bytes() as data):
                return ConnectorEvent(
                    id=event_id, key=key, data=data, partition=0, offset=offset, at=at
                )
            case _:
                raise InvalidInput(
                    "events",
                    f"{shown(fed)} is not an event; give data as bytes, a key and data, or a"
                    " ConnectorEvent",
                )

    @asynccontextmanager
    async def open(self, *, clock: Clock, events: str) -> AsyncGenerator[MemoryReader]:
        """Open the log, for a role."""
        yield MemoryReader(self._log, clock)
