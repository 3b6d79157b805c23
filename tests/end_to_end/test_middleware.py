"""Middleware runs around each attempt at a function, whatever becomes of the process."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.end_to_end import audits
from tests.end_to_end.audits import Audit, AuditStatus, Line
from tests.end_to_end.histories import check_history
from tests.end_to_end.workers import WorkerProcess, until, workers
from workflow_ray import Cause, Client, connect

LEASE = 2.0
PATIENCE = timedelta(seconds=60)
RUNS = 4
pytestmark = pytest.mark.timeout(180)


async def test_middleware_on_sqlite_runs_again_with_the_function_whose_process_was_killed(
    tmp_path: Path,
) -> None:
    await kill_in_each_kind(tmp_path / "journal", f"sqlite:///{tmp_path}/audits.db")


async def test_middleware_on_postgresql_runs_again_with_the_function_whose_process_was_killed(
    tmp_path: Path, postgres_url: str
) -> None:
    await kill_in_each_kind(tmp_path / "journal", postgres_url)


async def kill_in_each_kind(journal: Path, url: str) -> None:
    """Kill the worker in the middle of a step, a plain step, a callback and a hook."""
    async with (
        workers(1, journal, LEASE, url, module="tests.end_to_end.audits") as (worker,),
        connect(audits.audits, records=url) as client,
    ):
        handles = [await client.trigger(f"audit-{number}", Audit()) for number in range(RUNS)]
        await kill_in("step", 1, worker, journal)
        await kill_in("step", 2, worker, journal)
        for handle in handles:
            await handle.wait_for(AuditStatus.WAITING, timeout=PATIENCE)
        signing = [
            asyncio.create_task(handle.callback(audits.sign, "Ada", timeout=PATIENCE))
            for handle in handles
        ]
        await kill_in("callback", 3, worker, journal)
        await asyncio.gather(*signing)
        await kill_in("hook", 4, worker, journal)
        await until(lambda: len(done(journal, "hook")) == RUNS)
        for number in range(RUNS):
            await check_run(client, f"audit-{number}", journal)


async def kill_in(kind: str, version: int, worker: WorkerProcess, journal: Path) -> None:
    """Kill the worker while middleware has begun calls and has not ended them; start another."""
    assert worker.process is not None
    pid = worker.process.pid
    await until(lambda: under_way(journal, kind, version, pid))
    await worker.kill()
    killed = under_way(journal, kind, version, pid)
    assert killed, "the worker was killed in the middle of a call"
    await worker.start()
    await until(lambda: killed <= done(journal, kind, version))


def under_way(journal: Path, kind: str, version: int, pid: int) -> set[str]:
    """The runs whose call has begun in a process, and has not ended."""
    lines = [line for line in lines_of(journal, kind, version) if line.pid == pid]
    ended = {line.foreign_id for line in lines if line.what == "done"}
    return {line.foreign_id for line in lines} - ended


def done(journal: Path, kind: str, version: int | None = None) -> set[str]:
    """The runs for which a call has ended."""
    return {line.foreign_id for line in lines_of(journal, kind, version) if line.what == "done"}


def lines_of(journal: Path, kind: str, version: int | None) -> list[Line]:
    return [
        line
        for line in audits.read_journal(journal)
        if line.kind == kind and version in (None, line.version)
    ]


async def check_run(client: Client[Audit, AuditStatus], foreign_id: str, journal: Path) -> None:
    """Each version of the run that a function made has a call, in which no attempt was counted."""
    run = await client.latest(foreign_id)
    await check_history(audits.audits, client, run)
    causes = [entry.cause for entry in await client.handle(run.run_id).history()]
    assert causes == [Cause.TRIGGER, Cause.STEP, Cause.STEP, Cause.CALLBACK]
    assert run.data.tenants == [f"tenant of {foreign_id}"] * 3
    lines = [line for line in audits.read_journal(journal) if line.foreign_id == foreign_id]
    ended = {(line.kind, line.version) for line in lines if line.what == "done"}
    assert ended == {("step", 1), ("step", 2), ("callback", 3), ("hook", 4)}
    assert {line.attempt for line in lines} == {1}
