"""A commit wakes those who wait for what it changed, also in other processes, and nobody else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.adapters.sql import databases
from workflow_ray.ports import SystemClock, records_adapter
from workflow_ray.records import (
    PUBLISHER,
    Arrivals,
    Committed,
    Fence,
    Fenced,
    Role,
    RunState,
    Timeout,
    TimeoutKey,
    Version,
    WriteGroup,
)
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    deploy,
    event,
    new_run,
    step,
    store_all,
    workflow,
)
from workflow_ray_adapters.sql import changes, deployments, outbox, queries, stream
from workflow_ray_adapters.sql import timeouts as timeouts_of
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.store import SqlStore

T = TypeVar("T")
LONG = 60.0
SOON = 5.0
"""Seconds: more than any poll takes on a busy machine, and less than any wait."""


@dataclass
class Pair:
    """Two processes that have one store open."""

    here: SqlStore
    there: SqlStore
    looks: Counter[str]
    """What `here` and `there` have read for those who wait; `changes` is the poll for all of them.
    """


@pytest.fixture(params=databases.ALL)
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pair]:
    url = databases.empty(request.param, request, tmp_path)
    adapter, looks = records_adapter(url), Counter[str]()
    await asyncio.to_thread(adapter.create, url)
    for module, name in (
        (queries, "newer"),
        (stream, "receive"),
        (outbox, "read_pending"),
        (timeouts_of, "due"),
        (deployments, "newer"),
        (changes, "read"),
    ):
        _count(monkeypatch, looks, module, name)

    def opened() -> AbstractAsyncContextManager[Any]:
        return adapter.open_records(url, clock=SystemClock(), exclusive=False)

    async with AsyncExitStack() as stack:
        yield Pair(
            await stack.enter_async_context(opened()),
            await stack.enter_async_context(opened()),
            looks,
        )


def _count(monkeypatch: pytest.MonkeyPatch, looks: Counter[str], module: Any, name: str) -> None:
    look = getattr(module, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        looks[module.__name__.rpartition(".")[2]] += 1
        return look(*args, **kwargs)

    monkeypatch.setattr(module, name, counting)


async def waits(*calls: Coroutine[Any, Any, T]) -> list[asyncio.Task[T]]:
    """Start the calls as tasks, and check that they wait."""
    waiting = [asyncio.create_task(call) for call in calls]
    assert not (await asyncio.wait(waiting, timeout=0.5))[0]
    return waiting


async def woken(call: Coroutine[Any, Any, T], cause: Callable[[], Awaitable[object]]) -> T:
    """Return the answer of a call that waits until another process does something."""
    (waiting,) = await waits(call)
    await cause()
    return await asyncio.wait_for(waiting, SOON)


async def publisher(store: SqlStore) -> Fence:
    await deploy(store, workflow())
    return await store.acquire(Role(PUBLISHER))


async def give_up(waiting: list[asyncio.Task[Any]]) -> None:
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


# --- what wakes ---------------------------------------------------------------------------------


async def test_a_run_that_another_process_writes_wakes_who_watches_it(pair: Pair) -> None:
    run = new_run()
    (record,) = await woken(
        pair.here.watch({run.run_id: Version(0)}, wait=LONG), lambda: store_all(pair.there, run)
    )
    assert record.run_id == run.run_id


async def test_events_that_another_process_publishes_wake_who_receives_again_and_again(
    pair: Pair,
) -> None:
    fence = await publisher(pair.there)

    async def publish() -> None:
        await store_all(pair.there, new_run(events=[event()]))
        await pair.there.move(fence, limit=10, wait=0)

    for offset in range(3):  # from the second time on the reader knows that nothing follows
        receiving = pair.here.receive(
            CREATED_TOPIC, {0: offset, 1: 0}, reader="consumer", limit=10, wait=LONG
        )
        arrivals = await woken(receiving, publish)
        assert [item.offset for item in arrivals.events] == [offset]


async def test_an_event_that_is_published_between_two_calls_is_received_at_once(pair: Pair) -> None:
    fence = await publisher(pair.there)
    for offset in range(5):

        async def receive(wait: float, offset: int = offset) -> Arrivals:
            return await pair.here.receive(
                CREATED_TOPIC, {0: offset}, reader="consumer", limit=10, wait=wait
            )

        assert not (await receive(0.01)).events
        await store_all(pair.there, new_run(events=[event()]))
        await pair.there.move(fence, limit=10, wait=0)
        async with asyncio.timeout(SOON):
            assert len((await receive(LONG)).events) == 1


async def test_an_entry_that_another_process_adds_wakes_the_publisher(pair: Pair) -> None:
    fence = await publisher(pair.here)
    entries = await woken(
        pair.here.pending(fence, limit=10, wait=LONG),
        lambda: store_all(pair.there, new_run(events=[event()])),
    )
    assert len(entries) == 1


async def test_an_entry_that_another_process_adds_wakes_who_moves(pair: Pair) -> None:
    fence = await publisher(pair.here)
    moving = await waits(pair.here.move(fence, limit=10, wait=LONG))
    receiving = pair.there.receive(CREATED_TOPIC, {0: 0}, reader="consumer", limit=10, wait=LONG)
    arrivals = await woken(receiving, lambda: store_all(pair.there, new_run(events=[event()])))
    assert len(arrivals.events) == 1
    await give_up(moving)


async def test_a_holder_whose_role_another_process_acquires_is_woken_at_once(pair: Pair) -> None:
    fence = await publisher(pair.here)
    calls = await waits(
        pair.here.pending(fence, limit=10, wait=LONG), pair.here.move(fence, limit=10, wait=LONG)
    )
    await pair.there.acquire(Role(PUBLISHER))
    async with asyncio.timeout(SOON):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["RoleLost", "RoleLost"]


async def test_a_deployment_wakes_who_waits_for_a_newer_one(pair: Pair) -> None:
    before = await pair.here.deployment()
    waiting = pair.here.deployment(newer_than=before.version, wait=LONG)
    newer = await woken(waiting, lambda: deploy(pair.there, workflow()))
    assert (newer.version, len(newer.workflows)) == (before.version + 1, 1)
    assert await pair.here.deployment(newer_than=before.version, wait=LONG) == newer
    assert await pair.here.deployment(newer_than=newer.version, wait=0.01) == newer


async def test_more_than_a_notification_holds_wakes_too(pair: Pair) -> None:
    runs = [new_run() for _ in range(500)]
    (record,) = await woken(
        pair.here.watch({runs[300].run_id: Version(0)}, wait=LONG),
        lambda: store_all(pair.there, *runs),
    )
    assert record.run_id == runs[300].run_id


# --- what doesn't -------------------------------------------------------------------------------


async def test_what_concerns_nobody_makes_nobody_read(pair: Pair) -> None:
    fence, watched = await publisher(pair.here), [new_run() for _ in range(100)]
    await store_all(pair.here, *watched)
    due = pair.here.due("orders", 1, [0], limit=10, wait=LONG)
    waiting = await waits(
        *(pair.here.watch({run.run_id: Version(1)}, wait=LONG) for run in watched),
        *(pair.here.watch({run.run_id: Version(1)}, wait=LONG, at_rest=True) for run in watched),
        *(
            pair.here.receive(CREATED_TOPIC, {at: 0}, reader=f"consumer-{at}", limit=10, wait=LONG)
            for at in range(100)
        ),
        pair.here.deployment(newer_than=(await pair.here.deployment()).version, wait=LONG),
        pair.here.move(fence, limit=10, wait=LONG),
        due,
    )
    while pair.looks["stream"] < 100 or not (pair.looks["timeouts"] and pair.looks["deployments"]):
        await asyncio.sleep(0.01)  # each has looked once
    await asyncio.sleep(0.3)
    pair.looks.clear()
    for _ in range(20):
        await store_all(pair.there, new_run(), new_run())
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    at_once = pair.looks.pop("changes", 0)
    # `changes`: one poll for all, where the database cannot say what changed
    assert (pair.looks, at_once <= 20) == ({}, True)
    await give_up(waiting)


async def test_of_many_who_wait_only_the_one_concerned_reads(pair: Pair) -> None:
    runs = [new_run() for _ in range(200)]
    await store_all(pair.here, *runs)
    waiting = await waits(*(pair.here.watch({run.run_id: Version(1)}, wait=LONG) for run in runs))
    await asyncio.sleep(0.3)
    pair.looks.clear()
    await store_all(pair.there, step(runs[7]))
    assert len(await asyncio.wait_for(waiting[7], SOON)) == 1
    await asyncio.sleep(0.2)
    assert (pair.looks["queries"], [task.done() for task in waiting].count(True)) == (1, 1)
    await give_up(waiting)


async def test_the_end_of_a_run_wakes_who_waits_for_it_and_its_other_versions_do_not(
    pair: Pair,
) -> None:
    begun = new_run()
    going_on = step(begun)
    await store_all(pair.there, begun)
    (waiting,) = await waits(pair.here.watch({begun.run_id: Version(1)}, wait=LONG, at_rest=True))
    pair.looks.clear()
    await store_all(pair.there, going_on)
    await asyncio.sleep(0.2)
    await store_all(pair.there, step(going_on, run_state=RunState.COMPLETED))
    (record,) = await asyncio.wait_for(waiting, SOON)
    assert (record.version, pair.looks["queries"]) == (3, 1)


async def test_idle_checks_of_many_fences_are_one_read(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = list[object]()
    database = pair.here._database  # pyright: ignore[reportPrivateUsage]  # what reaches it is counted
    read = database.read

    async def counting(work: Callable[[Session], T]) -> T:
        reads.append(work)
        return await read(work)

    fence = await publisher(pair.here)
    monkeypatch.setattr(database, "read", counting)
    checks = [
        pair.here.store([WriteGroup(fence=Fence(fence.role, fence.epoch + at % 2))])
        for at in range(500)
    ]
    answers = await asyncio.gather(*checks)
    assert answers == [[Committed(())], [Fenced(fence.role, fence.epoch)]] * 250
    assert len([work for work in reads if "epochs" in str(work) or "FenceChecks" in str(work)]) <= 2


async def test_a_timeout_that_another_process_creates_wakes_who_waits_for_its_status(
    pair: Pair,
) -> None:
    run = new_run()
    await store_all(pair.there, run)
    (record,) = [record for record in await pair.there.lookup([run.run_id], fresh=True) if record]
    key = TimeoutKey(run.run_id, Version(1), "payment")
    timeout = Timeout(
        key=key, workflow="orders", status=run.status, partition=0, due_at=record.created_at
    )
    waiting = pair.here.due("orders", run.status, [0], limit=10, wait=LONG)
    assert await woken(waiting, lambda: pair.there.create([timeout])) == [timeout]


async def test_many_idle_roles_beside_others_writes_read_little(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each receives, and checks every second that it holds its role. Alone that would be 400 reads
    a second.
    """
    reads = 0
    database = pair.here._database  # pyright: ignore[reportPrivateUsage]  # what reaches it is counted
    read = database.read

    async def counting(work: Callable[[Session], T]) -> T:
        nonlocal reads
        reads += 1
        return await read(work)

    fence = await publisher(pair.here)

    async def idle(number: int) -> None:
        while True:
            await pair.here.receive(
                CREATED_TOPIC, {number: 0}, reader=f"role-{number}", limit=10, wait=1.0
            )
            await pair.here.store([WriteGroup(fence=fence)])

    roles = [asyncio.create_task(idle(number)) for number in range(200)]
    await asyncio.sleep(1.5)  # until each has looked once
    monkeypatch.setattr(database, "read", counting)
    began = asyncio.get_running_loop().time()
    for _ in range(40):
        await store_all(pair.there, new_run())
        await asyncio.sleep(0.05)
    assert reads / (asyncio.get_running_loop().time() - began) < 50
    await give_up(roles)
