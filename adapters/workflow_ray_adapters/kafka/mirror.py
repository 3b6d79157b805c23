"""Shows positions to Kafka's own tools, as offsets of consumer groups. They are never read back."""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from workflow_ray.errors import StoreError
from workflow_ray_adapters.kafka.clients import Clients
from workflow_ray_adapters.kafka.faults import translate_errors

PERIOD = 1.0  # seconds in which newer positions replace older ones
NOTABLE = 3  # failures in a row; the first group of a cluster waits for the topic of offsets
log = logging.getLogger(__name__)


class Mirror:
    """Commits the newest positions about once a second, and the last ones when it ends.

    Each group has a consumer that reads nothing and is not a member, because that is how aiokafka
    commits for a group.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        # by group, not yet committed
        self._positions = defaultdict[str, dict[TopicPartition, int]](dict)
        self._consumers: dict[str, Any] = {}
        self._failures = Counter[str]()  # by group, since its last commit
        self._pending = asyncio.Event()

    def note(self, topic: str, positions: Iterable[tuple[str, int, int]]) -> None:
        """Note positions.

        Args:
            positions: For each the group's name on the brokers, the partition and the offset.
        """
        for group, partition, offset in positions:
            self._positions[group][TopicPartition(topic, partition)] = offset
            self._pending.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._commit_all()
            for consumer in self._consumers.values():
                self._clients.stop(consumer)

    async def _run(self) -> None:
        while True:
            await self._pending.wait()
            await asyncio.sleep(PERIOD)
            await self._commit_all()

    async def _commit_all(self) -> None:
        positions = dict(self._positions)
        self._positions.clear()
        self._pending.clear()
        await asyncio.gather(
            *(self._commit(group, offsets) for group, offsets in positions.items())
        )

    async def _commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        try:
            with translate_errors(self._clients.where):
                async with asyncio.timeout(self._clients.timeout):
                    consumer = await self._consumer(group)
                    _assign(consumer, offsets)
                    await consumer.commit(dict(offsets))
                    consumer.assign([])
        except StoreError as error:
            self._log_failure(group, offsets, error.why)
        except Exception as error:  # An error must not end the mirror.
            log.exception(
                "%s: the positions of group %s can't be committed", self._clients.where, group
            )
            self._log_failure(group, offsets, str(error))
        else:
            del self._failures[group]

    def _log_failure(self, group: str, offsets: Mapping[TopicPartition, int], why: str) -> None:
        self._failures[group] += 1
        if self._failures[group] == NOTABLE:
            log.warning(
                "%s: the positions of group %s aren't shown (%s); trying again",
                self._clients.where,
                group,
                why,
            )
        if (consumer := self._consumers.pop(group, None)) is not None:
            self._clients.stop(consumer)
        self._positions[group] = {**offsets, **self._positions[group]}
        self._pending.set()

    async def _consumer(self, group: str) -> Any:
        if group not in self._consumers:
            self._consumers[group] = await self._clients.start(
                AIOKafkaConsumer, group_id=group, enable_auto_commit=False
            )
        return self._consumers[group]


def _assign(consumer: Any, partitions: Collection[TopicPartition]) -> None:
    """Assign the partitions while they are committed, because only assigned ones can be.

    They are not assigned for longer: while a partition has no leader, aiokafka asks for leaders
    without a pause.
    """
    consumer.assign(list(partitions))
    consumer.pause(*partitions)
    for at in partitions:
        consumer.seek(at, 0)  # or it would ask for the group's offsets by itself
