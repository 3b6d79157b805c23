"""What the adapter uses of aiokafka, and what aiokafka's public API can't do.

The latter are strict xfails: one that passes says that the adapter may drop its workaround.
"""

# aiokafka publishes no types:
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import ast
import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from tests.adapters.kafka.others import others
from tests.servers import Kafka
from workflow_ray_adapters import kafka as adapter

PUBLIC = {"aiokafka", "aiokafka.admin", "aiokafka.errors"}
"""The modules that aiokafka's documentation names."""
KEPT = {("aiokafka.conn", "create_conn")}
"""Used in addition, see test_a_client_that_can_not_be_started_says_why."""


def used() -> Iterator[tuple[str, str]]:
    """List the modules of aiokafka that the adapter imports, with the names that it imports."""
    for path in Path(adapter.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (
                    (name.name, "") for name in node.names if name.name.startswith("aiokafka")
                )
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiokafka"):
                yield from ((node.module or "", name.name) for name in node.names)


def test_only_the_public_api_of_aiokafka_and_one_other_function_are_used() -> None:
    found = set(used())
    assert {(module, name) for module, name in found if module not in PUBLIC} == KEPT
    for module, name in found:
        assert name in getattr(importlib.import_module(module), "__all__", [name])
        assert not name.startswith("_")


@pytest.mark.xfail(reason="bootstrap logs the cause and drops it", raises=AssertionError)
async def test_a_client_that_can_not_be_started_says_why() -> None:
    """Therefore the adapter makes a connection of its own with `create_conn`.

    Otherwise a wrong password would look like a broker that is away.
    """
    client = AIOKafkaAdminClient(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaConnectionError) as error:
        await client.start()
    await client.close()
    assert isinstance(error.value.__cause__, OSError)


class TestABrokerOfItsOwn:
    @pytest.fixture
    def broker(self, server_folder: Path) -> Iterator[Kafka]:
        with Kafka(server_folder, {"auto.create.topics.enable": "true"}) as broker:
            yield broker

    @pytest.fixture
    async def topic(self, broker: Kafka) -> AsyncIterator[str]:
        async with others(broker.address) as someone:
            await someone.make("carts", 1)
            yield "carts"

    @pytest.mark.xfail(
        reason="stop() waits for batches that are never given up", raises=TimeoutError
    )
    async def test_an_idempotent_producer_stops_even_if_its_broker_is_away(
        self, broker: Kafka, topic: str
    ) -> None:
        """Therefore the adapter sends nothing while the leader can't be reached.

        It stops the producer in the background.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.address, enable_idempotence=True, request_timeout_ms=500
        )
        await producer.start()
        await producer.send_and_wait(topic, b"one", partition=0)
        await asyncio.to_thread(broker.kill)
        await producer.send(topic, b"two", partition=0)
        stopping = asyncio.create_task(producer.stop())
        try:
            await asyncio.wait_for(asyncio.shield(stopping), 3)
        finally:
            await asyncio.to_thread(broker.start)
            await stopping

    @pytest.mark.xfail(
        reason="consumers ask for topics by name, and brokers then make them", raises=AssertionError
    )
    async def test_a_consumer_creates_no_topic(self, broker: Kafka) -> None:
        """Therefore the adapter names only topics that exist.

        A topic that is deleted while it is read is created again by such a broker.
        """
        async with AIOKafkaConsumer(bootstrap_servers=broker.address) as consumer:
            consumer.assign([TopicPartition("nobody-made-it", 0)])
            consumer.seek(TopicPartition("nobody-made-it", 0), 0)
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while "nobody-made-it" not in await consumer.topics():
                        await asyncio.sleep(0.1)
            assert "nobody-made-it" not in await consumer.topics()
