"""A commit wakes nobody whom it does not concern, and idle processes read little."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from workflow_ray.records import (
    Committed,
    Fence,
    Fenced,
    RunState,
    Timeout,
    TimeoutKey,
    Version,
    WriteGroup,
)
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    new_run,
    step,
    store_all,
)
from workflow_ray_adapters.sql.session import Session

from .pairs import LONG, SOON, Pair, give_up, publisher, waits, woken

T = TypeVar("T")


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
