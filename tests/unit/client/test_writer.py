"""A client that a role hands to a handler writes under the role's fence, with default keys."""

import asyncio

import msgspec
import pytest

from tests.unit.client.orders import At, Order, Shop, finished
from workflow_ray import Client, Trigger, TriggerOutcome
from workflow_ray.client.writer import EventKeys
from workflow_ray.errors import KeyReused, RoleLost
from workflow_ray.records import MAX_FOREIGN_ID, Fence, Role, connector_group
from workflow_ray.runtime.deploying import describe_here, merge

EVENT = EventKeys("carts", "log/0/7")


async def acquired(here: Shop) -> Fence:
    group = connector_group("shop", "carts")
    described = describe_here(here.workflow)
    groups = {**described.groups, group: 1}
    await merge(here.store, [msgspec.structs.replace(described, groups=groups)])
    return await here.store.acquire(Role(group))


def of_handler(here: Shop, fence: Fence | None = None) -> Client[Order, At]:
    return Client(here.workflow, here.store, here.clock, fence=fence, default_key=EVENT)


async def test_an_event_that_is_handled_again_starts_nothing_twice() -> None:
    here = Shop()
    client = of_handler(here)
    first = await client.trigger("order-1", Order())
    await client.trigger("order-2", Order())
    again = await client.trigger("order-1", Order())
    assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)
    with pytest.raises(KeyReused, match="carts:log/0/7:order-1"):
        await client.trigger("order-1", Order(total=9))
    ((_, outcome),) = await client.trigger_many([Trigger("order-1", Order())])
    assert outcome is TriggerOutcome.KNOWN


async def test_another_event_may_start_a_run_of_the_same_foreign_id() -> None:
    here = Shop()
    first = await of_handler(here).trigger("order-1", Order())
    await here.move(first.run_id, At.EXPIRED)
    other = Client(here.workflow, here.store, here.clock, default_key=EventKeys("carts", "log/0/8"))
    assert (await other.trigger("order-1", Order())).run_id != first.run_id


async def test_the_key_that_a_handler_names_goes_first() -> None:
    here = Shop()
    first = await of_handler(here).trigger("order-1", Order(), idempotency_key="k")
    assert (await here.client.trigger("order-1", Order(), idempotency_key="k")).run_id == (
        first.run_id
    )


async def test_a_callback_has_the_function_in_its_default_key() -> None:
    here = Shop()
    handle = await here.at(At.AWAITING_PAYMENT, "order-1")
    client = of_handler(here)
    body = b'{"receipt": "r1"}'
    calls = [
        asyncio.create_task(client.callback("paid", "order-1", body)),
        asyncio.create_task(client.callback("paid", "order-1", body)),
    ]
    (message,) = await here.inbox(handle.run_id)
    assert message.key.id == "carts:log/0/7:order-1:paid"
    await here.move(handle.run_id, At.PAID, takes=message)
    assert [(await finished(here, call)).version for call in calls] == [3, 3]


def test_a_default_key_is_never_longer_than_stores_allow() -> None:
    long = "x" * MAX_FOREIGN_ID
    keys = {EVENT(long, None), EVENT(long, "paid"), EVENT(long[1:], None)}
    assert len(keys) == 3
    assert all(len(key) <= MAX_FOREIGN_ID and key.startswith("carts:") for key in keys)


async def test_a_client_with_a_fence_names_its_role_as_the_writer() -> None:
    here = Shop()
    fence = await acquired(here)
    handle = await of_handler(here, fence).trigger("order-1", Order())
    assert [entry.by for entry in await handle.history()] == ["shop-carts-connector-1-of-1"]


async def test_a_client_whose_role_has_a_newer_holder_writes_nothing() -> None:
    here = Shop()
    fence = await acquired(here)
    client = of_handler(here, fence)
    handle = await client.trigger("order-1", Order())
    await here.move(handle.run_id, At.AWAITING_PAYMENT)
    await here.store.acquire(Role(connector_group("shop", "carts")))
    for call in (
        client.trigger("order-2", Order()),
        client.callback("paid", "order-1", b'{"receipt": "r1"}'),
        handle.pause("a test"),
    ):
        with pytest.raises(RoleLost, match="shop-carts-connector-1-of-1 is held by epoch 2"):
            await call
    assert [run.foreign_id async for run in here.client.runs()] == ["order-1"]
    assert (await handle.get()).version == 2
    assert await here.inbox(handle.run_id) == []
