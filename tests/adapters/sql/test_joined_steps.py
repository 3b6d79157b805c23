"""Transactions of steps that the database or a cancellation interrupts: the transition is committed
with all that the step has written, or not at all.
"""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session as OrmSession

from tests.unit.parcels import Parcel
from workflow_ray.ports import StepTransaction, SystemClock, Transactions, transactions_of
from workflow_ray.records import WriteGroup
from workflow_ray.testing.conformance.runs import new_run
from workflow_ray_adapters.sql.sqlite.connections import driver

from .applications import SERVER, Application, application, note
from .databases import empty

SOON = 20.0
SHORT = 0.3
MANY = 1_000_000
HEAVY = ", ".join(["(1)"] * 500)
RUN = WriteGroup(writes=(new_run("1", workflow="routed"),))


@pytest.fixture
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Application]:
    kind: str = getattr(request, "param", "sqlite")
    async with application(kind, empty(kind, request, tmp_path), request) as app:
        yield app


@pytest.fixture
async def transactions(app: Application) -> AsyncIterator[Transactions]:
    found = transactions_of(app.url, clock=SystemClock(), store_id=app.store.store_id)
    assert found is not None
    yield found
    await found.close()


async def is_stored(app: Application) -> bool:
    """Whether the run of the step was written."""
    (record,) = await app.store.lookup([RUN.writes[0].run_id], fresh=True)
    return record is not None


@pytest.mark.parametrize(
    "app",
    [pytest.param("postgresql", marks=SERVER), pytest.param("mariadb", marks=SERVER)],
    indirect=True,
)
async def test_a_deadlock_at_the_end_does_not_lose_what_the_step_has_written(
    app: Application, transactions: Transactions
) -> None:
    await app.execute("CREATE TABLE weights (number INTEGER)", "INSERT INTO notes VALUES (0)")
    async with AsyncSession(app.engine) as rival:
        # the server ends the transaction that has written less
        await rival.execute(text(f"INSERT INTO weights VALUES {HEAVY}"))
        await app.client.trigger("1", Parcel(), within=rival)
        async with transactions.begin() as step:
            session = cast(AsyncSession, step.session)
            await session.execute(text("UPDATE notes SET number = 1"))
            committing = asyncio.create_task(step.commit(RUN))
            await asyncio.sleep(SHORT)  # it waits for the rival
            meeting = asyncio.create_task(rival.execute(text("UPDATE notes SET number = number")))
            (answer,) = await asyncio.gather(committing, return_exceptions=True)
        await asyncio.gather(meeting, return_exceptions=True)
        await rival.rollback()
    async with app.engine.connect() as connection:
        number = await connection.scalar(text("SELECT number FROM notes"))
    assert (await is_stored(app), number) == (
        (False, 0) if isinstance(answer, Exception) else (True, 1)
    )


async def test_a_commit_that_is_cancelled_in_a_file_is_made_or_not(
    app: Application, transactions: Transactions
) -> None:
    begun = threading.Event()

    def pause(statement: str) -> None:
        if statement.startswith("INSERT INTO history"):
            begun.set()
            threading.Event().wait(SHORT)

    async def run() -> None:
        async with transactions.begin() as step:
            session = cast(OrmSession, step.session)
            session.execute(text("INSERT INTO notes VALUES (1)"))
            driver(session.connection()).set_trace_callback(pause)
            await step.commit(RUN)

    running = asyncio.create_task(run())
    assert await asyncio.to_thread(begun.wait, SOON)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(2 * SHORT)  # whatever the thread still does
    assert await app.notes() == await is_stored(app)


async def test_a_function_that_goes_on_after_it_was_cancelled_writes_nothing(
    app: Application, transactions: Transactions
) -> None:
    writing, ended = threading.Event(), threading.Event()

    def write(session: OrmSession) -> None:
        try:
            for _ in range(MANY):
                session.execute(text("INSERT INTO notes VALUES (1)"))
                writing.set()
        finally:
            ended.set()

    async def run() -> None:
        async with transactions.begin() as step:
            await asyncio.to_thread(write, cast(OrmSession, step.session))

    running = asyncio.create_task(run())
    assert await asyncio.to_thread(writing.wait, SOON)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await asyncio.to_thread(ended.wait, SOON)
    assert await app.notes() == 0
    await app.client.trigger("2", Parcel())


async def test_an_error_does_not_show_what_was_to_be_written(
    app: Application, transactions: Transactions
) -> None:
    async with transactions.begin() as step:
        session = cast(OrmSession, step.session)
        with pytest.raises(DBAPIError) as raised:
            session.execute(text("INSERT INTO missing VALUES (:name)"), {"name": "Ada"})
    assert "Ada" not in str(raised.value)


async def test_a_step_that_is_cancelled_while_it_waits_for_the_file_does_not_hold_it_later(
    app: Application, transactions: Transactions
) -> None:
    gc.disable()  # which would close the connection some time
    try:
        async with app.engine.connect() as connection:
            await note(connection)
            waiting = asyncio.create_task(_begin(transactions))
            await asyncio.sleep(SHORT)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await connection.commit()
        await asyncio.sleep(SHORT)
        async with asyncio.timeout(SOON):
            await app.client.trigger("2", Parcel())
    finally:
        gc.enable()


async def _begin(transactions: Transactions) -> StepTransaction:
    async with transactions.begin() as step:
        return step
