"""Scripts: how many calls there are, how much they can take, and what the server forgets."""

import random
from collections.abc import Awaitable, Callable, Sequence

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.records import (
    MAX_DATA,
    Cause,
    Conflict,
    Fence,
    MessageQuery,
    ParkedQuery,
    Position,
    Removal,
    RunId,
    RunQuery,
    RunState,
    Stored,
    Timeout,
    TimeoutKey,
    Version,
    Write,
    WriteGroup,
)
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray.testing.conformance.flow import parked_at
from workflow_ray.testing.conformance.kin import GATHERED, child, starting
from workflow_ray.testing.conformance.posts import callback, end, post
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED_TOPIC,
    PARTITIONS,
    event,
    group,
    new_run,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)
from workflow_ray.testing.conformance.runs import START as BEGIN
from workflow_ray.testing.conformance.streams import sent
from workflow_ray_adapters.redis import RedisAdapter
from workflow_ray_adapters.redis.store import RedisStore

from .conftest import Driver, Served, client_of
from .helpers import acquired, published

Batch = Callable[[RedisStore, Fence, Sequence[Write]], Awaitable[object]]

BATCHES: dict[str, Batch] = {
    "store": lambda store, _, runs: store_all(
        store, *(step(run, events=[event()]) for run in runs)
    ),
    "store new runs": lambda store, _, runs: store_all(store, *(new_run() for _ in runs)),
    "post messages": lambda store, _, runs: post(
        store, *(callback(run, run.run_id) for run in runs)
    ),
    "messages": lambda store, _, runs: store.messages(
        MessageQuery(run_ids=tuple(run.run_id for run in runs))
    ),
    "park": lambda store, _, runs: store_all(
        store, *(parked_at(step(run, status=run.status), run.run_id[-1:]) for run in runs)
    ),
    "parked": lambda store, _, runs: store.parked(
        ParkedQuery(workflow="orders", status=1, keys=len(runs), per_key=len(runs))
    ),
    "label": lambda store, _, runs: store_all(
        store, *(replace(step(run), labels={"run": run.run_id}) for run in runs)
    ),
    "end, erase and remove": lambda store, _, runs: store.store(
        [
            WriteGroup(
                writes=tuple(replace(end(run), data=b"", erases=True) for run in runs),
                removals=(
                    Removal(
                        workflow="orders",
                        runs=tuple(run.run_id for run in runs),
                        keys_below=new_run().run_id,
                    ),
                ),
            )
        ]
    ),
    "start children": lambda store, _, runs: store_all(
        store, *(starting(run, child(link=GATHERED)) for run in runs)
    ),
    "lookup": lambda store, _, runs: store.lookup([run.run_id for run in runs]),
    "latest": lambda store, _, runs: store.latest(
        "orders", [f"order-{run.run_id}" for run in runs]
    ),
    "runs": lambda store, _, runs: store.runs(RunQuery(workflow="orders", limit=len(runs))),
    "watch": lambda store, _, runs: store.watch({run.run_id: Version(0) for run in runs}, wait=0),
    "pending": lambda store, fence, runs: store.pending(fence, limit=len(runs), wait=0),
    "published": lambda store, fence, runs: store.published(fence, range(len(runs))),
    "move": lambda store, fence, runs: store.move(fence, limit=len(runs), wait=0),
    "send": lambda store, _, runs: sent(store, [at % PARTITIONS for at in range(len(runs))]),
    "receive": lambda store, _, runs: store.receive(
        CREATED_TOPIC, BEGIN, reader="test", limit=len(runs), wait=0
    ),
    "timeouts": lambda store, _, runs: store.create([timeout(run) for run in runs]),
    "completed timeouts": lambda store, _, runs: store.complete([timeout(run).key for run in runs]),
}


def timeout(run: Write) -> Timeout:
    key = TimeoutKey(run.run_id, Version(1), "payment")
    return Timeout(key=key, workflow="orders", status=1, partition=0, due_at=START)


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
async def test_a_batch_is_one_call_however_large(
    own: Served, clock: FakeClock, batch: Batch
) -> None:
    with own({}) as server, client_of(server) as client:
        RedisAdapter().create(server.url)
        async with RedisAdapter().open_records(server.url, clock=clock, exclusive=False) as store:
            fence = await acquired(store)
            calls = list[int]()
            for size in (1, 500, 500):  # the first call may send a script
                runs = [new_run(events=[event(at % PARTITIONS)]) for at in range(size)]
                await store_all(store, *runs)
                before = client.info("commandstats")
                await batch(store, fence, runs)
                after = client.info("commandstats")
                calls.append(
                    sum(
                        after.get(name, {"calls": 0})["calls"]
                        - before.get(name, {"calls": 0})["calls"]
                        for name in CALLS
                    )
                )
            assert calls[1:] == [1, 1]


CALLS = ("cmdstat_evalsha", "cmdstat_eval")


async def test_scripts_that_the_server_has_forgotten_are_sent_again(
    store: RedisStore, behind: Driver
) -> None:
    record = await stored_run(store)
    behind.script_flush()
    await store_all(store, step(record))
    behind.script_flush()
    assert (await stored(store, record.run_id)).version == 2


# --- sizes --------------------------------------------------------------------------------------


async def test_a_batch_may_have_thousands_of_runs_with_kilobytes_of_data(store: RedisStore) -> None:
    runs = [new_run(data=b"x" * 10_000, events=[event(at % PARTITIONS)]) for at in range(2000)]
    assert await store_all(store, *runs) == [Stored(run.run_id, Version(1)) for run in runs]
    publisher = await acquired(store)
    assert await store.move(publisher, limit=10_000, wait=0) == 2000
    assert len(await published(store)) > 800  # as many as a batch has room for


async def test_one_run_may_be_written_thousands_of_times_in_a_batch(store: RedisStore) -> None:
    publisher, write = await acquired(store), new_run(events=[event()])
    writes = [write, *(write := step(write, events=[event()]) for _ in range(4999))]
    await store_all(store, *writes)
    assert (await stored(store, write.run_id)).version == 5000
    assert len(await versions(store, write.run_id)) == 1000  # a page
    assert await store.move(publisher, limit=10_000, wait=0) == 5000


@pytest.mark.parametrize(
    "data",
    [b"\0" * MAX_DATA, bytes(range(256)) * 4096, b""],
    ids=["16 MiB", "every byte", "nothing"],
)
async def test_data_may_be_any_bytes(store: RedisStore, data: bytes) -> None:
    run = new_run(data=data)
    await store_all(store, run)
    assert (await stored(store, run.run_id)).data == data


async def test_numbers_that_are_too_large_for_lua_are_exact(store: RedisStore) -> None:
    large = 2**62
    record = await stored_run(store)
    late = step(record)
    far = Write(
        run_id=record.run_id,
        write_id=late.write_id,
        expected=Version(large),
        status=late.status,
        run_state=late.run_state,
        visit=Version(large),
        cause=Cause.STEP,
        by="test",
    )
    assert await store_all(store, far) == [Conflict(record.run_id, Version(1))]
    for offset in (large, large + 1, large - 1):
        await store.store([group(positions=[Position(CONSUMERS, 0, offset)])])
    assert await store.positions(CONSUMERS) == [Position(CONSUMERS, 0, large + 1)]
    assert await store.watch({record.run_id: Version(large)}, wait=0) == []


@pytest.mark.parametrize("flawed", [{"reason": "\ud83e"}, {"by": "half \udd84"}])
async def test_text_that_is_not_unicode_is_rejected(
    store: RedisStore, flawed: dict[str, str]
) -> None:
    run = new_run()
    end = {"by": "test"} | flawed
    bad = Write(
        run_id=run.run_id,
        write_id=run.write_id,
        expected=Version(1),
        status=1,
        run_state=RunState.PAUSED,
        visit=Version(1),
        cause=Cause.PAUSE,
        by=end["by"],
        reason=end.get("reason"),
    )
    with pytest.raises(WriteRejected):
        await store_all(store, run, bad)
    assert await store.lookup([run.run_id]) == [None]


# --- queries ------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_run_is_found_after_thousands_that_do_not_match(
    store: RedisStore, clock: FakeClock, newest_first: bool
) -> None:
    before = [new_run() for _ in range(2500)]
    await store_all(store, *before)
    wanted = [new_run(), new_run()]
    after = [new_run() for _ in range(2500)]
    instant = clock.now()
    clock.jump(instant.replace(year=instant.year + 1))
    await store_all(store, *wanted)
    clock.jump(instant.replace(year=instant.year + 2))
    await store_all(store, *after)
    query = RunQuery(
        workflow="orders",
        created_from=instant.replace(year=instant.year + 1),
        created_before=instant.replace(year=instant.year + 2),
        newest_first=newest_first,
    )
    found = [record.run_id for record in await store.runs(query)]
    assert found == sorted((run.run_id for run in wanted), reverse=newest_first)


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_of_runs_in_many_statuses_are_sorted_and_complete(
    store: RedisStore, newest_first: bool, rng: random.Random
) -> None:
    runs = [new_run(status=rng.choice([1] * 50 + [*range(2, 40)])) for _ in range(3000)]
    await store_all(store, *runs)
    statuses = tuple(range(1, 39))
    wanted = sorted((run.run_id for run in runs if run.status in statuses), reverse=newest_first)
    query, seen = (
        RunQuery(workflow="orders", statuses=statuses, newest_first=newest_first, limit=300),
        list[RunId](),
    )
    while page := await store.runs(replace(query, after=seen[-1] if seen else None)):
        seen += [record.run_id for record in page]
    assert seen == wanted


async def test_events_after_a_topic_partition_that_is_left_out_are_pending(
    store: RedisStore,
) -> None:
    publisher = await acquired(store)
    await store_all(
        store, *(new_run(events=[event(0)]) for _ in range(3000)), new_run(events=[event(1)])
    )
    entries = await store.pending(publisher, limit=5, wait=0, without=[(CREATED_TOPIC, 0)])
    assert [entry.event and entry.event.partition for entry in entries] == [1]
