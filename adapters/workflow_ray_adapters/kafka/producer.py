"""Appends messages to partitions: idempotently, once every replica in sync has them.

Each topic-partition is independent of the others.
"""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from workflow_ray.errors import StoreError
from workflow_ray_adapters.kafka.cluster import Cluster
from workflow_ray_adapters.kafka.codec import Message
from workflow_ray_adapters.kafka.faults import SPOILED, code_of, translate_errors
from workflow_ray_adapters.kafka.topics import PAUSE

At: TypeAlias = tuple[str, int]
"""The name of a topic on the brokers, and its partition."""

STRAGGLING = 1.0
"""Seconds for the remaining topic-partitions once others have their messages.

The caller has more messages for the others.
"""
MAX_BATCH = 900_000
"""In bytes; brokers accept 1 MiB by default."""


class _InFlight:
    """The messages in flight to one topic-partition."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.sending: asyncio.Future[Any] | None = None
        """The last batch that aiokafka got. It outlasts the call that gave it up, because an
        idempotent producer tries as long as the leader does not answer.
        """


class Producer:
    """Appends messages.

    A topic-partition that can't be sent to delays no other. aiokafka has at most one batch of each.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._clients = cluster.clients
        self._topics = cluster.topics
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._in_flight = defaultdict[At, _InFlight](_InFlight)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Producer"]:
        try:
            yield self
        finally:
            self._replace(self._producer)

    async def send(self, messages: Mapping[At, Sequence[Message]]) -> dict[At, str]:
        """Append the messages, in order within a topic-partition.

        Returns:
            The topic-partitions of which it is unknown whether they have their messages, and why.
        """
        tasks = {
            asyncio.create_task(self._deliver(at, batch)): at for at, batch in messages.items()
        }
        try:
            late = await _wait_for_deliveries(tasks)
        finally:
            for task in tasks:
                task.cancel()
        if late:
            await asyncio.wait(late)  # until their locks are free
        given_up = f"no answer for {STRAGGLING:g} s after others had theirs."
        return {
            at: why
            for task, at in tasks.items()
            if (why := given_up if task in late else task.result())
        }

    async def _deliver(self, at: At, messages: Sequence[Message]) -> str | None:
        """Append the messages. Return None, or why the outcome is unknown."""
        in_flight = self._in_flight[at]
        try:
            async with asyncio.timeout(self._clients.timeout), in_flight.lock:
                if in_flight.sending is not None:
                    await asyncio.wait([in_flight.sending])
                while messages:
                    messages = messages[await self._append(at, in_flight, messages) :]
        except TimeoutError:
            self._topics.refresh()
            return (
                f"no answer from partition {at[1]} of topic {at[0]} within"
                f" {self._clients.timeout:g} s."
            )
        except StoreError as error:
            return error.why
        return None

    async def _append(self, at: At, in_flight: _InFlight, messages: Sequence[Message]) -> int:
        """Append a batch, and return how many messages it held; 0: it has to be tried again.

        Raises StoreError.
        """
        await self._topics.need(at[0], [at[1]])
        producer = await self._start_once()
        if not await producer.client.ready(self._topics.partitions(at[0])[at[1]]):
            # No batch is made, because aiokafka would send it when the broker is back, even if this
            # call was given up by then.
            self._topics.refresh()
            await asyncio.sleep(PAUSE)
            return 0
        batch = producer.create_batch()
        count = 0
        for message in messages:
            appended = batch.append(
                timestamp=None, key=message.key, value=message.value, headers=list(message.headers)
            )
            if appended is None:
                break
            count += 1
        try:
            in_flight.sending = await _hand_over(producer, batch, at)
            in_flight.sending.add_done_callback(
                lambda sent: self._replace_if_failed(producer, sent)
            )
            await asyncio.wait([in_flight.sending])
            in_flight.sending.result()
        except KafkaError as error:
            self._replace(producer)
            if isinstance(error, ProducerClosed) or code_of(error) in SPOILED:
                return 0  # another producer takes over
            self._topics.refresh()
            with translate_errors(self._clients.where):
                raise
        return count

    def _replace_if_failed(self, producer: AIOKafkaProducer, sent: "asyncio.Future[Any]") -> None:
        """Have another producer take over if the batch has failed.

        A producer counts a batch before it is sent, and brokers refuse all batches after one that
        they
        did not get.
        """
        if not sent.cancelled() and sent.exception() is not None:
            self._replace(producer)

    def _replace(self, producer: AIOKafkaProducer | None) -> None:
        if producer is not None and self._producer is producer:
            self._producer = None
            self._clients.stop(producer)

    async def _start_once(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._clients.start(
                    AIOKafkaProducer, enable_idempotence=True, acks="all", max_batch_size=MAX_BATCH
                )
        return self._producer


async def _hand_over(producer: AIOKafkaProducer, batch: Any, at: At) -> "asyncio.Future[Any]":
    try:
        sending: asyncio.Future[Any] = await producer.send_batch(batch, at[0], partition=at[1])
    except AssertionError as error:  # its metadata is older than ours
        raise KafkaError("the producer knows no such partition") from error
    return sending


async def _wait_for_deliveries(
    tasks: Collection["asyncio.Task[str | None]"],
) -> set["asyncio.Task[str | None]"]:
    """Wait until all deliveries have ended, or STRAGGLING seconds longer than for the first.

    Returns those that have not.
    """
    late, arrived = set(tasks), False
    while late and not arrived:
        done, late = await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
        arrived = any(task.result() is None for task in done)
    return (await asyncio.wait(late, timeout=STRAGGLING))[1] if late else late
