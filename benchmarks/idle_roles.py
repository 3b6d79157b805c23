"""Many idle roles on PostgreSQL beside another process's writes: what they read, and what a lookup takes meanwhile.

python benchmarks/idle_roles.py --records postgresql://user:password@host/an_empty_database
"""

import argparse
import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from time import perf_counter
from typing import Literal

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.setting import percentile, report
from workflow_ray import Run, Runtime, Status, Workflow, connect

SHARDS = 16
SETTLE, MEASURE = 10.0, 30.0
"""Seconds before the measurement, and of it."""
LOOKUPS_PER_SECOND = 10
WRITES_PER_SECOND = 20


class Nothing(BaseModel):
    pass


class NothingStatus(Status):
    NEW = 1
    DONE = 2


def idle_workflow(name: str) -> Workflow[Nothing, NothingStatus]:
    workflow = Workflow(name, Nothing, NothingStatus)

    @workflow.step(NothingStatus.NEW, shards=SHARDS)
    async def do(run: Run[Nothing, NothingStatus]) -> Literal[NothingStatus.DONE]:
        return NothingStatus.DONE

    return workflow


unrelated = idle_workflow("unrelated")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", required=True)
    parser.add_argument("--roles", type=int, default=1000)
    parser.add_argument("--writer", action="store_true", help=argparse.SUPPRESS)  # what the other process is started with
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    if chosen.writer:
        return await write(chosen.records)
    workflows = [idle_workflow(f"idle-{number}") for number in range(-(-chosen.roles // SHARDS))]
    async with Runtime.local(*workflows, unrelated, records=chosen.records) as runtime:
        looked_up = (await runtime.client(unrelated).trigger("looked-up", Nothing())).run_id
        command = [sys.executable, "-m", "benchmarks.idle_roles", "--records", chosen.records, "--writer"]
        writer = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        try:
            await asyncio.sleep(SETTLE)
            before, start = await transactions(chosen.records), perf_counter()
            took = await lookups(chosen.records, looked_up)
            after, seconds = await transactions(chosen.records), perf_counter() - start
        finally:
            writer.terminate()
            await writer.wait()
    own = len(took) + WRITES_PER_SECOND * seconds
    measured: dict[str, object] = {
        "roles": len(workflows) * SHARDS,
        "unrelated_writes_per_second": WRITES_PER_SECOND,
        "transactions_per_second": (after - before) / seconds,
        "beyond_writes_and_lookups_per_second": (after - before - own) / seconds,
        "lookup_p50_ms": percentile(took, 50),
        "lookup_p99_ms": percentile(took, 99),
    }
    report(measured, chosen.json, records=chosen.records)
    return None


async def write(records: str) -> None:
    """Runs of a workflow that end where they begin: nobody waits for them."""
    async with connect(unrelated, records=records) as client:
        number = 0
        while True:
            await client.trigger(f"run-{number}", Nothing(), start_at=NothingStatus.DONE)
            number += 1
            await asyncio.sleep(1 / WRITES_PER_SECOND)


async def lookups(records: str, run_id: str) -> list[float]:
    """Milliseconds of each."""
    took: list[float] = []
    async with connect(unrelated, records=records) as client:
        for _ in range(int(MEASURE * LOOKUPS_PER_SECOND)):
            start = perf_counter()
            await client.get(run_id)
            took.append((perf_counter() - start) * 1000)
            await asyncio.sleep(1 / LOOKUPS_PER_SECOND)
    return took


async def transactions(records: str) -> int:
    """Those that the database has ended so far, reads and writes; its statistics are up to a second old."""
    engine: AsyncEngine = create_async_engine(records.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.connect() as connection:
        query = text("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        number: int = (await connection.execute(query)).scalar_one()
    await engine.dispose()
    return number


if __name__ == "__main__":
    asyncio.run(main())
