"""A server that dies, is emptied, fills up, becomes a replica, or has lost acknowledged writes."""

import asyncio
import logging
from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from workflow_ray.errors import StoreFull, StoreMissing, StoreReadOnly
from workflow_ray.ports import SystemClock, persist
from workflow_ray.records import Removal, RunId, Version, WaitingQuery, WriteGroup
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, begin, result_of
from workflow_ray.testing.conformance.posts import end
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    event,
    group,
    names,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)
from workflow_ray.testing.conformance.streams import sent
from workflow_ray_adapters.redis import RedisAdapter
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import BASE, Driver, Served, client_of
from .helpers import acquired, published

FEW = {0: 0}


# --- killed -------------------------------------------------------------------------------------


async def test_a_server_that_is_killed_repeatedly_loses_no_acknowledged_write(
    own: Served,
) -> None:
    clock, acknowledged = SystemClock(), dict[RunId, Version]()
    with own({"appendfsync": "always"}) as server:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            publisher = await acquired(store)

            async def write() -> None:
                write = new_run(events=[event()])
                while True:
                    await persist(partial(store.store, [group(write)]), clock, "test")
                    acknowledged[write.run_id] = write.version
                    write = step(write, events=[event()])

            writers = [asyncio.create_task(write()) for _ in range(8)]
            for _ in range(3):
                before = sum(acknowledged.values())
                while sum(acknowledged.values()) < before + 100:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)

            expected = list[tuple[RunId, int]]()
            for run_id, version in acknowledged.items():
                found = await versions(store, run_id)
                assert found == list(range(1, len(found) + 1))
                assert len(found) >= version
                expected += [(run_id, number) for number in found]
            while await store.move(publisher, limit=1000, wait=0):
                pass
            events = (
                await store.receive(CREATED_TOPIC, FEW, reader="test", limit=100_000, wait=0)
            ).events
            assert sorted(names(events)) == sorted(expected)  # the event of each version once


async def test_callers_that_wait_are_woken_after_the_server_was_killed(
    own: Served, clock: FakeClock
) -> None:
    with own({"appendfsync": "always"}) as server:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            record = await stored_run(store)
            watch = await begin(clock, store.watch({record.run_id: record.version}, wait=LONG))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await persist(lambda: store_all(store, step(record)), SystemClock(), "test")
            assert [found.version for found in await result_of(watch)] == [2]


# --- changed behind our back --------------------------------------------------------------------


async def test_an_emptied_server_is_a_missing_store_and_not_a_new_one(
    store: RedisStore, behind: Driver
) -> None:
    record = await stored_run(store)
    behind.flushdb()
    for call in (
        lambda: store_all(store, step(record)),
        lambda: acquired(store),
        lambda: store.lookup([record.run_id]),
    ):
        with pytest.raises(StoreMissing):
            await call()
    assert behind.dbsize() == 0


async def test_another_store_in_its_place_is_not_written(
    store: RedisStore, behind: Driver, url: str
) -> None:
    behind.flushdb()
    RedisAdapter().create(url)
    with pytest.raises(StoreMissing):
        await store_all(store, new_run())


async def test_a_server_that_was_a_replica_can_be_written_once_it_is_primary_again(
    own: Served, clock: FakeClock
) -> None:
    with own({}) as server, client_of(server) as client:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            run = new_run()
            client.execute_command("REPLICAOF", "127.0.0.1", server.port)
            with pytest.raises(StoreReadOnly) as refusal:
                await store_all(store, run)
            assert refusal.value.transient
            client.execute_command("REPLICAOF", "NO", "ONE")
            await persist(lambda: store_all(store, run), SystemClock(), "test", patience=10)
            assert await versions(store, run.run_id) == [1]


async def test_a_full_server_refuses_writes_and_still_reads_and_removes(
    own: Served, clock: FakeClock
) -> None:
    with own({}) as server, client_of(server) as client:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            publisher, run = await acquired(store), new_run(events=[event()])
            old = new_run(key="cart-1")
            await store_all(store, run, old, end(old))
            client.config_set("maxmemory", 1)
            with pytest.raises(StoreFull):
                await store_all(store, step(run), new_run())
            assert await versions(store, run.run_id) == [1]
            (entry,) = await store.pending(publisher, limit=10, wait=0)
            await store.published(publisher, [entry.id])
            removal = Removal(workflow="orders", runs=(old.run_id,))
            await store.store([WriteGroup(removals=(removal,), fence=publisher)])
            await store.release(publisher)
            assert await store.lookup([old.run_id]) == [None]
            client.config_set("maxmemory", 0)
            await store_all(store, step(run))


# --- what a crash took that was acknowledged ----------------------------------------------------


async def test_an_epoch_is_not_given_out_twice_even_if_the_last_one_was_lost(
    store: RedisStore, behind: Driver
) -> None:
    await acquired(store)
    before = behind.hgetall(f"{BASE}:fences")
    lost = await acquired(store)
    behind.hset(f"{BASE}:fences", mapping=before)
    assert (await acquired(store)).epoch > lost.epoch


async def test_the_id_of_an_outbox_entry_is_not_used_twice_even_if_the_last_one_was_lost(
    store: RedisStore, behind: Driver
) -> None:
    publisher, counters = await acquired(store), behind.hgetall(f"{BASE}:counters")
    await store_all(store, new_run(events=[event()]))
    (lost,) = await store.pending(publisher, limit=10, wait=0)
    await store.published(publisher, [lost.id])
    behind.hset(f"{BASE}:counters", mapping={"outbox": "0", **counters})
    await store_all(store, new_run(events=[event()]))
    (entry,) = await store.pending(publisher, limit=10, wait=0)
    assert entry.id > lost.id


async def test_a_partition_that_lost_its_tail_is_lost_and_the_others_continue_at_once(
    store: RedisStore, behind: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    await sent(store, [0] * 5)
    behind.delete(f"{BASE}:stream:0:{CREATED_TOPIC}")
    again, other = await sent(store, [0] * 2), await sent(store, [1])
    for _ in range(2):
        arrivals = await store.receive(
            CREATED_TOPIC, {0: 5, 1: 0}, reader="test", limit=10, wait=LONG
        )
        assert (arrivals.lost, [item.event for item in arrivals.events], arrivals.read) == (
            {0: 2},
            other,
            {1: 1},
        )
    assert caplog.text.count(f"partition 0 of {CREATED_TOPIC} ends at 2, and was read up to 5") == 1
    assert await store.lag(CREATED_TOPIC, {0: 5}) == 0
    items = (await store.receive(CREATED_TOPIC, {0: 0}, reader="test", limit=10, wait=0)).events
    # as the next incarnation
    assert [(item.offset, item.event) for item in items] == [(0, again[0]), (1, again[1])]


async def test_a_partition_that_lost_all_events_begins_again(
    store: RedisStore, behind: Driver
) -> None:
    await sent(store, [0] * 5)
    behind.delete(f"{BASE}:stream:0:{CREATED_TOPIC}")
    assert (
        await store.receive(CREATED_TOPIC, {0: 5}, reader="test", limit=10, wait=LONG)
    ).lost == {0: 0}
    events = await sent(store, [0])
    assert await store.ends(CREATED_TOPIC, [0]) == {0: 1}
    assert [
        item.event
        for item in (
            await store.receive(CREATED_TOPIC, {0: 0}, reader="test", limit=10, wait=0)
        ).events
    ] == events


async def test_events_that_are_gone_are_skipped_and_reported(
    store: RedisStore, behind: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    events = await sent(store, [0] * 5)
    behind.xtrim(f"{BASE}:stream:0:{CREATED_TOPIC}", maxlen=2, approximate=False)
    items = (await store.receive(CREATED_TOPIC, {0: 1}, reader="test", limit=10, wait=0)).events
    assert [(item.offset, item.event) for item in items] == [(3, events[3]), (4, events[4])]
    (error,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert "events from offset 1 to 2 are gone" in error
    assert await store.lag(CREATED_TOPIC, {0: 1}) == 2


async def test_waiting_finds_runs_whose_events_were_lost(
    store: RedisStore, behind: Driver, clock: FakeClock
) -> None:
    publisher, run = await acquired(store), replace(new_run(events=[event()]), asks=True)
    await store_all(store, run)
    await store.move(publisher, limit=10, wait=0)
    behind.delete(f"{BASE}:stream:0:{CREATED_TOPIC}")
    await clock.advance(timedelta(seconds=300))
    (lost,) = (await store.waiting(WaitingQuery(workflow="orders", partition=0, quiet=300))).events
    await store.store([WriteGroup(events=(lost,))])
    await store.move(publisher, limit=10, wait=0)
    (item,) = await published(store)
    assert (item.event, item.record) == (lost, await stored(store, run.run_id))


async def test_a_server_with_too_few_replicas_is_read_only_for_a_while(
    own: Served, clock: FakeClock
) -> None:
    with own({}) as server, client_of(server) as client:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            run = new_run()
            client.config_set("min-replicas-to-write", 1)
            with pytest.raises(StoreReadOnly) as refusal:
                await store_all(store, run)
            assert refusal.value.transient
            assert await store.lookup([run.run_id]) == [None]
            client.config_set("min-replicas-to-write", 0)
            await store_all(store, run)
