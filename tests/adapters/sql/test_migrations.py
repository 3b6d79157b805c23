"""Stores of every earlier version are brought up to date: nothing is lost, and runs go on.
schemas/REVISION_rows.sql has what each version's own code wrote into SQLite.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.exc import DBAPIError

from workflow_ray.errors import NotAStore, StoreMismatch, StoreMissing, StoreTooNew
from workflow_ray.ports import OutboxMover, Store, adapter_for, records_adapter, scheme_of
from workflow_ray.records import (
    PUBLISHER,
    ActiveRun,
    Awaits,
    Fence,
    Fenced,
    KeyUsed,
    Position,
    Role,
    RunId,
    RunQuery,
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
from workflow_ray_adapters.sql import schema
from workflow_ray_adapters.sql.schema import MIGRATIONS, REVISION, USABLE_FROM, VERSION_TABLE
from workflow_ray_adapters.sql.tables import deployment

from .databases import ALL, empty, execute, transact

SCHEMAS = Path(__file__).parent / "schemas"
STORE_ID = "4a9433e8-06b0-4043-834c-61c44c2764c2"
HELD = 2
"""The epoch at which an earlier version holds the role of the consumer."""
DONE, WAITING, TO_PUBLISH, LATER = (
    RunId(run_id)
    for run_id in (
        "01a20888-fe3b-767c-8846-e4b7d8865064",
        "01a20888-fe3b-767c-8846-e4b9b5d1534a",
        "01a20888-fe5e-73c1-ad75-e7e7f362b28b",
        "01a20888-fe5e-73c1-ad75-e7e9f7d5848f",
    )
)


def revisions() -> list[str]:
    """Return every revision that there was, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return sorted(
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    )


EARLIER = revisions()[:-1]
UNUSABLE = [revision for revision in EARLIER if revision < USABLE_FROM]
"""The revisions whose code cannot use the newest schema."""


@pytest.fixture(params=ALL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    return empty(request.param, request, tmp_path)


@pytest.fixture(params=EARLIER)
async def old(url: str, request: pytest.FixtureRequest) -> str:
    """The URL of a store that an earlier version left."""
    await become(url, request.param)
    return url


async def become(url: str, revision: str) -> None:
    await transact(url, lambda connection: schema.migrate(connection, revision))
    rows = (SCHEMAS / f"{revision}_rows.sql").read_text()
    if scheme_of(url) == "postgresql":
        rows = (
            rows.replace("X'", r"'\x")
            + "SELECT setval(pg_get_serial_sequence('outbox', 'id'), max(id)) FROM outbox;\n"
        )
    await execute(url, *rows.removesuffix(";\n").split(";\n"))


async def create(url: str) -> str:
    return await asyncio.to_thread(adapter_for(url).create, url)


@contextmanager
def killed_at(statement: int) -> Generator[None, None, None]:
    """Kill the migration before this statement, counted among those that change something."""
    seen = 0

    def count(_: object, __: object, sql: str, *___: object) -> None:
        nonlocal seen
        seen += (
            not sql.lstrip().upper().startswith(("SELECT", "PRAGMA", "SHOW", "DESCRIBE", "BEGIN"))
        )
        if seen == statement:
            raise Killed

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", count)


class Killed(BaseException):
    pass


# --- earlier versions ---------------------------------------------------------------------------


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


async def check_what_is_found_out(url: str) -> None:
    async with records_adapter(url).open_records(url, clock=FakeClock()) as store:
        done, waiting = await stored(store, DONE), await stored(store, WAITING)
        assert (done.awaits, waiting.awaits, waiting.awaited) == (Awaits.NOBODY, Awaits.EVENT, 1)
        assert await store.runs(RunQuery(workflow="orders", run_states=(RunState.COMPLETED,))) == [
            done
        ]
        counted = {
            (count.status, count.run_state): count.runs for count in await store.counts("orders")
        }
        assert counted == {(CREATED, RunState.INITIATED): 3, (SHIPPED, RunState.COMPLETED): 1}


@pytest.mark.parametrize("old", UNUSABLE, indirect=True)
async def test_processes_of_an_earlier_version_that_still_run_are_fenced_off(old: str) -> None:
    await create(old)
    async with records_adapter(old).open_records(old, clock=FakeClock()) as store:
        write = step(await stored(store, WAITING))
        (refusal,) = await store.store([group(write, fence=Fence(Role(CONSUMERS).name, HELD))])
        assert isinstance(refusal, Fenced)


# a migration has a SQLite file to itself
@pytest.mark.parametrize("url", ALL[1:], indirect=True)
@pytest.mark.parametrize("revision", UNUSABLE)
async def test_a_server_refuses_runs_that_clients_of_an_earlier_version_begin(
    url: str, revision: str
) -> None:
    await become(url, revision)
    rows = (SCHEMAS / f"{revision}_rows.sql").read_text().split(";\n")
    beginning = next(row for row in rows if row.startswith("INSERT INTO records")).replace(
        DONE, WAITING.replace("01", "02", 1)
    )
    beginning = beginning.replace("X'", r"'\x").replace("order-1", "order-5")
    await create(url)
    with pytest.raises(DBAPIError, match="awaits"):
        await execute(url, beginning)


@pytest.mark.parametrize("old", ["0003"], indirect=True)
async def test_code_of_0003_goes_on_working_on_the_newest_schema(old: str) -> None:
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


def usable_from(connection: Connection) -> str | None:
    return connection.scalar(select(deployment.c.usable_from))


async def test_a_key_of_an_earlier_version_is_compared_with_nothing(old: str) -> None:
    await create(old)
    async with records_adapter(old).open_records(old, clock=FakeClock()) as store:
        again = new_run("order-9", key="cart-1", digest=bytes(16))
        assert await store_all(store, again) == [KeyUsed(again.run_id, DONE, None)]


def whole(
    url: str, clock: FakeClock, *, exclusive: bool = True
) -> AbstractAsyncContextManager[Store]:
    """Check that the store holds events and timeouts as well."""
    opening = records_adapter(url).open_records(url, clock=clock, exclusive=exclusive)
    return cast(AbstractAsyncContextManager[Store], opening)


# --- migrating ----------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", EARLIER)
async def test_a_store_of_an_earlier_version_is_not_opened_before_it_is_migrated(
    url: str, revision: str
) -> None:
    await become(url, revision)
    with pytest.raises(StoreMismatch, match="workflow-ray deploy"):
        await records_adapter(url).open_records(url, clock=FakeClock()).__aenter__()


async def test_a_store_that_is_up_to_date_stays_as_it_is(url: str) -> None:
    assert await create(url) == await create(url)


async def test_processes_that_migrate_at_once_all_find_it_made(old: str) -> None:
    script = (
        "import sys; from workflow_ray.ports import adapter_for;"
        " print(adapter_for(sys.argv[1]).create(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    several = [
        subprocess.Popen(
            [sys.executable, "-c", script, old], stdout=subprocess.PIPE, env=environment
        )
        for _ in range(2)
    ]
    store_ids = [
        (await asyncio.to_thread(process.communicate))[0].decode().strip() for process in several
    ]
    assert store_ids == [STORE_ID] * 2


@pytest.mark.parametrize("revision", [None, *EARLIER])
async def test_a_migration_killed_anywhere_is_ended_by_the_next(
    url: str, revision: str | None
) -> None:
    if revision is not None:
        await become(url, revision)
    statement = 0
    while await killed(url, statement := statement + 1):
        with pytest.raises((StoreMissing, StoreMismatch)):
            await records_adapter(url).open_records(url, clock=FakeClock()).__aenter__()
    assert statement > 1
    if revision is not None:
        assert await create(url) == STORE_ID
        await check_what_is_found_out(url)
    async with whole(url, FakeClock()) as store:
        assert (await store_all(store, run := new_run())) == [Stored(run.run_id, Version(1))]


async def killed(url: str, statement: int) -> bool:
    """Return whether a migration was killed at this statement."""
    try:
        with killed_at(statement):
            await create(url)
    except Killed:
        return True
    return False


async def test_a_database_that_is_newer_than_the_code_is_refused(url: str) -> None:
    await create(url)
    await execute(
        url,
        f"UPDATE {VERSION_TABLE} SET version_num = '9999'",
        "UPDATE deployment SET usable_from = NULL",
    )
    with pytest.raises(StoreTooNew, match="9999 is newer than this code's"):
        await create(url)
    with pytest.raises(StoreTooNew, match="Update workflow_ray"):
        await records_adapter(url).open_records(url, clock=FakeClock()).__aenter__()


async def test_a_newer_schema_that_only_adds_is_used_by_this_code(url: str) -> None:
    await create(url)
    await execute(
        url,
        f"UPDATE {VERSION_TABLE} SET version_num = '9999'",
        f"UPDATE deployment SET usable_from = '{REVISION}'",
    )
    store_id = await create(url)
    async with records_adapter(url).open_records(
        url, clock=FakeClock(), store_id=store_id
    ) as store:
        assert (await store_all(store, run := new_run())) == [Stored(run.run_id, Version(1))]


async def test_a_newer_schema_that_asks_for_newer_code_is_refused(url: str) -> None:
    await create(url)
    await execute(
        url,
        f"UPDATE {VERSION_TABLE} SET version_num = '9999'",
        "UPDATE deployment SET usable_from = '9999'",
    )
    with pytest.raises(StoreTooNew, match="Update workflow_ray"):
        await records_adapter(url).open_records(url, clock=FakeClock()).__aenter__()


async def test_another_programs_tables_are_left_alone(url: str) -> None:
    await execute(url, "CREATE TABLE theirs (id INTEGER PRIMARY KEY)")
    with pytest.raises(NotAStore):
        await create(url)
