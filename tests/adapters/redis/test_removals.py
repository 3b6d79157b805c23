"""What erased and removed runs leave in the database."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis as driver
from msgspec.structs import replace

from workflow_ray.records import (
    ErrorDetail,
    KeyUsed,
    NewTimeout,
    OnceResult,
    Parking,
    Removal,
    RunState,
    Version,
    Write,
    WriteGroup,
)
from workflow_ray.testing.conformance.kin import GATHERED, child
from workflow_ray.testing.conformance.posts import (
    callback,
    commit,
    end,
    fail,
    failure,
    keep_result,
    message_of,
    post,
    publish_all,
    taking,
)
from workflow_ray.testing.conformance.runs import CREATED, PAID, new_run, step, store_all
from workflow_ray_adapters.redis.store import RedisStore

from .helpers import acquired
from .values import Raw, holders

SECRET = "marked-secret"
EXPIRY = NewTimeout(name="expiry", workflow="orders", partition=0, after=60.0)


@pytest.fixture
def raw(redis_url: str) -> Iterator[Raw]:
    """A client of the store's database that answers in bytes."""
    where = urlsplit(redis_url)
    with driver.Redis(
        host=str(where.hostname), port=where.port or 0, db=int(where.path[1:])
    ) as client:
        yield client


async def test_nothing_that_was_erased_is_left(store: RedisStore, raw: Raw) -> None:
    ended = await eventful_run(store)
    assert holders(raw, SECRET)
    await store_all(store, erasing(ended))
    assert holders(raw, SECRET) == []


async def test_data_whose_entry_was_trimmed_is_erased(store: RedisStore, raw: Raw) -> None:
    run = new_run(data=SECRET.encode())
    ended = end(run)
    await store_all(store, run, ended)
    await remove(store, Removal(workflow="orders", histories=(run.run_id,)))
    assert holders(raw, SECRET)
    await store_all(store, erasing(ended))
    assert holders(raw, SECRET) == []


async def test_versions_of_the_same_call_are_erased(store: RedisStore, raw: Raw) -> None:
    run = new_run(data=SECRET.encode())
    ended = replace(end(run), reason=SECRET)
    await store_all(store, run, ended, erasing(ended))
    assert holders(raw, SECRET) == []
    assert [entry.data for entry in await store.history(run.run_id)] == [b"", None, b""]


async def test_a_removed_run_leaves_its_key_and_messages_and_these_leave_nothing(
    store: RedisStore, raw: Raw
) -> None:
    publisher = await acquired(store)
    ended = await eventful_run(store)
    await publish_all(store, publisher)
    await remove(store, Removal(workflow="orders", runs=(ended.run_id,)))
    assert holders(raw, SECRET) == []
    kept = {key.split(b":")[1] for key in holders(raw, ended.run_id)}
    assert kept == {b"posted", b"failed", b"messages", b"keys", b"gone"}
    again = new_run(key="cart-1")
    assert await store_all(store, again) == [KeyUsed(again.run_id, ended.run_id, b"d" * 16)]
    assert await remove(store, Removal(workflow="orders", keys_below=again.run_id)) == 4
    assert holders(raw, ended.run_id) == []


async def test_a_removed_run_that_is_made_again_keeps_its_messages(store: RedisStore) -> None:
    run = new_run()
    message = callback(run)
    await store_all(store, run)
    await post(store, message)
    await store_all(store, end(run))
    await remove(store, Removal(workflow="orders", runs=(run.run_id,)))
    await store_all(store, run)  # a late repetition of the trigger
    below = new_run().run_id
    assert await remove(store, Removal(workflow="orders", keys_below=below)) == 0
    await store_all(store, end(run))
    await remove(store, Removal(workflow="orders", runs=(run.run_id,)))
    assert (await message_of(store, message.key)).run_id == run.run_id
    assert await remove(store, Removal(workflow="orders", keys_below=below)) == 1


async def eventful_run(store: RedisStore) -> Write:
    """Store a run that has all that a run can have, and return its last write."""
    secret = SECRET.encode()
    run = replace(
        new_run(key="cart-1", digest=b"d" * 16, data=secret),
        labels={"tenant": SECRET},
        parking=Parking(key=SECRET),
        timeouts=(EXPIRY,),
        children=(child(link=replace(GATHERED, cascades=True)),),
    )
    await store_all(store, run)
    messages = [
        callback(run, f"m-{at}", statuses=(CREATED, PAID), payload=secret) for at in range(3)
    ]
    await post(store, *messages)
    taken, failed, _ = [await message_of(store, message.key) for message in messages]
    await fail(
        store,
        failure(taken, attempt=1, retry_in=0.0, reason=SECRET),
        failure(failed, attempt=1, reason=SECRET),
    )
    error = ErrorDetail(type="ValueError", message=SECRET)
    paid = replace(taking(run, taken.key), reason=SECRET, error=error, data=secret)
    await store_all(store, paid)
    await keep_result(
        store, OnceResult(run_id=run.run_id, visit=Version(2), name="charge", result=secret)
    )
    ended = end(paid)
    await store_all(store, ended)
    return ended


def erasing(before: Write) -> Write:
    write = step(before, status=before.status, run_state=RunState.DATA_DELETED, data=b"")
    return replace(write, visit=before.visit, labels={}, erases=True)


async def remove(store: RedisStore, removal: Removal) -> int:
    (number,) = (await commit(store, WriteGroup(removals=(removal,)))).removed
    return number
