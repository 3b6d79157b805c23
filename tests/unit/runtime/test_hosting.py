"""From a deployment to roles at work."""

import asyncio
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, Route, RoutedRun, packing
from workflow_ray import Client, Workflow
from workflow_ray.errors import NotImportable, PartitionsChanged, RoleLost, StatusRenumbered
from workflow_ray.records import PUBLISHER, SWEEPER, DeployedWorkflow, Role, consumer_group
from workflow_ray.runtime.deploying import deployed, deployed_here, merge
from workflow_ray.runtime.hosting import definitions, roles_of, run_role
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
SHIPPING_ROLES = [Role(FIRST, 1, 2), Role(FIRST, 2, 2), Role(SECOND), Role(PUBLISHER), Role(SWEEPER)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock)


# --- what is deployed ----------------------------------------------------------------------------


def test_a_deployed_workflow_tells_how_to_import_it_and_what_it_needs() -> None:
    described = deployed(shipping)
    assert (described.name, described.reference) == ("shipping", f"{__name__}:shipping")
    assert described.statuses == {"NEW": 1, "PACKED": 2, "SENT": 3, "LOST": 4}
    assert described.partitions == 4
    assert described.groups == {FIRST: 2, SECOND: 1, PUBLISHER: 1, SWEEPER: 1}


def test_a_workflow_that_other_processes_cannot_import_is_deployed_for_this_one_only() -> None:
    with pytest.raises(NotImportable):
        deployed(packing())
    assert deployed_here(packing()).reference == "tests.unit.parcels:"


def test_each_shard_of_each_group_is_a_role_and_publisher_and_sweeper_are_one_for_all() -> None:
    assert roles_of([deployed(shipping)]) == SHIPPING_ROLES
    of_two = roles_of([deployed(shipping), deployed_here(packing())])
    assert (of_two.count(Role(PUBLISHER)), of_two.count(Role(SWEEPER))) == (1, 1)


async def test_merging_adds_workflows_and_replaces_those_of_the_same_name(store: MemoryStore) -> None:
    first = await merge(store, [deployed(shipping), deployed_here(packing())])
    assert [workflow.name for workflow in first.workflows] == ["shipping", "parcels"]
    changed = Workflow("shipping", Parcel, Route, partitions=4)
    changed.step(Route.NEW)(pack)
    changed.step(Route.PACKED)(send)
    second = await merge(store, [deployed_here(changed)])
    assert [workflow.name for workflow in second.workflows] == ["shipping", "parcels"]
    assert second.workflows[0].groups[FIRST] == 1


async def test_merging_what_is_deployed_already_changes_nothing(store: MemoryStore) -> None:
    first = await merge(store, [deployed(shipping), deployed_here(packing())])
    assert await merge(store, [deployed_here(packing())]) == first
    assert await merge(store, [deployed_here(packing()), deployed(shipping)]) == first


async def test_of_two_who_merge_at_once_neither_is_lost(store: MemoryStore) -> None:
    await asyncio.gather(merge(store, [deployed(shipping)]), merge(store, [deployed_here(packing())]))
    assert {workflow.name for workflow in (await store.deployment()).workflows} == {"shipping", "parcels"}


async def test_numbers_that_runs_are_stored_under_cannot_change(store: MemoryStore) -> None:
    before = await merge(store, [deployed_here(packing())])
    described = deployed_here(packing())
    renumbered = DeployedWorkflow(
        name=described.name, reference="", statuses={"NEW": 1, "DONE": 3}, partitions=described.partitions, groups=described.groups
    )
    with pytest.raises(StatusRenumbered, match=r"parcels\.DONE is 3 in the code and 2 in this deployment's records"):
        await merge(store, [renumbered])
    with pytest.raises(PartitionsChanged, match="partitions=8 in the code and 16"):
        await merge(store, [deployed_here(packing(partitions=8))])
    assert await store.deployment() == before


# --- roles at work -------------------------------------------------------------------------------


async def test_a_role_runs_what_the_deployment_says(store: MemoryStore, clock: FakeClock) -> None:
    deployment, stop = await merge(store, [deployed(shipping)]), asyncio.Event()
    running = [
        asyncio.create_task(run_role(role, await store.acquire(role), definitions(role, deployment), store, clock, stop))
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
    deployment = await merge(store, [deployed(shipping)])
    assert definitions(Role(FIRST, 1, 2), deployment) == [shipping]
    assert definitions(Role(PUBLISHER), deployment) == definitions(Role(SWEEPER), deployment) == []


async def test_a_group_that_the_definition_has_no_step_for_is_named(store: MemoryStore, clock: FakeClock) -> None:
    await merge(store, [deployed(shipping)])
    fence = await store.acquire(Role(SECOND))
    with pytest.raises(NotImportable, match=f"{SECOND}: the definition has no step for this group"):
        await run_role(Role(SECOND), fence, [packing()], store, clock, asyncio.Event())


async def test_who_is_replaced_loses_the_role_when_it_writes(store: MemoryStore, clock: FakeClock) -> None:
    await merge(store, [deployed(shipping)])
    role, stop = Role(PUBLISHER), asyncio.Event()
    old = asyncio.create_task(run_role(role, await store.acquire(role), [], store, clock, stop))
    await clock.settle()
    new = asyncio.create_task(run_role(role, await store.acquire(role), [], store, clock, stop))
    await clock.settle()
    with pytest.raises(RoleLost):
        await old
    stop.set()
    await new
