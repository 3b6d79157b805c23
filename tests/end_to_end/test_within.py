"""An order and its run are committed together, or not at all, whenever the application dies."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from tests.end_to_end.placing import Order, OrderStatus, database_of, place, placed
from workflow_ray import Client, RunState, Runtime, connect, sync
from workflow_ray.errors import InvalidInput, RunActive, RunNotFound

ROOT = Path(__file__).parents[2]
SOON = 30.0


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.server),
        pytest.param("mariadb", marks=pytest.mark.server),
    ]
)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    if request.param == "mariadb":
        return str(request.getfixturevalue("mariadb_url"))
    return f"{request.getfixturevalue('postgres_url')}?schema=workflows"


@pytest.mark.timeout(180)
async def test_an_application_killed_before_any_statement_leaves_both_or_neither(
    records: str,
) -> None:
    database = database_of(records)
    engine = create_async_engine(database)
    async with Runtime.local(placed, records=records) as runtime:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE orders (number INTEGER)"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.end_to_end.placing", records, database),
            cwd=ROOT,
            stdout=PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0
        killed_before = [json.loads(line) for line in printed.splitlines()]
        assert {"COMMIT", "INSERT INTO orders VALUES"} <= {start(each) for each in killed_before}
        last = len(killed_before) + 1
        client = runtime.client(placed)
        (handle,) = [client.handle(run.run_id) async for run in client.runs()]
        run = await handle.wait(timeout=SOON)
        assert (run.foreign_id, run.status) == (str(last), OrderStatus.DONE)
    async with engine.connect() as connection:
        orders = (await connection.execute(text("SELECT number FROM orders"))).scalars().all()
    assert orders == [last]
    await engine.dispose()


def start(statement: str) -> str:
    return " ".join(statement.split()[:4])


async def test_a_client_elsewhere_writes_in_its_own_transaction(records: str) -> None:
    engine = create_async_engine(database_of(records))
    async with (
        Runtime.local(placed, records=records),
        connect(placed, records=records) as client,
        AsyncSession(engine) as session,
    ):
        await session.execute(text("CREATE TABLE orders (number INTEGER)"))
        await place(client, session, 1)
        await session.commit()
        await wait_for(client, "1")
        handle = await client.trigger("2", Order(number=2), within=session)
        await session.rollback()
        with pytest.raises(RunNotFound):
            await handle.get()
    await engine.dispose()


async def test_a_run_is_replaced_in_a_transaction_of_the_application(records: str) -> None:
    engine = create_async_engine(database_of(records))
    later = timedelta(hours=1)
    async with (
        Runtime.local(placed, records=records),
        connect(placed, records=records) as client,
        AsyncSession(engine) as session,
    ):
        first = await client.trigger("1", Order(number=1), delay=later)
        undone = await client.trigger(
            "1", Order(number=2), if_active="replace", delay=later, within=session
        )
        await session.rollback()
        assert (await first.get()).run_state is RunState.INITIATED
        with pytest.raises(RunNotFound):
            await undone.get()
        second = await client.trigger("1", Order(number=3), if_active="replace", within=session)
        with pytest.raises(RunActive):
            await client.trigger("1", Order(number=4), if_active="replace", within=session)
        await session.commit()
        assert (await first.get()).run_state is RunState.CANCELLED
        assert (await second.wait(timeout=SOON)).data.number == 3
    await engine.dispose()


async def wait_for(client: Client[Order, OrderStatus], foreign_id: str) -> None:
    (run,) = [run async for run in client.runs() if run.foreign_id == foreign_id]
    await client.handle(run.run_id).wait_for(OrderStatus.DONE, timeout=SOON)


@pytest.mark.parametrize("records", ["sqlite"], indirect=True)  # its driver here blocks
@pytest.mark.parametrize("scoped", [False, True])
async def test_a_client_that_blocks_takes_a_session_that_blocks(records: str, scoped: bool) -> None:
    def place_and_undo() -> list[str]:
        engine = create_engine(records)
        make = sessionmaker(engine)
        with (
            sync.connect(placed, records=records) as client,
            closing(scoped_session(make) if scoped else make()) as session,
        ):
            client.trigger("1", Order(number=1), within=session)
            session.commit()
            client.trigger("2", Order(number=2), within=session)
            session.rollback()
            found = [run.foreign_id for run in client.runs()]
        engine.dispose()
        return found

    async with Runtime.local(placed, records=records):
        assert await asyncio.to_thread(place_and_undo) == ["1"]


async def test_a_client_that_blocks_refuses_a_session_of_an_event_loop(records: str) -> None:
    def place_within(session: AsyncSession) -> None:
        with sync.connect(placed, records=records) as client:
            client.trigger("1", Order(number=1), within=session)

    async with Runtime.local(placed, records=records):
        engine = create_async_engine(database_of(records))
        async with AsyncSession(engine) as session:
            with pytest.raises(InvalidInput, match="within: give a Session or Connection"):
                await asyncio.to_thread(place_within, session)
        await engine.dispose()
