"""The roles of a deployment, and how they are run."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, Route, RoutedRun, packing
from workflow_ray import Client, ConnectorEvent, RayOptions, Workflow, source
from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.errors import NotImportable, RoleLost
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    Role,
    bulk_group,
    connector_group,
    consumer_group,
    data_group,
)
from workflow_ray.runtime.deploying import describe, describe_here, merge
from workflow_ray.runtime.hosting import load_definitions, ray_options_of, roles_of
from workflow_ray.runtime.role_processes import run_role
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

shipping = Workflow("shipping", Parcel, Route, partitions=4)


@shipping.step(Route.NEW, shards=2)
async def pack(run: RoutedRun) -> Literal[Route.PACKED, Route.LOST]:
    return Route.PACKED


@shipping.step(Route.PACKED)
async def send(run: RoutedRun) -> Literal[Route.SENT]:
    return Route.SENT


FIRST, SECOND = consumer_group("shipping", 1), consumer_group("shipping", 2)
SHIPPING_ROLES = [
    Role(FIRST, 1, 2),
    Role(FIRST, 2, 2),
    Role(SECOND),
    Role(bulk_group("shipping")),
    Role(data_group("shipping")),
    Role(PUBLISHER),
    Role(SWEEPER),
]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


def test_each_shard_of_each_group_is_a_role_and_publisher_and_sweeper_are_one_for_all() -> None:
    assert roles_of([describe(shipping)]) == SHIPPING_ROLES
    of_two = roles_of([describe(shipping), describe_here(packing())])
    assert (of_two.count(Role(PUBLISHER)), of_two.count(Role(SWEEPER))) == (1, 1)


def test_a_role_asks_of_a_ray_cluster_what_its_step_or_its_connector_says() -> None:
    workflow = Workflow("rays", Parcel, Route, entry=(Route.SENT, Route.LOST))
    gpu, lens = RayOptions(num_gpus=1), RayOptions(resources={"lens": 1})

    @workflow.step(Route.NEW, ray=gpu)
    async def scan(run: RoutedRun) -> Literal[Route.PACKED]:
        return Route.PACKED

    @source
    async def log(offset: int) -> AsyncIterator[tuple[int, bytes]]:
        yield offset, b"{}"

    @workflow.connector("scans", log, ray=lens, shards=2)
    async def scanned(client: Client[Parcel, Route], event: ConnectorEvent) -> None: ...

    @workflow.connector("letters", log)
    async def written(client: Client[Parcel, Route], event: ConnectorEvent) -> None: ...

    asked = {
        consumer_group("rays", 1): gpu,
        connector_group("rays", "scans"): lens,
        connector_group("rays", "letters"): NOTHING,
        bulk_group("rays"): NOTHING,
    }
    for group, options in asked.items():
        assert ray_options_of(Role(group, 1, 2), [shipping, workflow]) == options


# --- roles at work ------------------------------------------------------------------------------


async def test_a_role_runs_what_the_deployment_says(store: MemoryStore, clock: FakeClock) -> None:
    deployment, stop = await merge(store, [describe(shipping)]), asyncio.Event()
    running = [
        asyncio.create_task(
            run_role(
                role,
                await store.acquire(role),
                load_definitions(role, deployment),
                store,
                clock,
                stop,
            )
        )
        for role in SHIPPING_ROLES
    ]
    client = Client(shipping, store, clock)
    handles = [await client.trigger(f"{n}", Parcel()) for n in range(20)]
    await clock.settle()
    assert {(await handle.get()).status for handle in handles} == {Route.SENT}
    by = {entry.by for handle in handles for entry in await handle.history()}
    assert by == {"client", *(role.name for role in SHIPPING_ROLES[:3])}
    stop.set()
    await asyncio.gather(*running)


async def test_roles_for_all_workflows_need_none_of_their_definitions(store: MemoryStore) -> None:
    deployment = await merge(store, [describe(shipping)])
    assert load_definitions(Role(FIRST, 1, 2), deployment) == [shipping]
    assert (
        load_definitions(Role(PUBLISHER), deployment)
        == load_definitions(Role(SWEEPER), deployment)
        == []
    )


async def test_a_group_that_the_definition_has_no_step_for_is_named(
    store: MemoryStore, clock: FakeClock
) -> None:
    await merge(store, [describe(shipping)])
    fence = await store.acquire(Role(SECOND))
    with pytest.raises(
        NotImportable, match=f"{SECOND}: the definition has no function or schedule"
    ):
        await run_role(Role(SECOND), fence, [packing()], store, clock, asyncio.Event())


async def test_a_holder_that_was_replaced_loses_the_role_when_it_writes(
    store: MemoryStore, clock: FakeClock
) -> None:
    await merge(store, [describe(shipping)])
    role, stop = Role(PUBLISHER), asyncio.Event()
    old = asyncio.create_task(run_role(role, await store.acquire(role), [], store, clock, stop))
    await clock.settle()
    new = asyncio.create_task(run_role(role, await store.acquire(role), [], store, clock, stop))
    await clock.settle()
    with pytest.raises(RoleLost):
        await old
    stop.set()
    await new
