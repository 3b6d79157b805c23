"""Kafka drops events after a time: runs that waited for a dropped event continue."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from examples.orders import OrderStatus, orders
from examples.orders.generate import generate
from tests.adapters.kafka.others import Others, others
from tests.servers import Kafka
from workflow_ray import Client
from workflow_ray.ports import Store, SystemClock
from workflow_ray.records import PUBLISHER, SWEEPER, Role, consumer_group, status_topic
from workflow_ray.roles.sweeper import Sweeper
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.hosting import roles_of
from workflow_ray.runtime.role_processes import run_role
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.urls import Urls

COUNT = 50
CREATED = status_topic(orders.name, OrderStatus.CREATED.value)
PARTITIONS = range(orders.partitions)
EVERY, AGE = 0.2, 1.0  # seconds; in production minutes
CLOCK = SystemClock()


@pytest.fixture
def prefix() -> str:
    return uuid4().hex


@pytest.fixture
async def store(tmp_path: Path, kafka: Kafka, prefix: str) -> AsyncIterator[Store]:
    """Deploy the orders' workflow with records in a file and events on Kafka, but run no role."""
    records = f"sqlite:///{tmp_path}/records.db"
    urls = Urls(records, f"{kafka.url}/{prefix}", records)
    await asyncio.to_thread(create, urls)
    async with open_store(urls, clock=CLOCK) as store:
        await merge(store, [describe_here(orders)])
        yield store


@pytest.fixture
async def admin(kafka: Kafka) -> AsyncIterator[Others]:
    async with others(kafka.address) as admin:
        yield admin


@asynccontextmanager
async def run_roles(store: Store, *roles: Role) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for role in roles:
            tasks.create_task(
                run_role(role, await store.acquire(role), [orders], store, CLOCK, stop)
            )
        yield
        stop.set()


@asynccontextmanager
async def run_sweeper(store: Store) -> AsyncGenerator[Sweeper]:
    stop, fence = asyncio.Event(), await store.acquire(Role(SWEEPER))
    sweeper = Sweeper(fence, store, store, CLOCK, every=EVERY, age=AGE)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sweeper.run(stop))
        yield sweeper
        stop.set()


async def test_orders_whose_events_were_dropped_are_made(
    store: Store, admin: Others, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(orders, store, CLOCK)
    handles = [await client.trigger(key, order) for key, order in generate(COUNT, seed=7)]
    async with run_roles(store, Role(PUBLISHER)):
        while await store.lag(CREATED, dict.fromkeys(PARTITIONS, 0)) < COUNT:
            await asyncio.sleep(EVERY)
    for partition, end in (await store.ends(CREATED, PARTITIONS)).items():
        await admin.delete_before(f"{prefix}.{CREATED}", partition, end)
    assert await store.lag(CREATED, dict.fromkeys(PARTITIONS, 0)) == 0

    roles = [role for role in roles_of([describe_here(orders)]) if role.group != SWEEPER]
    async with run_roles(store, *roles), run_sweeper(store) as sweeper:
        runs = await asyncio.gather(*(handle.wait() for handle in handles))
    assert {run.status for run in runs} == {OrderStatus.SHIPPED, OrderStatus.REJECTED}
    assert sweeper.resent == COUNT
    assert "are gone" in "".join(
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    )
    positions = await store.positions(consumer_group(orders.name, OrderStatus.CREATED.value))
    assert sum(position.offset for position in positions) >= 2 * COUNT, (
        "they follow the dropped ones and the ones sent again"
    )
