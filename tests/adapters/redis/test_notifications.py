"""Notifications say what changed, and wake only those whom that concerns."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from workflow_ray.records import PUBLISHER, Role, Version
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, begun, ended, settled
from workflow_ray.testing.conformance.event_streamer import sent
from workflow_ray.testing.conformance.runs import CREATED_TOPIC, new_run, step, store_all, stored_run, stored_runs
from workflow_ray_adapters.redis import RedisAdapter, listener
from workflow_ray_adapters.redis.scripts import Script
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import BASE, Driver
from .helpers import acquired

Calls = list[str]


@pytest.fixture
def calls(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The names of the scripts that the store calls."""
    names, call = list[str](), store._server.call  # pyright: ignore[reportPrivateUsage]  # what is counted are its calls

    async def counted(script: Script, *args: Any) -> Any:
        names.append(script.name)
        return await call(script, *args)

    monkeypatch.setattr(store._server, "call", counted)  # pyright: ignore[reportPrivateUsage]  # as above
    return names


async def listening(clock: FakeClock, store: RedisStore, behind: Driver) -> None:
    """Once the listener is subscribed, and has woken whoever waited before."""
    async with asyncio.timeout(10):
        while not behind.pubsub_numsub(f"{BASE}:notifications:{store.store_id}")[0][1]:
            await asyncio.sleep(0.01)
    await settled(clock)


async def test_a_write_wakes_nobody_who_waits_for_something_else(store: RedisStore, clock: FakeClock, behind: Driver, calls: Calls) -> None:
    fence, deployed = await acquired(store), (await store.deployment()).version
    one, other = await stored_runs(store, count=2)
    await listening(clock, store, behind)
    beside: list[Callable[[], Awaitable[object]]] = [
        *[lambda at=at: store.receive(CREATED_TOPIC, {at: 0}, reader=f"r{at}", limit=10, wait=LONG) for at in range(50)],
        lambda: store.watch({other.run_id: other.version}, wait=LONG),
        lambda: store.watch({one.run_id: one.version}, wait=LONG, at_rest=True),
        lambda: store.pending(fence, limit=10, wait=LONG),
        lambda: store.due("orders", 1, [0, 1], limit=10, wait=LONG),
        lambda: store.deployment(newer_than=deployed, wait=LONG),
    ]
    waiting = [await begun_quickly(call) for call in beside]
    await settled(clock)
    calls.clear()
    await store_all(store, step(one))
    await settled(clock)
    assert calls == ["store"]
    assert not any(call.done() for call in waiting)
    for call in waiting:
        call.cancel()


async def begun_quickly(call: Callable[[], Awaitable[object]]) -> asyncio.Task[object]:
    async def called() -> object:
        return await call()

    return asyncio.create_task(called())


async def test_an_event_wakes_the_readers_of_its_partition_alone(store: RedisStore, clock: FakeClock, behind: Driver, calls: Calls) -> None:
    await listening(clock, store, behind)
    readers = [await begun(clock, store.receive(CREATED_TOPIC, {at: 0}, reader=f"reader-{at}", limit=10, wait=LONG)) for at in range(4)]
    calls.clear()
    events = await sent(store, [2])
    assert [item.event for item in (await ended(readers[2])).events] == events
    await settled(clock)
    assert calls == ["send", "receive"]
    assert [reader.done() for reader in readers] == [False, False, True, False]
    for reader in readers:
        reader.cancel()


async def test_a_role_that_is_acquired_wakes_its_former_holder_alone(
    store: RedisStore, clock: FakeClock, behind: Driver, calls: Calls
) -> None:
    publisher = await acquired(store)
    await listening(clock, store, behind)
    waiting = await begun(clock, store.pending(publisher, limit=10, wait=LONG))
    calls.clear()
    await store.acquire(Role("orders-1-consumer"))
    await settled(clock)
    assert calls == ["acquire"]
    assert not waiting.done()
    await store.acquire(Role(PUBLISHER))
    assert (await asyncio.gather(waiting, return_exceptions=True))[0].__class__.__name__ == "RoleLost"


async def test_the_poll_is_one_question_for_all_who_wait_and_wakes_nobody_where_nothing_was_missed(
    url: str, store: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "QUIET", 0.05)
    records = await stored_runs(store, count=30)
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as quiet:
        waiting = [asyncio.create_task(quiet.watch({record.run_id: record.version}, wait=LONG)) for record in records]
        await asyncio.sleep(0.2)
        names, call = list[str](), quiet._server.call  # pyright: ignore[reportPrivateUsage]  # what is counted are its calls

        async def counted(script: Script, *args: Any) -> Any:
            names.append(script.name)
            return await call(script, *args)

        monkeypatch.setattr(quiet._server, "call", counted)  # pyright: ignore[reportPrivateUsage]  # as above
        async with asyncio.timeout(10):
            while len(names) < 3:
                await asyncio.sleep(0.01)
        assert set(names) == {"notified"}
        for watch in waiting:
            watch.cancel()


async def test_what_another_process_writes_wakes_who_waits(url: str, store: RedisStore, clock: FakeClock) -> None:
    record = await stored_run(store)
    watch = await begun(clock, store.watch({record.run_id: record.version}, wait=LONG))
    new = new_run()
    expected = await begun(clock, store.watch({new.run_id: Version(0)}, wait=LONG))
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as other:
        await store_all(other, step(record), new)
    assert [len(await ended(call)) for call in (watch, expected)] == [1, 1]
