"""Connectors: a handler is called with each event of a source."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel, Stage, packing
from tests.unit.roles.carts import (
    GROUP,
    Carts,
    connector,
    dead,
    offset,
    rows,
    succeeding,
    triggering,
)
from workflow_ray import Client, RunState, resource
from workflow_ray.errors import RoleLost
from workflow_ray.records import ConnectorEvent, Role, RunQuery, SetAside, SetAsideQuery
from workflow_ray_adapters.memory import MemorySource


async def test_each_event_is_handled_and_the_position_follows() -> None:
    carts = Carts(partitions=2)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b")
        carts.put("c", partition=1)
        await bench.pass_time()
        assert sorted(carts.handled) == ["a", "b", "c"]
        assert {row.partition: row.offset for row in await rows(bench)} == {0: 2, 1: 1}


async def test_a_handler_whose_task_group_fails_is_called_again_and_others_go_on() -> None:
    carts = Carts(attempts=2)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    async def in_group(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        if event.data == b"a":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())

    carts.work.append(in_group)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", "b")
        await bench.pass_time(10)
        assert carts.begun == ["a", "b", "a"]
        (letter,) = await dead(bench)
        assert (letter.attempt, letter.error) == (2, "ExceptionGroup: ValueError: broken")


async def test_a_new_holder_goes_on_where_the_earlier_one_stopped() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put("a")
        await bench.pass_time()
        await first.leave()
        carts.put("b")
        await connector(bench)
        await bench.pass_time()
        assert carts.handled == ["a", "b"]


async def test_each_shard_handles_the_partitions_that_it_owns() -> None:
    carts = Carts(partitions=3, shards=2)
    async with Bench(carts.workflow) as bench:
        await connector(bench, shard=2, shards=2)
        for partition in range(3):
            carts.put(f"{partition}", partition=partition)
        await bench.pass_time()
        assert carts.handled == ["1"]
        await connector(bench, shard=1, shards=2)
        await bench.pass_time()
        assert sorted(carts.handled) == ["0", "1", "2"]


async def test_a_shard_without_a_partition_waits_and_stops_at_once() -> None:
    carts = Carts(partitions=1, shards=2)
    async with Bench(carts.workflow) as bench:
        idle = await connector(bench, shard=2, shards=2)
        carts.put("a")
        await bench.pass_time(60)
        assert carts.handled == []
        await idle.leave()


async def test_a_partition_that_the_source_gets_later_is_read_from_its_beginning() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        MemorySource(carts.name, partitions=2).put(b"new", partition=1)
        await bench.pass_time(60)
        assert carts.handled == ["new"]


async def test_a_trigger_has_a_default_key_so_that_a_repeated_event_starts_no_second_run() -> None:
    carts = Carts()

    async def trigger_then_fail(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await triggering(client, event)
        if len(carts.begun) == 1:
            raise ValueError("broken after its trigger")

    carts.work.append(trigger_then_fail)
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        carts.put("a", key="order-1")
        await bench.pass_time(5)
        runs = await bench.store.runs(RunQuery(workflow="parcels"))
        (run,) = runs
        assert (run.foreign_id, len(carts.begun)) == ("order-1", 2)
        assert run.idempotency_key == f"carts:memory:{carts.name}/0/0:order-1"


async def test_a_plain_handler_runs_in_a_thread_and_may_return_an_awaitable() -> None:
    source = MemorySource("plain-handlers")
    threads = list[threading.Thread]()
    workflow = packing()

    @workflow.connector("carts", source)
    def on_cart(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        threads.append(threading.current_thread())

    async with Bench(workflow) as bench:
        await connector(bench)
        source.put(b"a")
        while not await offset(bench):
            await bench.pass_time()
            await asyncio.sleep(0.001)
    assert threads[0] is not threading.main_thread()


async def test_a_handler_gets_its_resources() -> None:
    source = MemorySource("resources")
    got = list[str]()
    workflow = packing()

    @resource
    async def label() -> AsyncIterator[str]:
        yield "fragile"

    @workflow.connector("carts", source)
    async def on_cart(
        client: Client[Parcel, Stage], event: ConnectorEvent, name: str = label.value
    ) -> None:
        got.append(name)

    async with Bench(workflow) as bench:
        await connector(bench)
        source.put(b"a")
        await bench.pass_time()
    assert got == ["fragile"]


# --- fences and stops ---------------------------------------------------------------------------


async def test_a_role_that_lost_its_fence_ends_and_its_handler_writes_nothing() -> None:
    carts = Carts()
    gate = asyncio.Event()

    async def late(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await gate.wait()
        await triggering(client, event)

    carts.work.append(late)
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put("a", key="order-1")
        await bench.pass_time()
        carts.work.append(succeeding)
        await bench.whole.acquire(Role(GROUP))
        gate.set()
        await bench.pass_time()
        with pytest.raises(RoleLost):
            await first.task
        assert await bench.store.runs(RunQuery(workflow="parcels")) == []
        assert await dead(bench) == []


async def test_a_stop_finishes_the_running_events_and_leaves_the_others() -> None:
    carts = Carts()
    gate = asyncio.Event()

    async def wait(client: Client[Parcel, Stage], event: ConnectorEvent) -> None:
        await gate.wait()

    carts.work.append(wait)
    async with Bench(carts.workflow) as bench:
        first = await connector(bench)
        carts.put(*[f"{number}" for number in range(150)])
        await bench.pass_time()
        first.stop.set()
        await bench.pass_time()
        gate.set()
        await first.leave()
        assert len(carts.handled) == 100
        await connector(bench)
        await bench.pass_time()
        assert sorted(carts.handled, key=int) == [f"{number}" for number in range(150)]


async def test_the_run_that_a_handler_triggered_runs() -> None:
    carts = Carts()
    carts.work.append(triggering)
    async with Bench(carts.workflow) as bench:
        await bench.publisher()
        await bench.consumer(Stage.NEW)
        await connector(bench)
        carts.put("a", key="order-1")
        await bench.pass_time(1)
        run = await bench.client(carts.workflow).latest("order-1")
        assert run.run_state is RunState.COMPLETED


async def test_nothing_is_polled_more_often_than_needed_while_nothing_happens() -> None:
    carts = Carts()
    async with Bench(carts.workflow) as bench:
        await connector(bench)
        await bench.pass_time(1)
        calls = 0
        whole = bench.whole.set_aside

        async def counting(query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
            nonlocal calls
            calls += 1
            return await whole(query, wait=wait)

        bench.whole.set_aside = counting  # type: ignore[method-assign]
        await bench.pass_time(timedelta(minutes=10).total_seconds())
        assert calls < 100
