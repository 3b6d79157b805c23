"""Measures the transactions of many idle roles on PostgreSQL while another process writes.

It also measures how long a lookup takes meanwhile.

python benchmarks/idle_roles.py --records postgresql://user:password@host/an_empty_database
"""

import argparse
import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import Connection, Engine, event

from benchmarks.setting import percentile, report
from workflow_ray import Client, Run, Runtime, Status, Workflow, connect

SHARDS = 16
SETTLE = 30.0
"""Seconds before the measurement, in which every role starts and looks for work."""
MEASURE = 80.0
"""Seconds of the measurement, in which every idle role checks once that it still holds its fence.
The sweeper reads each idle workflow once in 300 s, so its reads may be outside.
"""
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


@dataclass
class Transactions:
    """Counts the transactions of this process. Only the idle roles make any in it."""

    reads: int = 0
    """Transactions on the connections that may only read."""
    writes: int = 0
    """Transactions on the connection that writes, whether or not they change anything."""

    def count(self, connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        if driver.readonly:
            self.reads += 1
        elif (
            not driver.autocommit
        ):  # the third kind of connection listens: its transactions are notifications
            self.writes += 1


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", required=True)
    parser.add_argument("--roles", type=int, default=1000)
    # starts the other process
    parser.add_argument("--beside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    if chosen.beside:
        await write_and_look_up(chosen.records)
    else:
        report(await measure(chosen.records, chosen.roles), chosen.json, records=chosen.records)


async def measure(records: str, roles: int) -> dict[str, object]:
    transactions = Transactions()
    event.listen(Engine, "begin", transactions.count)
    workflows = [idle_workflow(f"idle-{number}") for number in range(-(-roles // SHARDS))]
    async with Runtime.local(*workflows, unrelated, records=records):
        command = [sys.executable, "-m", "benchmarks.idle_roles", "--records", records, "--beside"]
        beside = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        await asyncio.sleep(SETTLE)
        before, start = replace(transactions), perf_counter()
        said, _ = await beside.communicate(b"measure\n")
        after, seconds = replace(transactions), perf_counter() - start
    return {
        "roles": (len(workflows) + 1) * SHARDS,
        **json.loads(said),
        "reads_per_second": (after.reads - before.reads) / seconds,
        "writes_per_second": (after.writes - before.writes) / seconds,
    }


# --- the other process --------------------------------------------------------------------------


async def write_and_look_up(records: str) -> None:
    """Write without a pause. When a line arrives on standard input, time lookups and print them."""
    async with connect(unrelated, records=records) as client, asyncio.TaskGroup() as tasks:
        written = list[str]()
        writing = tasks.create_task(write(client, written))
        await asyncio.to_thread(sys.stdin.readline)
        before, start = len(written), perf_counter()
        took = await time_lookups(client, written[0])
        rate = (len(written) - before) / (perf_counter() - start)
        writing.cancel()
    print(
        json.dumps(
            {
                "unrelated_writes_per_second": rate,
                "lookup_p50_ms": percentile(took, 50),
                "lookup_p99_ms": percentile(took, 99),
            }
        )
    )


async def write(client: Client[Nothing, NothingStatus], written: list[str]) -> None:
    """Trigger runs that end at their first status, so that no role waits for them."""
    due = perf_counter()
    while True:
        run = await client.trigger(f"run-{len(written)}", Nothing(), start_at=NothingStatus.DONE)
        written.append(run.run_id)
        due += 1 / WRITES_PER_SECOND
        await asyncio.sleep(due - perf_counter())


async def time_lookups(client: Client[Nothing, NothingStatus], run_id: str) -> list[float]:
    """Look a run up several times. Returns the milliseconds of each."""
    took: list[float] = []
    for _ in range(int(MEASURE * LOOKUPS_PER_SECOND)):
        start = perf_counter()
        await client.get(run_id)
        took.append((perf_counter() - start) * 1000)
        await asyncio.sleep(1 / LOOKUPS_PER_SECOND)
    return took


if __name__ == "__main__":
    asyncio.run(main())
