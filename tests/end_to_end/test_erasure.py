"""After a deletion of data the bytes of the database have nothing of it."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.servers import Postgres
from workflow_ray import Retry, Run, RunState, Runtime, Status, Stay, Workflow
from workflow_ray.errors import CallbackFailed

SECRET = "Jane.Doe.73b1c6e0f2"
ONCE = Retry(attempts=1)


class Case(BaseModel):
    person: str = ""


class At(Status):
    NEW = 1
    OPEN = 2
    CLOSED = 3


class AsChild(Status):
    NEW = 1
    DONE = 2


reports = Workflow("reports", Case, AsChild)
cases = Workflow("cases", Case, At)


@reports.step(AsChild.NEW)
async def report(run: Run[Case, AsChild]) -> Literal[AsChild.DONE]:
    return AsChild.DONE


@cases.step(At.NEW, retry=Retry(attempts=2, backoff=timedelta(milliseconds=10)))
async def begin(run: Run[Case, At]) -> Literal[At.OPEN]:
    await run.once("looked up", str, SECRET)
    if run.attempt == 0:
        raise ValueError(f"{SECRET} is unknown")
    run.data.person += " is known"
    run.labels["who"] = SECRET
    run.start(reports, f"report-{run.foreign_id}", run.data)
    return At.OPEN


@cases.child(At.OPEN, reports)
async def reported(run: Run[Case, At], child: Run[Case, AsChild]) -> Stay:
    return Stay()


@cases.callback(At.OPEN, retry=ONCE)
async def noted(run: Run[Case, At], person: str) -> Stay:
    raise ValueError(f"no note about {person}")


@cases.callback(At.OPEN)
async def closed(run: Run[Case, At], person: str) -> Literal[At.CLOSED]:
    await run.once("letter", str, person)
    run.data.person = f"{person} (closed)"
    return At.CLOSED


@cases.on_complete(retry=ONCE)
async def announce(run: Run[Case, At]) -> None:
    raise ValueError(f"can't write to {run.data.person}")


@cases.scrub
async def scrub(run: Run[Case, At]) -> Case:
    return Case(person="a person")


async def delete_all(url: str, kept: list[bytes], folder: Path) -> None:
    """Put a secret into all places, and delete the data of the run and of its child."""
    async with Runtime.local(cases, reports, records=url) as runtime:
        client = runtime.client(cases)
        handle = await client.trigger("case-1", Case(person=SECRET))
        await handle.wait_for(At.OPEN)
        await handle.pause(f"{SECRET} asked for it")
        await handle.resume(f"{SECRET} has agreed")
        with pytest.raises(CallbackFailed, match=SECRET):
            await handle.callback(noted, SECRET)
        child = await runtime.client(reports).latest("report-case-1")
        await runtime.client(reports).handle(child.run_id).wait()
        await handle.callback(closed, SECRET, idempotency_key="k")
        letters = client.dead_letters()
        while not [letter async for letter in letters]:
            await handle.wait()
        kept.append(b"".join(_files(folder)))
        for asked in (handle, runtime.client(reports).handle(child.run_id)):
            await asked.delete_data(by="ann")
            assert [entry.run_state async for entry in asked.follow()][-1] is RunState.DATA_DELETED
        assert [letter async for letter in letters] == []
        again = await handle.callback(closed, SECRET, idempotency_key="k")
        assert again.status is At.CLOSED


def _files(folder: Path) -> list[bytes]:
    """The bytes of all files, without the write-ahead log of PostgreSQL."""
    return [
        path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "pg_wal" not in path.parts
    ]


async def test_the_file_of_sqlite_has_nothing_of_it_after_a_vacuum(tmp_path: Path) -> None:
    before: list[bytes] = []
    await delete_all(f"sqlite:///{tmp_path}/records.db", before, tmp_path)
    assert SECRET.encode() in before[0]
    with sqlite3.connect(tmp_path / "records.db") as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    for found in _files(tmp_path):
        assert SECRET.encode() not in found


@pytest.mark.server
@pytest.mark.timeout(120)
async def test_the_files_of_postgresql_have_nothing_of_it_after_a_full_vacuum(
    server_folder: Path,
) -> None:
    with Postgres(server_folder) as server:
        before: list[bytes] = []
        await delete_all(server.url, before, server.data)
        engine = create_async_engine(
            server.url.replace("postgresql", "postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
        )
        async with engine.connect() as connection:
            await connection.execute(text("ANALYZE"))  # the statistics have samples of values
            await connection.execute(text("VACUUM FULL"))
            await connection.execute(text("CHECKPOINT"))
        await engine.dispose()
        for found in _files(server.data):
            assert SECRET.encode() not in found
