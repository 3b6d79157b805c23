"""Stores of every earlier version are brought up to date: nothing is lost, and runs go on."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from workflow_ray.ports import OutboxMover, records_adapter
from workflow_ray.records import (
    PUBLISHER,
    ActiveRun,
    Fence,
    Fenced,
    KeyUsed,
    Position,
    Role,
    RunId,
    RunState,
    Stored,
    Timeout,
    TimeoutKey,
    Version,
    WaitingQuery,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    SHIPPED,
    group,
    names,
    new_run,
    received,
    results,
    step,
    store_all,
    stored,
    versions,
)
from workflow_ray_adapters.sql.tables import deployment

from .databases import ALL, execute, transact
from .earlier_stores import (
    DONE,
    HELD,
    LATER,
    SCHEMAS,
    STORE_ID,
    TO_PUBLISH,
    UNUSABLE,
    WAITING,
    become,
    check_what_is_found_out,
    create,
    whole,
)


async def test_nothing_of_an_earlier_version_is_lost(old: str) -> None:
    assert await create(old) == STORE_ID
    async with records_adapter(old).open_records(
        old, clock=FakeClock(), store_id=STORE_ID
    ) as store:
        done, waiting = await stored(store, DONE), await stored(store, WAITING)
        assert (done.foreign_id, done.status, done.run_state, done.version) == (
            "order-1",
            SHIPPED,
            RunState.COMPLETED,
            2,
        )
        assert (waiting.foreign_id, waiting.status, waiting.run_state) == (
            "order-2 ",
            CREATED,
            RunState.INITIATED,
        )
        assert [entry.data for entry in await store.history(DONE)] == [
            '{"name": "Zoë 😀"}'.encode(),
            b'{"name": "Zo"}',
        ]
        assert await store.positions(CONSUMERS) == [Position(CONSUMERS, 1, 1)]
        (orders,) = (await store.deployment()).workflows
        assert (orders.partitions, orders.groups) == (4, {CONSUMERS: 1, PUBLISHER: 1})


async def test_what_an_earlier_version_promised_is_kept(old: str) -> None:
    await create(old)
    async with records_adapter(old).open_records(old, clock=FakeClock()) as store:
        again, beside = new_run("order-9", key="cart-1"), new_run("order-2 ")
        assert await store_all(store, again, beside) == [
            KeyUsed(again.run_id, DONE),
            ActiveRun(beside.run_id, WAITING),
        ]
        assert (await store.acquire(Role(CONSUMERS))).epoch > HELD


async def test_runs_of_an_earlier_version_go_on(old: str) -> None:
    await create(old)
    clock = FakeClock()
    await clock.advance(timedelta(hours=1))
    async with whole(old, clock) as store:
        fence = await store.acquire(Role(PUBLISHER))
        assert isinstance(store, OutboxMover)
        assert await store.move(fence, limit=10, wait=0) == 2
        assert names(await received(store), 0) == [(WAITING, 1), (TO_PUBLISH, 1)]
        assert names(await received(store), 2) == [(LATER, 1)]
        consumer = await store.acquire(Role(CONSUMERS))
        write = step(await stored(store, WAITING), status=SHIPPED, run_state=RunState.COMPLETED)
        assert results(
            await store.store([group(write, fence=consumer, positions=[Position(CONSUMERS, 0, 1)])])
        ) == [Stored(WAITING, Version(2))]
        assert await versions(store, WAITING) == [1, 2]
        lost = [
            await store.waiting(WaitingQuery(workflow="orders", partition=partition, quiet=60))
            for partition in range(4)
        ]
        assert {found.run_id for look in lost for found in look.events} == {TO_PUBLISH, LATER}


async def test_a_store_of_an_earlier_version_learns_what_is_new(old: str) -> None:
    await create(old)
    clock = FakeClock()
    async with whole(old, clock, exclusive=False) as store:
        shared = await store.share("one", [Role(CONSUMERS)], [], lease=10)
        assert [fence.epoch > HELD for fence in shared.acquired] == [True]
        key = TimeoutKey(WAITING, Version(1), "late")
        timeout = Timeout(
            key=key, workflow="orders", status=CREATED, partition=0, due_at=clock.now()
        )
        await store.create([timeout])
        assert await store.due("orders", CREATED, [0], limit=10, wait=0) == [timeout]


async def test_what_the_runs_of_an_earlier_version_wait_for_is_found_out(old: str) -> None:
    await create(old)
    await check_what_is_found_out(old)


@pytest.mark.parametrize("old", UNUSABLE, indirect=True)
async def test_processes_of_an_earlier_version_that_still_run_are_fenced_off(old: str) -> None:
    await create(old)
    async with records_adapter(old).open_records(old, clock=FakeClock()) as store:
        write = step(await stored(store, WAITING))
        (refusal,) = await store.store([group(write, fence=Fence(Role(CONSUMERS).name, HELD))])
        assert isinstance(refusal, Fenced)


# a migration has a SQLite file to itself
@pytest.mark.parametrize("empty_url", ALL[1:], indirect=True)
@pytest.mark.parametrize("revision", UNUSABLE)
async def test_a_server_refuses_runs_that_clients_of_an_earlier_version_begin(
    empty_url: str, revision: str
) -> None:
    await become(empty_url, revision)
    rows = (SCHEMAS / f"{revision}_rows.sql").read_text().split(";\n")
    beginning = next(row for row in rows if row.startswith("INSERT INTO records")).replace(
        DONE, WAITING.replace("01", "02", 1)
    )
    beginning = beginning.replace("X'", r"'\x").replace("order-1", "order-5")
    await create(empty_url)
    with pytest.raises(DBAPIError, match="awaits"):
        await execute(empty_url, beginning)


@pytest.mark.parametrize("old", ["0003", "0004"], indirect=True)
async def test_code_since_0003_goes_on_working_on_the_newest_schema(old: str) -> None:
    before = await transact(old, usable_from)
    await create(old)
    assert await transact(old, usable_from) == before == "0003"
    async with records_adapter(old).open_records(old, clock=FakeClock()) as store:
        write = step(await stored(store, WAITING))
        fence = Fence(Role(CONSUMERS).name, HELD)
        assert results(await store.store([group(write, fence=fence)])) == [
            Stored(WAITING, Version(2))
        ]
        named = "INSERT INTO idempotency_keys (workflow, idempotency_key, run_id)"
        await execute(old, f"{named} VALUES ('orders', 'cart-4', '{LATER}')")
        again = new_run("order-9", key="cart-4", digest=bytes(16))
        assert await store_all(store, again) == [KeyUsed(again.run_id, LATER)]
        rows = (SCHEMAS / "0003_rows.sql").read_text().split(";\n")
        begun = next(row for row in rows if row.startswith("INSERT INTO records"))
        earlier = RunId(DONE.replace("01", "02", 1))
        begun = begun.replace(DONE, earlier).replace("order-1", "order-5")
        await execute(old, begun.replace("X'", r"'\x") if "postgresql" in old else begun)
        assert (await stored(store, earlier)).messages == 0


def usable_from(connection: Connection) -> str | None:
    return connection.scalar(select(deployment.c.usable_from))


async def test_a_key_of_an_earlier_version_is_compared_with_nothing(old: str) -> None:
    await create(old)
    async with records_adapter(old).open_records(old, clock=FakeClock()) as store:
        again = new_run("order-9", key="cart-1", digest=bytes(16))
        assert await store_all(store, again) == [KeyUsed(again.run_id, DONE, None)]
