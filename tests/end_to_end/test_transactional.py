"""What a transactional step writes is there once, whenever its process is killed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.end_to_end import ledgers
from tests.end_to_end.ledgers import At, Row
from tests.end_to_end.placing import database_of
from tests.end_to_end.transfers_soak import Soak
from tests.end_to_end.workers import POLL
from workflow_ray import Client, RunState, Runtime, Trigger

PATIENCE = timedelta(seconds=150)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.server),
        pytest.param("postgresql?schema=workflows", marks=pytest.mark.server),
        pytest.param("mariadb", marks=pytest.mark.server),
    ]
)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    kind, _, option = request.param.partition("?")
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/bank.db"
    fixture = {"postgresql": "postgres_url", "mariadb": "mariadb_url"}[kind]
    url = str(request.getfixturevalue(fixture))
    return f"{url}?{option}" if option else url


@pytest.mark.timeout(1200)
async def test_each_row_is_there_once_however_often_workers_are_killed(
    records: str, seed: int, thorough: bool
) -> None:
    runs, workers, kills = (2000, 20, 120) if thorough else (40, 3, 12)
    if records.startswith("sqlite"):
        workers = 1  # at a time: one process runs the steps of a file
    soak = Soak(records, runs, workers, kills, str(seed), lease=5.0 if thorough else 1.0)
    soak.patience = PATIENCE.total_seconds() * (7 if thorough else 1)
    await soak.run()
    print(soak.killed_before)
    assert sum(soak.killed_before.values()) >= kills / 2, "the others had no work"


# --- what becomes of what a step has written ----------------------------------------------------


@dataclass(frozen=True)
class Ledger:
    """A runtime of the workflow `ledger`, and the table that its step writes."""

    client: Client[Row, At]
    children: Client[Row, At]
    engine: AsyncEngine
    is_file: bool

    async def done(self, does: Any) -> tuple[At, RunState, int]:
        """Run a step to its end. Returns how the run ended, and how many rows there are."""
        handle = await self.client.trigger("1", Row(number=1, does=does))
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while not (run := await handle.get()).run_state.at_rest:
                await asyncio.sleep(POLL)
        return run.status, run.run_state, await self.rows()

    async def rows(self) -> int:
        async with self.engine.connect() as connection:
            return int((await connection.scalar(text("SELECT count(*) FROM ledger"))) or 0)


@pytest.fixture
async def ledger(records: str) -> AsyncIterator[Ledger]:
    is_file = records.startswith("sqlite")
    workflow = ledgers.in_file if is_file else ledgers.on_server
    engine = create_async_engine(database_of(records))
    ledgers.begun.clear()
    ledgers.released.clear()
    async with Runtime.local(workflow, ledgers.children, records=records) as runtime:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE ledger (number INTEGER)"))
        yield Ledger(runtime.client(workflow), runtime.client(ledgers.children), engine, is_file)
    await engine.dispose()


@pytest.mark.parametrize(
    ("does", "status", "run_state", "rows"),
    [
        ("write", At.DONE, RunState.COMPLETED, 1),
        ("fail", At.FAILED, RunState.COMPLETED, 0),
        ("hang", At.FAILED, RunState.COMPLETED, 0),
        ("pause", At.OPEN, RunState.PAUSED, 1),
        ("commit", At.DONE, RunState.COMPLETED, 2),
        ("undo", At.DONE, RunState.COMPLETED, 0),
    ],
)
async def test_rows_are_there_if_the_transition_is(
    ledger: Ledger, does: str, status: At, run_state: RunState, rows: int
) -> None:
    assert await ledger.done(does) == (status, run_state, rows)


async def test_a_step_that_goes_on_after_its_time_limit_is_undone(ledger: Ledger) -> None:
    if ledger.is_file:
        pytest.skip("a plain function is not cancelled")
    assert await ledger.done("go on") == (At.FAILED, RunState.COMPLETED, 0)


async def test_the_wait_for_a_transaction_does_not_count(ledger: Ledger) -> None:
    if not ledger.is_file:
        pytest.skip("a server runs several at a time")
    started = await ledger.client.trigger_many(
        [Trigger(str(number), Row(number=number, does="wait")) for number in range(6)]
    )
    runs = [await handle.wait(timeout=PATIENCE) for handle, _ in started]
    assert [(run.status, run.version) for run in runs] == [(At.DONE, 2)] * 6


async def test_a_child_that_is_refused_undoes_the_rows(ledger: Ledger) -> None:
    await ledger.children.trigger("taken", Row(number=0))
    assert await ledger.done("start") == (At.FAILED, RunState.COMPLETED, 0)


async def test_a_child_is_started_with_the_rows(ledger: Ledger) -> None:
    assert await ledger.done("start") == (At.DONE, RunState.COMPLETED, 1)
    assert (await ledger.children.latest("taken")).status is At.OPEN


async def test_a_step_that_loses_against_another_transition_is_undone(ledger: Ledger) -> None:
    if ledger.is_file:
        pytest.skip("nobody else can write there meanwhile")
    handle = await ledger.client.trigger("1", Row(number=1, does="wait"))
    assert await asyncio.to_thread(ledgers.begun.wait, 30)
    await handle.cancel("by a test")
    ledgers.released.set()
    second = await ledger.client.trigger("2", Row(number=2))
    await second.wait(timeout=PATIENCE)
    async with ledger.engine.connect() as connection:
        rows = (await connection.execute(text("SELECT number FROM ledger"))).scalars().all()
    assert rows == [2]
    assert (await handle.get()).run_state is RunState.CANCELLED


async def test_once_inside_of_a_step_is_stored_by_itself(ledger: Ledger) -> None:
    if ledger.is_file:
        pytest.skip("a plain function does not await it")
    assert await ledger.done("once") == (At.DONE, RunState.COMPLETED, 1)
    run = await ledger.client.latest("1")
    assert run.data.number == 2
