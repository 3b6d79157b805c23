"""What is a store and what is not, and how soon the error comes."""

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from msgspec.structs import replace

from workflow_ray.errors import (
    AccessDenied,
    NotAStore,
    StoreError,
    StoreMismatch,
    StoreMissing,
    StoreReadOnly,
    StoreTooNew,
    StoreUnavailable,
)
from workflow_ray.records import NewTimeout, Removal, RunState, Version, WriteGroup
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import LONG, begin, result_of
from workflow_ray.testing.conformance.posts import callback, message_of, post
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    PARTITIONS,
    event,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
)
from workflow_ray_adapters.redis import RedisAdapter

from .conftest import BASE, Driver, Served, client_of
from .helpers import acquired, published

SECRET = "s3cret"
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "redis.md"


async def refused(url: str, error: type[StoreError], match: str, *, also_made: bool = True) -> None:
    """Check that creating and opening fail in time, in one line and without the secret."""
    began = monotonic()
    with pytest.raises(error, match=match) as opening:
        async with RedisAdapter().open_records(url, clock=FakeClock()):
            pass
    assert monotonic() - began < 5
    messages = [str(opening.value), repr(opening.value)]
    if also_made:
        began = monotonic()
        with pytest.raises(error, match=match) as making:
            await asyncio.to_thread(RedisAdapter().create, url)
        assert monotonic() - began < 5
        messages += [str(making.value), repr(making.value)]
    assert not any(SECRET in message or "\n" in message for message in messages)


@contextmanager
def listening(answer: bytes | None) -> Generator[int]:
    """Listen on a port, and answer every client with `answer`; None: with nothing.

    Returns the port.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # the port is closed
                    return
                held.append(connection)
                if answer is not None and connection.recv(1):
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


# --- servers ------------------------------------------------------------------------------------


async def test_a_port_without_a_server_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    await refused(f"redis://me:{SECRET}@127.0.0.1:{port}/0", StoreUnavailable, "can't be reached")


async def test_a_server_that_never_answers_is_reported() -> None:
    with listening(None) as port:
        await refused(
            f"redis://me:{SECRET}@127.0.0.1:{port}/0", StoreUnavailable, "didn't answer in time"
        )


async def test_a_server_of_another_kind_is_not_a_store() -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        await refused(f"redis://127.0.0.1:{port}/0", NotAStore, "not a Redis server")


async def test_a_wrong_password_is_refused(own: Served) -> None:
    with own({}) as server, client_of(server) as client:
        client.config_set("requirepass", "another")
        for user in (f":{SECRET}@", f"me:{SECRET}@", ""):
            await refused(f"redis://{user}127.0.0.1:{server.port}/0", AccessDenied, "password")


async def test_a_user_who_may_not_run_scripts_is_refused_with_what_is_missing(own: Served) -> None:
    with own({}) as server, client_of(server) as client:
        client.acl_setuser(
            "me", enabled=True, passwords=[f"+{SECRET}"], commands=["+get"], keys=["*"]
        )
        await refused(
            f"redis://me:{SECRET}@127.0.0.1:{server.port}/0", AccessDenied, "docs/redis.md"
        )


async def test_a_database_beyond_the_last_is_missing(redis_url: str) -> None:
    await refused(f"{redis_url.rpartition('/')[0]}/99999999", StoreMissing, "no such database")


async def test_a_server_that_would_drop_runs_is_not_a_store(own: Served) -> None:
    with own({"maxmemory-policy": "allkeys-lru"}) as server:
        await refused(server.url, NotAStore, "noeviction")


async def test_a_replica_can_not_be_written(own: Served) -> None:
    with own({}) as server, client_of(server) as client:
        client.replicaof("127.0.0.1", server.port)
        await refused(server.url, StoreReadOnly, "primary")


# --- prefixes -----------------------------------------------------------------------------------


async def test_opening_never_creates(redis_url: str, behind: Driver) -> None:
    await refused(redis_url, StoreMissing, "deploy", also_made=False)
    assert behind.dbsize() == 0


async def test_a_store_with_another_id_is_refused(url: str, clock: FakeClock) -> None:
    with pytest.raises(StoreMismatch):
        async with RedisAdapter().open_records(url, clock=clock, store_id="another"):
            pass


async def test_all_of_many_concurrent_creates_get_the_same_store_id(
    redis_url: str, clock: FakeClock
) -> None:
    ids = await asyncio.gather(
        *(asyncio.to_thread(RedisAdapter().create, redis_url) for _ in range(8))
    )
    async with RedisAdapter().open_records(redis_url, clock=clock) as store:
        assert {*ids, store.store_id, store.stream_id} == {store.store_id}


async def test_a_prefix_with_keys_of_another_program_is_not_a_store(
    redis_url: str, behind: Driver
) -> None:
    behind.set(f"{BASE}:theirs", "1")
    await refused(redis_url, StoreMissing, "deploy", also_made=False)
    with pytest.raises(NotAStore, match="another program"):
        RedisAdapter().create(redis_url)
    RedisAdapter().create(f"{redis_url}?prefix=ours")


@pytest.mark.parametrize("theirs", [{"name": "shop"}, {"id": "x", "format": "first"}])
async def test_a_key_of_another_program_in_place_of_the_store_is_refused(
    redis_url: str, behind: Driver, theirs: dict[str, str]
) -> None:
    behind.hset(f"{BASE}:store", mapping=theirs)
    await refused(redis_url, NotAStore, "another program")


async def test_a_key_of_another_type_in_place_of_the_store_is_refused(
    redis_url: str, behind: Driver
) -> None:
    behind.set(f"{BASE}:store", "theirs")
    await refused(redis_url, NotAStore, "another program")


async def test_a_newer_format_is_refused_unless_it_says_that_this_code_can_use_it(
    url: str, behind: Driver, clock: FakeClock
) -> None:
    behind.hset(f"{BASE}:store", mapping={"format": "5", "usable_from": "5"})
    await refused(url, StoreTooNew, "Update workflow_ray")
    behind.hset(f"{BASE}:store", "usable_from", "4")
    async with RedisAdapter().open_records(url, clock=clock) as store:
        await stored_run(store)


async def test_a_store_of_format_2_is_raised_to_this_one_by_the_next_deploy_and_keeps_its_runs(
    url: str, behind: Driver, clock: FakeClock
) -> None:
    async with RedisAdapter().open_records(url, clock=clock) as store:
        record = await stored_run(store)
    behind.hset(f"{BASE}:store", mapping={"format": "2", "usable_from": "2"})
    async with RedisAdapter().open_records(url, clock=clock) as store:
        assert await store.lookup([record.run_id]) == [record]
    RedisAdapter().create(url)
    assert behind.hmget(f"{BASE}:store", "format", "usable_from") == ["4", "4"]


async def test_a_store_of_format_3_gets_the_indexes_of_messages_and_timeouts(
    url: str, behind: Driver, clock: FakeClock
) -> None:
    async with RedisAdapter().open_records(url, clock=clock) as store:
        expiry = NewTimeout(name="expiry", workflow="orders", partition=0, after=60.0)
        run = replace(new_run(), timeouts=(expiry,))
        await store_all(store, run)
        message = callback(run, statuses=(run.status,))
        await post(store, message)
        end = step(run, run_state=RunState.COMPLETED)
        await store_all(store, end)
    for names in ("posted:*", "timeouts_of:*"):
        behind.delete(*behind.scan_iter(match=f"{BASE}:{names}"))
    behind.hset(f"{BASE}:run:{run.run_id}", "extra", "0 0 0 0 0")
    behind.hset(f"{BASE}:store", mapping={"format": "3", "usable_from": "3"})
    RedisAdapter().create(url)
    async with RedisAdapter().open_records(url, clock=clock) as store:
        assert (await stored(store, run.run_id)).data_version == 1
        removal = Removal(workflow="orders", runs=(run.run_id,))
        await store.store([WriteGroup(removals=(removal,))])
        assert (await message_of(store, message.key)).payload == b""
    assert not list(behind.scan_iter(match=f"{BASE}:due:*"))


async def test_a_format_that_this_code_can_not_read_is_refused_with_a_way_out(
    url: str, behind: Driver
) -> None:
    behind.hset(f"{BASE}:store", "format", "1")
    behind.hdel(f"{BASE}:store", "usable_from")
    await refused(url, NotAStore, "name another prefix")


async def test_each_prefix_is_a_store_of_its_own(redis_url: str, clock: FakeClock) -> None:
    urls = [f"{redis_url}?prefix={prefix}" for prefix in ("shop", "shop:2")]
    first, second = map(RedisAdapter().create, urls)
    assert first != second
    async with (
        RedisAdapter().open_records(urls[0], clock=clock) as one,
        RedisAdapter().open_records(urls[1], clock=clock) as other,
    ):
        record = await stored_run(one)
        assert await other.lookup([record.run_id]) == [None]


async def test_all_keys_are_in_one_slot_of_a_cluster(
    url: str, clock: FakeClock, behind: Driver
) -> None:
    async with RedisAdapter().open_records(url, clock=clock) as store:
        await stored_run(store)
    assert all(name.startswith(f"{BASE}:") for name in behind.scan_iter())


# --- durability ---------------------------------------------------------------------------------


async def test_opening_warns_of_writes_that_a_crash_can_lose(
    own: Served, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with own({"appendfsync": "always"}) as server, client_of(server) as client:
        RedisAdapter().create(server.url)

        async def warnings() -> list[str]:
            caplog.clear()
            async with RedisAdapter().open_events(server.url, clock=clock):
                return [
                    record.message for record in caplog.records if record.levelno == logging.WARNING
                ]

        assert await warnings() == []
        for setting, value in (
            ("no-appendfsync-on-rewrite", "yes"),
            ("appendfsync", "everysec"),
            ("appendonly", "no"),
        ):
            client.config_set(setting, value)
            (warning,) = await warnings()
            assert f"{setting} is" in warning


# --- permissions --------------------------------------------------------------------------------


async def test_the_permissions_in_the_documentation_are_enough(
    own: Served, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (rule,) = re.findall(r"^ACL SETUSER shop .*$", DOCUMENTATION.read_text(), re.MULTILINE)
    with own({"appendfsync": "always"}) as server, client_of(server) as client:
        client.execute_command(*rule.split())
        url = f"redis://shop:{SECRET}@127.0.0.1:{server.port}/0?prefix=shop"
        RedisAdapter().create(url)
        async with RedisAdapter().open_records(url, clock=clock) as store:
            publisher, run = await acquired(store), new_run(events=[event()])
            watch = await begin(clock, store.watch({run.run_id: Version(0)}, wait=LONG))
            await store_all(store, run)
            assert len(await result_of(watch)) == 1
            await store.prepare({CREATED_TOPIC: PARTITIONS})
            assert await store.move(publisher, limit=10, wait=0) == 1
            assert len(await published(store)) == 1
            await store.due("orders", 1, [0], limit=10, wait=0)
            await store.release(publisher)
        assert [record.message for record in caplog.records] == []
