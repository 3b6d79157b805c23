"""How the gathering writer gathers, and who gets which error when something fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from workflow_ray.errors import RoleLost, StoreBusy, StoreUnavailable, WriteRejected
from workflow_ray.ports import SystemClock
from workflow_ray.records import PUBLISHER, Fenced, Role, Stored, Version
from workflow_ray.testing.conformance.runs import (
    acquire,
    event,
    group,
    new_run,
    received,
    store_all,
)
from workflow_ray_adapters.sql import requests
from workflow_ray_adapters.sql.database import Aborted
from workflow_ray_adapters.sql.store import SqlStore

from .gated import Gated, asked, held_up, settle, unfit


@pytest.fixture
def database(path: Path, store_id: str) -> Gated:
    return Gated(str(path))


@pytest.fixture
async def store(database: Gated, store_id: str) -> AsyncIterator[SqlStore]:
    async with AsyncExitStack() as stack:
        stack.callback(database.close)
        yield await stack.enter_async_context(SqlStore(database, SystemClock(), store_id).serve())


async def test_what_arrives_meanwhile_shares_the_next_transaction(
    database: Gated, store: SqlStore
) -> None:
    async with held_up(database, store):
        calls = asked(store, *(new_run() for _ in range(100)))
        await settle()
    await asyncio.gather(*calls)
    assert database.transactions == 2


async def test_a_transaction_takes_no_more_than_its_rows(
    database: Gated, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "TRANSACTION_ROWS", 10)
    async with held_up(database, store):
        calls = asked(store, *(new_run() for _ in range(25)))
        await settle()
    await asyncio.gather(*calls)
    assert database.transactions == 1 + 3


async def test_only_the_request_at_fault_gets_the_error(database: Gated, store: SqlStore) -> None:
    runs = [new_run() for _ in range(20)]
    async with held_up(database, store):
        calls = asked(store, *runs[:7], unfit(), *runs[7:])
        await settle()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(7), WriteRejected)
    assert answers == [[Stored(run.run_id, Version(1))] for run in runs]


async def test_text_that_no_encoding_holds_is_rejected(store: SqlStore) -> None:
    with pytest.raises(WriteRejected):
        await store_all(store, replace(new_run(), reason="\ud800"))


async def test_a_store_that_fails_says_so_to_everybody(database: Gated, store: SqlStore) -> None:
    async with held_up(database, store):
        calls = asked(store, new_run(), new_run())
        await settle()
    database.failure = StoreUnavailable(database.where, "it is gone.")
    answers = await asyncio.gather(*asked(store, new_run(), new_run()), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    database.failure = None
    assert await asyncio.gather(*calls)
    await store_all(store, new_run())


async def test_a_full_queue_is_busy_for_clients_and_open_for_roles(
    database: Gated, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "QUEUE_ROWS", 3)
    fence, of_role = await acquire(store), new_run()
    async with held_up(database, store):
        calls = asked(store, *(new_run() for _ in range(4)))
        await settle()
        with pytest.raises(StoreBusy, match="Try again"):
            await calls[3]
        role = asyncio.create_task(store_all(store, of_role, fence=fence))
        await settle()
    await asyncio.gather(*calls[:3])
    assert await role == [Stored(of_role.run_id, Version(1))]


async def test_roles_go_before_clients(
    database: Gated, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "TRANSACTION_ROWS", 1)
    fence = await acquire(store)
    ended: list[str] = []
    async with held_up(database, store):
        (client,) = asked(store, new_run())
        client.add_done_callback(lambda _: ended.append("client"))
        await settle()
        role = asyncio.create_task(store_all(store, new_run(), fence=fence))
        role.add_done_callback(lambda _: ended.append("role"))
        await settle()
    await asyncio.gather(client, role)
    assert ended == ["role", "client"]


async def test_roles_that_always_have_more_to_write_do_not_starve_clients(
    database: Gated, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when runs repeat without delay, and what they write fills each transaction."""
    monkeypatch.setattr(requests, "TRANSACTION_ROWS", 10)
    fence = await acquire(store)

    async def repeat() -> None:
        while True:
            await store_all(store, *(new_run() for _ in range(10)), fence=fence)

    async with held_up(database, store):
        roles = [asyncio.create_task(repeat()) for _ in range(3)]
        await settle()
        clients = asked(store, *(new_run() for _ in range(30)))
        await settle()
    before = database.transactions
    pending: set[asyncio.Task[object]] = {*clients}
    while pending and database.transactions < before + 100:
        _, pending = await asyncio.wait(pending, timeout=0.01)
    for role in roles:
        role.cancel()
    await asyncio.gather(*roles, *pending, return_exceptions=True)
    assert database.transactions <= before + 3 * (requests.PASSED_OVER + 1) + 3
    assert {
        type(answer) for client in clients for answer in cast(list[object], client.result())
    } == {Stored}


async def test_a_cancelled_call_disturbs_nobody(database: Gated, store: SqlStore) -> None:
    async with held_up(database, store):
        cancelled, other = asked(store, new_run(), new_run())
        await settle()
        cancelled.cancel()
    assert await other
    assert cancelled.cancelled()


async def test_a_lost_answer_is_given_again(database: Gated, store: SqlStore) -> None:
    run = new_run()
    async with held_up(database, store):
        (call,) = asked(store, run)
        await settle()
        call.cancel()
    assert await store_all(store, run, run) == [Stored(run.run_id, Version(1))] * 2


async def test_closing_finishes_what_was_asked(path: Path, store_id: str) -> None:
    database = Gated(str(path))
    async with SqlStore(database, SystemClock(), store_id).serve() as store:
        database.gate.clear()
        calls = asked(store, *(new_run() for _ in range(3)))
        await settle()
        asyncio.get_running_loop().call_soon(database.gate.set)
    assert all([await call for call in calls])
    with pytest.raises(StoreUnavailable, match="closed"):
        await store_all(store, new_run())
    database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.counts("orders")


class Death(BaseException):
    """An error that the writer does not survive."""


async def test_a_writer_that_dies_leaves_nobody_waiting(database: Gated, store: SqlStore) -> None:
    database.gate.clear()
    calls = asked(store, new_run())
    await database.waiting.wait()
    calls += asked(store, new_run(), new_run())
    await settle()
    database.failure = Death()
    database.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {StoreUnavailable}
    with pytest.raises(StoreUnavailable):
        await store_all(store, new_run())


# --- moves --------------------------------------------------------------------------------------


async def test_a_commit_carries_a_waiting_move_with_it(database: Gated, store: SqlStore) -> None:
    fence = await acquire(store)
    moved = asyncio.create_task(store.move(fence, limit=10, wait=60))
    # after it the move waits
    await asyncio.wait({asyncio.create_task(store.lookup([], fresh=True))})
    before = database.transactions
    await store_all(store, new_run(events=[event()]))
    await store_all(store, new_run(events=[event()]))
    assert (len(await received(store)), database.transactions - before) == (2, 2)
    moved.cancel()


async def test_a_waiting_move_whose_role_another_acquires_ends(
    database: Gated, store: SqlStore
) -> None:
    fence = await acquire(store)
    moved = asyncio.create_task(store.move(fence, limit=10, wait=60))
    await asyncio.wait({asyncio.create_task(store.lookup([], fresh=True))})
    await store.acquire(Role(PUBLISHER))
    with pytest.raises(RoleLost):
        await moved


async def test_a_waiting_move_that_a_transaction_leaves_out_ends_with_its_wait(
    store: SqlStore,
) -> None:
    fence = await acquire(store)
    first = asyncio.create_task(store.move(fence, limit=10, wait=1.0))
    await asyncio.wait({asyncio.create_task(store.lookup([], fresh=True))})
    # moves beside it, and adds nothing that both could move
    assert await store.move(fence, limit=10, wait=0) == 0
    assert await asyncio.wait_for(first, 20) == 0


async def test_a_waiting_move_that_fails_holds_up_no_write(
    database: Gated, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence, run = await acquire(store), new_run(events=[event()])
    # no parameter of SQLite's holds it
    moved = asyncio.create_task(store.move(fence, limit=-(2**70), wait=60))
    with pytest.raises(WriteRejected):
        await moved
    assert await store_all(store, run) == [Stored(run.run_id, Version(1))]


async def test_an_old_fence_stores_nothing_while_others_commit(store: SqlStore) -> None:
    fence = await acquire(store)
    newer = await store.acquire(Role(PUBLISHER))
    refused, stored = new_run(), new_run()
    answers = await store.store([group(refused, fence=fence), group(stored, fence=newer)])
    assert answers[0] == Fenced(fence.role, newer.epoch)
    assert [
        record and record.run_id for record in await store.lookup([refused.run_id, stored.run_id])
    ] == [None, stored.run_id]


async def test_what_others_were_in_the_way_of_is_tried_again(
    database: Gated, store: SqlStore
) -> None:
    run, tries = new_run(), database.transactions
    database.failure = Aborted("a deadlock")
    storing = asyncio.create_task(store_all(store, run))
    while database.transactions < tries + 2:
        await asyncio.sleep(0)
    database.failure = None
    assert await storing == [Stored(run.run_id, Version(1))]


async def test_what_others_are_in_the_way_of_each_time_may_be_repeated_later(
    database: Gated, store: SqlStore
) -> None:
    database.failure = Aborted("a deadlock")
    with pytest.raises(StoreUnavailable, match=r"in the way each time \(a deadlock\)"):
        await store_all(store, new_run())
    database.failure = None
    await store_all(store, new_run())
