"""Counters are folded, and shard counts change, while others work."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.ports import assigned
from workflow_ray.records import (
    PUBLISHER,
    Role,
    RunState,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    deploy,
    new_run,
    step,
    store_all,
    workflow,
)
from workflow_ray_adapters.sql import counters, leases
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.store import SqlStore

from .databases import ALL, execute
from .stores import opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(each_url: str, clock: FakeClock) -> AsyncIterator[SqlStore]:
    async with opened(each_url, clock) as store:
        yield store


async def test_counters_of_processes_that_ended_are_folded(
    each_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MOST", 3)
    for at in range(1, 8):
        async with opened(each_url, clock) as store:
            run = new_run()
            await store_all(store, run, step(run, run_state=RunState.COMPLETED), new_run())
            assert sum(count.runs for count in await store.counts("orders")) == 2 * at
            kept = await store._database.read(lambda session: session.rows(counters.RUNS.number))  # pyright: ignore[reportPrivateUsage]
            assert kept[0][0] <= 6


@pytest.mark.parametrize("empty_url", ALL[1:], indirect=True)  # SQLite has one writer at a time
async def test_a_counter_that_begins_while_others_are_folded_is_kept(
    each_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MOST", 0)
    read = Session.rows

    def rows(session: Session, statement: Any, **values: Any) -> Any:
        found = read(session, statement, **values)
        if statement == counters.RUNS.others:
            begun = (
                "INSERT INTO counters (workflow, status, run_state, writer, runs) VALUES ('orders',"
                " 1, 1, 'another', 5)"
            )
            with ThreadPoolExecutor(1) as threads:
                threads.submit(asyncio.run, execute(each_url, begun)).result()
        return found

    monkeypatch.setattr(Session, "rows", rows)
    async with opened(each_url, clock) as store:
        await store_all(store, new_run())
        assert [count.runs for count in await store.counts("orders")] == [6]


async def test_another_shard_count_fences_every_role_of_the_group(store: SqlStore) -> None:
    await deploy(store, workflow(groups={CONSUMERS: 2, PUBLISHER: 1}))
    old = [await store.acquire(Role(CONSUMERS, shard, 2)) for shard in (1, 2)]
    beside = await store.acquire(Role(PUBLISHER))
    await deploy(
        store, replace(workflow(groups={CONSUMERS: 2, PUBLISHER: 1}), scaled={CONSUMERS: 4})
    )
    answers = await store.store([WriteGroup(fence=fence) for fence in (*old, beside)])
    assert [type(answer).__name__ for answer in answers] == ["Fenced", "Fenced", "Committed"]
    assert (await store.acquire(Role(CONSUMERS, 1, 4))).epoch == 1
    await deploy(store, workflow(groups={CONSUMERS: 2, PUBLISHER: 1}))
    assert (await store.acquire(Role(CONSUMERS, 1, 2))).epoch > old[0].epoch + 1


async def test_what_an_operator_set_is_kept_with_the_deployment(store: SqlStore) -> None:
    wanted = replace(
        workflow(), scaled={CONSUMERS: 3}, draining=(CONSUMERS,), superseded=("a", "b")
    )
    deployed = await deploy(store, wanted)
    assert (await store.deployment()).workflows == deployed.workflows == (wanted,)


async def test_a_fair_share_is_decided_without_a_lock(
    each_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on while a worker decides what it should have."""
    deciding, go_on = threading.Event(), threading.Event()

    def slowly(*args: Any) -> Any:
        deciding.set()
        go_on.wait(10)
        return assigned(*args)

    async with opened(each_url, clock) as store, opened(each_url, clock) as other:
        await deploy(store, workflow(groups={CONSUMERS: 2}))
        roles = [Role(CONSUMERS, shard, 2) for shard in (1, 2)]
        if not each_url.startswith("sqlite"):
            # there the event loop decides it: the test is that the outcome is the same
            go_on.set()
        monkeypatch.setattr(leases, "assigned", slowly)
        sharing = asyncio.create_task(store.share("one", roles, [], lease=10))
        await asyncio.to_thread(deciding.wait, 10)
        await store_all(other, new_run())
        go_on.set()
        assert len((await sharing).acquired) == 2
        assert (await other.share("two", roles, [], lease=10)).acquired == ()
