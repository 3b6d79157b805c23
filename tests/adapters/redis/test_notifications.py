"""Notifications say what changed, and wake only the callers that wait for that."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import PUBLISHER, Arrivals, Committed, Fenced, Role, Version, WriteGroup
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, begin, result_of, settle
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED_TOPIC,
    deploy,
    new_run,
    step,
    store_all,
    stored_run,
    stored_runs,
    workflow,
)
from workflow_ray.testing.conformance.streams import sent
from workflow_ray_adapters.redis import RedisAdapter, listener
from workflow_ray_adapters.redis.scripts import NOTIFIED, Script
from workflow_ray_adapters.redis.store import RedisStore

from .helpers import acquired

Calls = list[str]


@pytest.fixture
def calls(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The names of the scripts that the store calls."""
    names, call = list[str](), store._server.call  # pyright: ignore[reportPrivateUsage]  # the test counts its calls

    async def counted(script: Script, *args: Any) -> Any:
        if script is not NOTIFIED:  # the listener's own call
            names.append(script.name)
        return await call(script, *args)

    monkeypatch.setattr(store._server, "call", counted)  # pyright: ignore[reportPrivateUsage]  # as above
    return names


async def listening(clock: FakeClock, store: RedisStore, calls: Calls) -> None:
    """Wait until the listener has caught up, and passes notifications on."""
    record = await stored_run(store)
    watch = await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
    await store_all(store, step(record))
    await result_of(watch)
    await settle(clock)
    calls.clear()


async def test_a_write_wakes_no_caller_that_waits_for_something_else(
    store: RedisStore, clock: FakeClock, calls: Calls
) -> None:
    fence, deployed = await acquired(store), (await store.deployment()).version
    one, other = await stored_runs(store, count=2)
    await listening(clock, store, calls)
    beside: list[Callable[[], Awaitable[object]]] = [
        *[
            lambda at=at: store.receive(
                CREATED_TOPIC, {at: 0}, reader=f"r{at}", limit=10, wait=LONG
            )
            for at in range(50)
        ],
        lambda: store.watch({other.run_id: other.version}, wait=LONG),
        lambda: store.watch({one.run_id: one.version}, wait=LONG, at_rest=True),
        lambda: store.pending(fence, limit=10, wait=LONG),
        lambda: store.due("orders", 1, [0, 1], limit=10, wait=LONG),
        lambda: store.deployment(newer_than=deployed, wait=LONG),
    ]
    waiting = [await begun_quickly(call) for call in beside]
    await settle(clock)
    calls.clear()
    await store_all(store, step(one))
    await settle(clock)
    assert calls == ["store"]
    assert not any(call.done() for call in waiting)
    for call in waiting:
        call.cancel()


async def begun_quickly(call: Callable[[], Awaitable[object]]) -> asyncio.Task[object]:
    async def called() -> object:
        return await call()

    return asyncio.create_task(called())


async def test_an_event_wakes_only_the_readers_of_its_partition(
    store: RedisStore, clock: FakeClock, calls: Calls
) -> None:
    await listening(clock, store, calls)
    readers = [
        await begin(
            clock, store.receive(CREATED_TOPIC, {at: 0}, reader=f"reader-{at}", limit=10, wait=LONG)
        )
        for at in range(4)
    ]
    calls.clear()
    events = await sent(store, [2])
    assert [item.event for item in (await result_of(readers[2])).events] == events
    await settle(clock)
    assert calls == ["send", "receive"]
    assert [reader.done() for reader in readers] == [False, False, True, False]
    for reader in readers:
        reader.cancel()


async def test_acquiring_a_role_wakes_only_its_previous_holder(
    store: RedisStore, clock: FakeClock, calls: Calls
) -> None:
    publisher = await acquired(store)
    await listening(clock, store, calls)
    waiting = await begin(clock, store.pending(publisher, limit=10, wait=LONG))
    calls.clear()
    await store.acquire(Role("orders-1-consumer"))
    await settle(clock)
    assert calls == ["acquire"]
    assert not waiting.done()
    await store.acquire(Role(PUBLISHER))
    assert (await asyncio.gather(waiting, return_exceptions=True))[
        0
    ].__class__.__name__ == "RoleLost"


async def test_one_poll_serves_every_wait_and_wakes_none_if_no_notification_was_missed(
    url: str, store: RedisStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "QUIET", 0.05)
    records = await stored_runs(store, count=30)
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as quiet:
        waiting = [
            asyncio.create_task(quiet.watch({record.run_id: record.version}, wait=LONG))
            for record in records
        ]
        await asyncio.sleep(0.2)
        names, call = list[str](), quiet._server.call  # pyright: ignore[reportPrivateUsage]  # the test counts its calls

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


async def test_the_writes_of_another_process_wake_callers_that_wait(
    url: str, store: RedisStore, clock: FakeClock
) -> None:
    record = await stored_run(store)
    watch = await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
    new = new_run()
    expected = await begin(clock, store.watch({new.run_id: Version(0)}, wait=LONG))
    async with RedisAdapter().open_records(url, clock=clock, exclusive=False) as other:
        await store_all(other, step(record), new)
    assert [len(await result_of(call)) for call in (watch, expected)] == [1, 1]


# --- idle roles ---------------------------------------------------------------------------------


async def test_a_reader_that_has_read_everything_waits_without_asking_the_server(
    store: RedisStore, clock: FakeClock, calls: Calls
) -> None:
    await listening(clock, store, calls)
    for _ in range(5):
        receiving = await begin(
            clock, store.receive(CREATED_TOPIC, {0: 0, 1: 0}, reader="reader", limit=10, wait=20)
        )
        await clock.advance(timedelta(seconds=20))
        assert (await result_of(receiving)).read == {0: 0, 1: 0}
    assert calls == ["receive"]
    events = await sent(store, [1])
    await settle(clock)  # The notification arrives between two calls.
    arrivals = await store.receive(
        CREATED_TOPIC, {0: 0, 1: 0}, reader="reader", limit=10, wait=LONG
    )
    assert [item.event for item in arrivals.events] == events
    moved = await begin(
        clock, store.receive(CREATED_TOPIC, {0: 0, 1: 1}, reader="reader", limit=10, wait=LONG)
    )
    await sent(store, [0])
    assert len((await result_of(moved)).events) == 1


async def test_a_reader_of_other_partitions_asks_the_server(
    store: RedisStore, clock: FakeClock, calls: Calls
) -> None:
    await listening(clock, store, calls)
    await sent(store, [1])
    await settle(clock)
    for partition, found in ((0, 0), (1, 1), (0, 0)):
        receiving = await begun_quickly(
            partial(store.receive, CREATED_TOPIC, {partition: 0}, reader="reader", limit=10, wait=1)
        )
        await settle(clock)
        await clock.advance(timedelta(seconds=1))
        arrivals = await result_of(receiving)
        assert isinstance(arrivals, Arrivals)
        assert len(arrivals.events) == found
    assert calls == ["send", "receive", "receive", "receive"]


async def test_a_reader_without_a_wait_asks_the_server_each_time(store: RedisStore) -> None:
    """It finds every earlier event, whether or not its notification has arrived."""
    for sent_so_far in range(20):
        assert (
            len(
                (
                    await store.receive(
                        CREATED_TOPIC, {0: sent_so_far}, reader="reader", limit=10, wait=0
                    )
                ).events
            )
            == 0
        )
        await sent(store, [0])
        assert (
            len(
                (
                    await store.receive(
                        CREATED_TOPIC, {0: sent_so_far}, reader="reader", limit=10, wait=0
                    )
                ).events
            )
            == 1
        )


async def test_a_thousand_concurrent_fence_checks_are_two_calls(
    store: RedisStore, calls: Calls
) -> None:
    await deploy(store, workflow(groups={CONSUMERS: 16}, partitions=16))
    fences = [await store.acquire(Role(CONSUMERS, shard, 16)) for shard in range(1, 17)]
    newer = await store.acquire(Role(CONSUMERS, 1, 16))
    calls.clear()
    answers = await asyncio.gather(
        *(store.store([WriteGroup(fence=fences[at % 16])]) for at in range(1000))
    )
    assert [answer for (answer,) in answers] == [
        Fenced(newer.role, newer.epoch) if at % 16 == 0 else Committed(()) for at in range(1000)
    ]
    assert calls in (["epochs"], ["epochs", "epochs"])


async def test_a_fence_check_that_fails_fails_for_its_callers_and_the_next_one_succeeds(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = await acquired(store)
    call = store._server.call  # pyright: ignore[reportPrivateUsage]  # the test makes its calls fail
    failures = [StoreUnavailable("redis", "gone")]

    async def failing(script: Script, *args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await call(script, *args)

    monkeypatch.setattr(store._server, "call", failing)  # pyright: ignore[reportPrivateUsage]  # as above
    answers = await asyncio.gather(
        *(store.store([WriteGroup(fence=fence)]) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    assert await store.store([WriteGroup(fence=fence)]) == [Committed(())]
