"""A log for connectors in the memory of this process, for tests."""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import ClassVar

from workflow_ray.ports import Clock
from workflow_ray.records import BATCH_DATA, ConnectorEvent
from workflow_ray_adapters.memory.notifications import Notifications
from workflow_ray_adapters.memory.turns import Turns


class Log:
    """The messages by partition. The offset of a message is its place there."""

    def __init__(self, source_id: str) -> None:
        self.source_id = source_id
        self.partitions: dict[int, list[ConnectorEvent]] = {}
        self.arrivals = Notifications[str]()


class MemorySource:
    """A ConnectorSource: one log per name, which exists while this process lives.

    The log has `partitions` from the start.
    """

    _logs: ClassVar[dict[str, Log]] = {}

    def __init__(self, name: str, *, partitions: int = 1) -> None:
        self._log = self._logs.setdefault(name, Log(f"memory:{name}"))
        for partition in range(partitions):
            self._log.partitions.setdefault(partition, [])

    def put(
        self,
        data: bytes,
        *,
        key: str = "",
        partition: int = 0,
        headers: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> None:
        """Append a message.

        Args:
            partition: Where to append it.
            data: Its content.
            key: Its key.
            headers: Its headers.
            at: When it was written; None: now, by the machine's clock.
        """
        messages = self._log.partitions[partition]
        message = ConnectorEvent(
            id=f"{self._log.source_id}/{partition}/{len(messages)}",
            key=key,
            data=data,
            headers=dict(headers or {}),
            partition=partition,
            offset=len(messages),
            at=at or datetime.now(UTC),
        )
        messages.append(message)
        self._log.arrivals.notify([self._log.source_id])

    @asynccontextmanager
    async def open(self, *, clock: Clock, events: str) -> AsyncGenerator["MemoryReader"]:
        yield MemoryReader(self._log, clock)


class MemoryReader:
    """A SourceReader of a Log."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._turns = Turns()

    @property
    def source_id(self) -> str:
        return self._log.source_id

    async def starts(self) -> dict[int, int]:
        return dict.fromkeys(self._log.partitions, 0)

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        return {partition: len(self._log.partitions[partition]) for partition in partitions}

    async def receive(
        self, offsets: Mapping[int, int], *, limit: int, wait: float
    ) -> list[ConnectorEvent]:
        return await self._log.arrivals.poll(
            [self.source_id], lambda: self._read(offsets, limit), clock=self._clock, wait=wait
        )

    async def lag(self, offsets: Mapping[int, int]) -> int:
        return sum(
            max(0, len(self._log.partitions[partition]) - offset)
            for partition, offset in offsets.items()
        )

    def _read(self, offsets: Mapping[int, int], limit: int) -> list[ConnectorEvent]:
        batch: list[ConnectorEvent] = []
        size = 0
        waiting = [
            partition
            for partition, offset in offsets.items()
            if offset < len(self._log.partitions[partition])
        ]
        for message in islice(
            self._turns.of([self._from(partition, offsets[partition]) for partition in waiting]),
            limit,
        ):
            batch.append(message)
            size += len(message.data)
            if size >= BATCH_DATA:
                break
        return batch

    def _from(self, partition: int, offset: int) -> Iterator[ConnectorEvent]:
        messages = self._log.partitions[partition]
        return (messages[at] for at in range(offset, len(messages)))
