"""Notifications over a connection that breaks, cancelled calls, and a server that hangs."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import SystemClock
from workflow_ray.records import Event, Version, new_run_id
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, begin, result_of
from workflow_ray.testing.conformance.runs import (
    CREATED,
    CREATED_TOPIC,
    START,
    step,
    store_all,
    stored,
    stored_run,
    stored_runs,
)
from workflow_ray.testing.faults import FaultyProxy
from workflow_ray_adapters.redis import RedisAdapter, listener, server
from workflow_ray_adapters.redis.rows import encode
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import BASE, Driver, Served


async def until(met: Callable[[], object]) -> None:
    """Wait until the condition is met."""
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.01)


def listeners(store: RedisStore, behind: Driver) -> int:
    ((_, count),) = behind.pubsub_numsub(f"{BASE}:notifications:{store.store_id}")
    return int(count)


async def test_one_connection_receives_the_notifications_for_every_wait(
    store: RedisStore, behind: Driver, clock: FakeClock
) -> None:
    records = await stored_runs(store, count=20)
    watches = [
        await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
        for record in records
    ]
    assert listeners(store, behind) == 1
    await store_all(store, *map(step, records))
    assert [len(await result_of(watch)) for watch in watches] == [1] * 20


async def test_notifications_are_received_again_after_their_connection_broke(
    store: RedisStore, behind: Driver, clock: FakeClock
) -> None:
    record = await stored_run(store)
    await until(lambda: listeners(store, behind))
    watch = await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
    behind.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await store_all(store, step(record))  # perhaps while the listener is not connected
    assert await result_of(watch) == [await stored(store, record.run_id)]
    await until(lambda: listeners(store, behind))


async def test_the_poll_notices_a_notification_that_was_lost(
    url: str, behind: Driver, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "QUIET", 0.1)
    event = Event(
        run_id=new_run_id(), topic=CREATED_TOPIC, partition=0, version=Version(1), status=CREATED
    )
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as store:
        receive = await begin(
            clock, store.receive(CREATED_TOPIC, START, reader="test", limit=10, wait=LONG)
        )
        behind.xadd(f"{BASE}:stream:0:{CREATED_TOPIC}", {"event": encode(event)}, id="0-1")
        # as a script does it, without the notification
        behind.hincrby(f"{BASE}:counters", "notifications", 1)
        assert [item.event for item in (await result_of(receive)).events] == [event]


async def test_a_cancelled_call_leaves_no_answer_for_the_next_one(
    url: str, store: RedisStore, clock: FakeClock
) -> None:
    one, two = await stored_runs(store, count=2)
    address = urlsplit(url)
    async with FaultyProxy(str(address.hostname), address.port or 0) as proxy:
        through = address._replace(netloc=f"{proxy.host}:{proxy.port}").geturl()
        async with RedisAdapter().open_records(through, clock=clock, exclusive=False) as far:
            for _ in range(5):
                proxy.hold_after(0)
                call = asyncio.create_task(far.lookup([one.run_id]))
                await proxy.held()
                call.cancel()
                await asyncio.wait([call])
                proxy.heal()
                assert await far.lookup([two.run_id]) == [two]


async def test_a_call_to_a_server_that_hangs_fails(
    own: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWERING", 0.3)
    with own({}) as hanging:
        RedisAdapter().create(hanging.url)
        async with RedisAdapter().open_records(
            hanging.url, clock=SystemClock(), exclusive=False
        ) as store:
            record = await stored_run(store)
            hanging.freeze()
            with pytest.raises(StoreUnavailable, match="in time"):
                await store.lookup([record.run_id])
            hanging.thaw()
            assert await store.lookup([record.run_id]) == [record]
