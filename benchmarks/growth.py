"""Measures how many rows the tables of events, outbox and timeouts hold during many transitions.

python benchmarks/growth.py --transitions 500000
"""

import argparse
import asyncio
import contextlib
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.setting import report
from benchmarks.workload import TRANSITIONS, check, feed, jobs, wait_for_ends
from workflow_ray import Runtime

BATCH = 10_000
"""Runs that are triggered together. All end before the next are triggered."""
LOOK = 0.5
"""Seconds between two counts of the rows."""
TABLES = ("events", "outbox", "timeouts")
GROWING = ("records", "history")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transitions", type=int, default=500_000)
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    runs = -(-chosen.transitions // TRANSITIONS)
    with TemporaryDirectory(prefix="workflow-ray-benchmark-") as folder:
        file = Path(folder) / "benchmark.db"
        async with Runtime.local(jobs, records=f"sqlite:///{file}") as runtime:
            most: dict[str, int] = dict.fromkeys(TABLES, 0)
            watching = asyncio.create_task(watch_rows(file, most))
            client, first = runtime.client(jobs), list[str]()
            for start in range(0, runs, BATCH):
                run_ids = await feed(client, f"job-{start}", min(BATCH, runs - start))
                await wait_for_ends(client, start + len(run_ids))
                first += run_ids[:10]
            await check(client, first)
            watching.cancel()
        left = rows(file, (*TABLES, *GROWING))
    measured: dict[str, object] = {
        "transitions": TRANSITIONS * runs,
        **{f"most_{table}": count for table, count in most.items()},
        **{f"left_{table}": count for table, count in left.items()},
    }
    report(measured, chosen.json)


async def watch_rows(file: Path, most: dict[str, int]) -> None:
    """Count the rows again and again, and keep the largest number of each table."""
    while True:
        for table, count in (await asyncio.to_thread(rows, file, TABLES)).items():
            most[table] = max(most[table], count)
        await asyncio.sleep(LOOK)


def rows(file: Path, tables: tuple[str, ...]) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as reader:
        counts = [
            reader.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  the names are constants
            for table in tables
        ]
        return {table: count.fetchone()[0] for table, count in zip(tables, counts, strict=True)}


if __name__ == "__main__":
    asyncio.run(main())
