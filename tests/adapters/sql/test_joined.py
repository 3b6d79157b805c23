"""Runs that are written in transactions of the application: both are committed, or neither."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, make_url, select, text
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from tests.unit.parcels import Parcel, Route
from workflow_ray import Trigger, TriggerOutcome
from workflow_ray.errors import InvalidInput, KeyReused, RunActive, StoreBusy, WriteRejected
from workflow_ray.ports import SystemClock, transactions_of
from workflow_ray.records import Fenced, WriteGroup, status_topic
from workflow_ray.testing.conformance.runs import acquire, new_run
from workflow_ray_adapters.sql import tables
from workflow_ray_adapters.sql.postgresql import watch

from .applications import KINDS, SERVERS, Application, application, engine_for, note
from .databases import empty, transact

SOON = 10.0
LONG = 60.0
TOPIC = status_topic("routed", Route.NEW.value)
BATCHES = 600


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def app(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Application]:
    url = empty(kind.partition("?")[0].partition(" ")[0], request, tmp_path)
    async with application(kind, url, request) as app:
        yield app


# --- both, or neither ---------------------------------------------------------------------------


async def test_a_commit_leaves_the_run_and_what_the_application_wrote(app: Application) -> None:
    async with AsyncSession(app.engine) as session, session.begin():
        await note(session)
        handle = await app.client.trigger("1", Parcel(weight=3), within=session)
        assert handle.outcome is TriggerOutcome.STARTED
        assert await app.runs() == {}, "nobody else sees it yet"
    run = await handle.get()
    assert (run.version, run.data) == (1, Parcel(weight=3))
    assert await app.notes() == 1
    assert await app.client.counts() == {(Route.NEW, run.run_state): 1}
    assert [entry.version for entry in await handle.history()] == [1]


async def test_a_rollback_leaves_neither(app: Application) -> None:
    async with AsyncSession(app.engine) as session:
        await note(session)
        await app.client.trigger("1", Parcel(), within=session, idempotency_key="one")
        await session.rollback()
    assert (await app.runs(), await app.notes()) == ({}, 0)
    assert await app.client.counts() == {}
    handle = await app.client.trigger("1", Parcel(weight=9), idempotency_key="one")
    assert handle.outcome is TriggerOutcome.STARTED, "foreign id and key are free"


async def test_a_run_that_comes_first_is_rolled_back_too(app: Application) -> None:
    async with AsyncSession(app.engine) as session:
        await app.client.trigger("1", Parcel(), within=session)
        await note(session)
        await session.rollback()
    assert (await app.runs(), await app.notes()) == ({}, 0)


async def test_a_rollback_to_the_applications_own_savepoint_leaves_no_run(app: Application) -> None:
    async with AsyncSession(app.engine) as session, session.begin():
        await note(session)
        nested = await session.begin_nested()
        await app.client.trigger("1", Parcel(), within=session)
        await nested.rollback()
        await app.client.trigger("2", Parcel(), within=session)
    assert (await app.runs(), await app.notes()) == ({"2": Route.NEW}, 1)


async def test_many_runs_are_one_transaction(app: Application) -> None:
    triggers: list[Trigger[Parcel, Route]] = [
        Trigger(str(number), Parcel()) for number in range(BATCHES)
    ]
    async with AsyncSession(app.engine) as session:
        started = await app.client.trigger_many(triggers, within=session)
        assert {outcome for _, outcome in started} == {TriggerOutcome.STARTED}
        await session.rollback()
        assert await app.runs() == {}
        await app.client.trigger_many(triggers, within=session)
        await session.commit()
    assert len(await app.runs()) == BATCHES


@pytest.mark.parametrize("kind", ["sqlite"])  # the driver of the standard library blocks
@pytest.mark.parametrize("scoped", [False, True])
async def test_sessions_that_are_not_asyncios_are_used_too(app: Application, scoped: bool) -> None:
    engine = create_engine(app.url)
    make = sessionmaker(engine)
    with closing(scoped_session(make) if scoped else make()) as session:
        session.execute(text("INSERT INTO notes VALUES (1)"))
        await app.client.trigger("1", Parcel(), within=session)
        session.rollback()
        await app.client.trigger("2", Parcel(), within=session)
        session.commit()
    with engine.connect() as connection:
        await app.client.trigger("3", Parcel(), within=connection)
        connection.rollback()
        await app.client.trigger("4", Parcel(), within=connection)
        connection.commit()
    engine.dispose()
    assert (await app.runs(), await app.notes()) == ({"2": Route.NEW, "4": Route.NEW}, 0)


async def test_a_connection_and_a_scoped_session_are_used_too(app: Application) -> None:
    async with app.engine.connect() as connection:
        await app.client.trigger("1", Parcel(), within=connection)
        await connection.rollback()
        await app.client.trigger("2", Parcel(), within=connection)
        await connection.commit()
    scoped = async_scoped_session(async_sessionmaker(app.engine), asyncio.current_task)
    await app.client.trigger("3", Parcel(), within=scoped)
    await scoped.commit()
    await scoped.remove()
    assert await app.runs() == {"2": Route.NEW, "3": Route.NEW}


# --- what is refused ----------------------------------------------------------------------------


async def test_a_conflict_leaves_the_transaction_as_it_was(app: Application) -> None:
    active = await app.client.trigger("1", Parcel(), idempotency_key="one")
    async with AsyncSession(app.engine) as session, session.begin():
        await note(session)
        with pytest.raises(RunActive) as raised:
            await app.client.trigger("1", Parcel(), within=session)
        assert raised.value.run_id == active.run_id
        joined = await app.client.trigger("1", Parcel(), within=session, if_active="join")
        known = await app.client.trigger("1", Parcel(), within=session, idempotency_key="one")
        assert (joined.outcome, known.outcome) == (TriggerOutcome.ACTIVE, TriggerOutcome.KNOWN)
        with pytest.raises(KeyReused):
            await app.client.trigger("2", Parcel(), within=session, idempotency_key="one")
        await app.client.trigger("3", Parcel(), within=session)
    assert (await app.runs(), await app.notes()) == ({"1": Route.NEW, "3": Route.NEW}, 1)


async def test_a_transaction_sees_its_own_runs(app: Application) -> None:
    async with AsyncSession(app.engine) as session, session.begin():
        first = await app.client.trigger("1", Parcel(), within=session, idempotency_key="one")
        again = await app.client.trigger("1", Parcel(), within=session, idempotency_key="one")
        assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)
        with pytest.raises(RunActive):
            await app.client.trigger("1", Parcel(), within=session)
        with pytest.raises(KeyReused, match="data"):
            await app.client.trigger("1", Parcel(weight=2), within=session, idempotency_key="one")
    assert await app.runs() == {"1": Route.NEW}


async def test_who_waits_for_the_transaction_sees_how_it_ended(app: Application) -> None:
    async with AsyncSession(app.engine) as session:
        for ends in (session.rollback, session.commit):
            await note(session)
            await app.client.trigger("1", Parcel(), within=session)
            rival = asyncio.create_task(app.client.trigger("1", Parcel(), if_active="join"))
            await asyncio.sleep(0)  # it begins
            await ends()
            handle = await asyncio.wait_for(rival, SOON)
            if ends == session.rollback:
                assert handle.outcome is TriggerOutcome.STARTED
                await app.execute(*_forget(app))
            else:
                assert handle.outcome in (TriggerOutcome.ACTIVE, TriggerOutcome.STARTED)
    assert len(await app.runs()) == 1


def _forget(app: Application) -> list[str]:
    """Statements that remove all runs."""
    place = {"postgresql": "workflows." if "schema" in app.url else "", "sqlite": ""}
    database = make_url(app.url)
    qualified = place.get(database.drivername, f"`{database.database}`.")
    return [f"DELETE FROM {qualified}{name}" for name in ("outbox", "history", "records")]


@pytest.mark.parametrize("kind", SERVERS)  # in a file an older snapshot can't write at all
async def test_what_a_snapshot_does_not_see_is_an_error_that_says_so(app: Application) -> None:
    engine = app.engine.execution_options(isolation_level="REPEATABLE READ")
    async with AsyncSession(engine) as session:
        assert await app.notes(session) == 0
        await app.client.trigger("1", Parcel())
        await note(session)
        with pytest.raises(StoreBusy, match="Roll the transaction back"):
            await app.client.trigger("1", Parcel(), within=session)
        await app.client.trigger("2", Parcel(), within=session)
        await session.commit()
    assert (set(await app.runs()), await app.notes()) == ({"1", "2"}, 1)


async def test_what_the_store_can_not_hold_leaves_the_transaction_as_it_was(
    app: Application,
) -> None:
    transactions = transactions_of(app.url, clock=SystemClock(), store_id=app.store.store_id)
    assert transactions is not None
    async with AsyncSession(app.engine) as session, session.begin():
        await note(session)
        group = WriteGroup(writes=(new_run("1"), new_run("x" * 300)))
        with pytest.raises(WriteRejected):
            await transactions.store(session, [group])
    assert (await app.runs(), await app.notes()) == ({}, 1)


async def test_a_fence_that_was_lost_writes_nothing(app: Application) -> None:
    old, new = await acquire(app.store), await acquire(app.store)
    transactions = transactions_of(app.url, clock=SystemClock(), store_id=app.store.store_id)
    assert transactions is not None
    async with AsyncSession(app.engine) as session, session.begin():
        (refused, stored) = await transactions.store(
            session,
            [
                WriteGroup(writes=(new_run("1"),), fence=old),
                WriteGroup(writes=(new_run("2"),), fence=new),
            ],
        )
    assert refused == Fenced(old.role, new.epoch)
    assert not isinstance(stored, Fenced)


@pytest.mark.parametrize("given", [5, "session", object(), AsyncSession, b"x"])
async def test_what_is_not_a_session_is_refused(app: Application, given: object) -> None:
    with pytest.raises(InvalidInput, match="within: give an AsyncSession"):
        await app.client.trigger("1", Parcel(), within=given)  # type: ignore[arg-type]  # what is refused is of a wrong type


async def test_a_session_of_another_database_is_refused(app: Application, tmp_path: Path) -> None:
    elsewhere = engine_for(f"sqlite:///{tmp_path}/other.db")
    async with AsyncSession(elsewhere) as session:
        with pytest.raises(InvalidInput, match="within: the session is not in the database of the"):
            await app.client.trigger("1", Parcel(), within=session)
    await elsewhere.dispose()


async def test_a_session_of_another_store_is_refused(app: Application) -> None:
    transactions = transactions_of(app.url, clock=SystemClock(), store_id="another")
    assert transactions is not None
    async with AsyncSession(app.engine) as session, session.begin():
        await note(session)
        with pytest.raises(InvalidInput, match=r"the store there has the id .*, not another"):
            await transactions.store(session, [WriteGroup(writes=(new_run("1"),))])
    assert await app.notes() == 1


@pytest.mark.parametrize("kind", SERVERS)  # in a file the write begins a transaction
async def test_a_session_that_commits_each_statement_is_refused(app: Application) -> None:
    engine = app.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with AsyncSession(engine) as session:
        with pytest.raises(InvalidInput, match="not AUTOCOMMIT"):
            await app.client.trigger("1", Parcel(), within=session)
    assert await app.runs() == {}


# --- beside the store's own transactions --------------------------------------------------------


async def test_the_commit_wakes_who_waits_for_the_run(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL", 3600.0)
    publisher = await acquire(app.store)
    moving = asyncio.create_task(app.store.move(publisher, limit=10, wait=LONG))
    waiting = asyncio.create_task(
        app.store.receive(TOPIC, dict.fromkeys(range(16), 0), reader="r", limit=1, wait=LONG)
    )
    async with AsyncSession(app.engine) as session, session.begin():
        handle = await app.client.trigger("1", Parcel(), within=session)
        ends = await app.store.ends(TOPIC, range(16))
        assert not any(ends.values())
    arrivals = await asyncio.wait_for(waiting, SOON)
    assert [received.event.run_id for received in arrivals.events] == [handle.run_id]
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)


@pytest.mark.parametrize("kind", SERVERS)  # a file has one writer at a time
async def test_a_transaction_that_is_open_holds_up_nobody_else(app: Application) -> None:
    async with AsyncSession(app.engine) as one, AsyncSession(app.engine) as other:
        await app.client.trigger("1", Parcel(), within=one)
        await app.client.trigger("2", Parcel(), within=other)
        await asyncio.wait_for(app.client.trigger("3", Parcel()), SOON)
        await other.commit()
        await one.commit()
    assert set(await app.runs()) == {"1", "2", "3"}


async def test_counters_of_transactions_are_used_again(app: Application) -> None:
    pool = create_async_engine(app.engine.url, poolclass=NullPool)
    for number in range(5):
        async with AsyncSession(pool) as session, session.begin():
            await app.client.trigger(str(number), Parcel(), within=session)
    await pool.dispose()
    counted = select(func.count()).select_from(tables.counters)
    assert await transact(app.url, lambda connection: connection.scalar(counted)) == 1
    assert sum((await app.client.counts()).values()) == 5
