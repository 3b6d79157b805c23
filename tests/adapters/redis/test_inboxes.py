"""Large inboxes and families: what they cost, and that nothing of them is missed."""

from collections import Counter

import msgspec
from msgspec.structs import replace

from workflow_ray.records import (
    MAX_DATA,
    ChildrenEnd,
    MessageKind,
    MessageOutcome,
    MessageQuery,
    RunId,
)
from workflow_ray.testing.conformance.kin import ENDED, GATHERED, child, children_of, parent_of
from workflow_ray.testing.conformance.posts import (
    callback,
    end,
    key,
    message_of,
    post,
    resting_run,
    stay,
)
from workflow_ray.testing.conformance.runs import PAID, step, store_all, stored
from workflow_ray_adapters.redis.store import RedisStore

from .helpers import acquired

MANY = 3000


async def test_a_write_that_keeps_the_status_takes_one_of_thousands_of_messages(
    store: RedisStore,
) -> None:
    run = await resting_run(store)
    await post(store, *(callback(run, f"m-{at}") for at in range(MANY)))
    publisher = await acquired(store)
    await store.move(publisher, limit=10_000, wait=0)
    await store_all(store, replace(stay(run, visit=1), takes=(key("m-7"),)))
    record = await stored(store, run.run_id)
    assert record.messages == MANY - 1
    # The others are accepted as before, so that the run is woken again.
    assert await store.move(publisher, limit=10, wait=0) == 1
    waiting = await store.messages(MessageQuery(run_ids=(run.run_id,), limit=10))
    assert [message.key.id for message in waiting] == [f"m-{at}" for at in range(11) if at != 7]


async def test_a_write_that_leaves_the_status_settles_thousands_of_messages(
    store: RedisStore,
) -> None:
    run = await resting_run(store)
    await post(
        store,
        *(callback(run, f"m-{at}") for at in range(MANY)),
        *(callback(run, f"kept-{at}", kept_at=(PAID,)) for at in range(MANY)),
    )
    await store_all(store, step(run, status=PAID))
    assert (await stored(store, run.run_id)).messages == MANY
    assert (await message_of(store, key("m-0"))).outcome is MessageOutcome.PASSED
    await store_all(store, end(await stored(store, run.run_id)))
    assert (await stored(store, run.run_id)).messages == 0
    assert await store.messages(MessageQuery(run_ids=(run.run_id,))) == []


async def test_thousands_of_children_start_and_end_in_one_call_each(store: RedisStore) -> None:
    both = replace(ENDED, gathered_at=GATHERED.gathered_at)
    children = [child(link=both) for _ in range(MANY)]
    parent = await parent_of(store, *children, gathers=True)
    found = list[RunId]()
    while page := await children_of(store, parent, after=found[-1] if found else None):
        found += page
    assert found == sorted(each.write.run_id for each in children)
    await store_all(store, *(end(each.write) for each in children))
    waiting = await store.messages(MessageQuery(run_ids=(parent.run_id,), limit=2 * MANY))
    kinds = Counter(message.key.kind for message in waiting)
    assert kinds == {MessageKind.CHILD: MANY, MessageKind.CHILDREN: 1}
    (last,) = [message for message in waiting if message.key.kind is MessageKind.CHILDREN]
    counts = ChildrenEnd(since=parent.version, started=MANY, completed=MANY)
    assert last.payload == msgspec.json.encode(counts)


async def test_a_payload_may_be_any_bytes(store: RedisStore) -> None:
    run = await resting_run(store)
    large = callback(run, "m-1", payload=b"\0" * MAX_DATA)
    small = callback(run, "m-2", payload=bytes(range(256)))
    await post(store, large, small)
    assert (await message_of(store, large.key)).payload == large.payload
    assert (await message_of(store, small.key)).payload == small.payload
