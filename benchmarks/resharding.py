"""Measures how long no run makes progress when shard counts change under load.

python benchmarks/resharding.py --runtime ray --rounds 1
python benchmarks/resharding.py --records postgresql://... --events kafka://...
"""

import argparse
import asyncio
from bisect import bisect_left
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from time import time

from benchmarks.setting import report
from benchmarks.workload import Job, JobStatus, check, feed, jobs, wait_for_ends
from workflow_ray import Client, Runtime

COUNTS = (8, 3, 5, 1)
ROUNDS = 3
LOAD = 150
"""Runs that are triggered together, and the seconds until the next ones."""
PAUSE = 0.05
SETTLE = 1.5
"""Seconds of load before and after each change."""


@dataclass(frozen=True)
class Change:
    count: int
    begin: float  # when the call that sets the count began
    end: float


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=["local", "ray"], default="local")
    parser.add_argument("--records", default=None, help="default: a new SQLite file")
    parser.add_argument("--events", default=None)
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="times that the counts are gone through"
    )
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    records = (
        chosen.records or f"sqlite:///{mkdtemp(prefix='workflow-ray-benchmark-')}/benchmark.db"
    )
    async with AsyncExitStack() as stack:
        runtime: Runtime
        if chosen.runtime == "ray":
            runtime = on_ray = await stack.enter_async_context(
                Runtime.ray(jobs, records=records, events=chosen.events)
            )
            stack.push_async_callback(on_ray.down)
        else:
            runtime = await stack.enter_async_context(
                Runtime.local(jobs, records=records, events=chosen.events)
            )
        changes, run_ids = await change_under_load(runtime, chosen.rounds)
        client = runtime.client(jobs)
        await wait_for_ends(client, len(run_ids))
        await check(client, run_ids)
        gaps = await longest_gaps(client, run_ids, changes)
    measured: dict[str, object] = {
        "runtime": chosen.runtime,
        "runs": len(run_ids),
        "changes": len(changes),
        "gap_median_s": median(gaps),
        "gap_worst_s": max(gaps),
        "gaps_s": " ".join(
            f"{change.count}:{gap:.2f}" for change, gap in zip(changes, gaps, strict=True)
        ),
        "calls_s": " ".join(
            f"{change.count}:{change.end - change.begin:.2f}" for change in changes
        ),
    }
    report(measured, chosen.json, records=records)


async def change_under_load(runtime: Runtime, rounds: int) -> tuple[list[Change], list[str]]:
    """Change the counts. Returns each change, and the runs that were triggered meanwhile."""
    client, enough, run_ids = runtime.client(jobs), asyncio.Event(), list[str]()

    async def load() -> None:
        number = 0
        while not enough.is_set():
            run_ids.extend(await feed(client, f"load-{number}", LOAD))
            number += 1
            await asyncio.sleep(PAUSE)

    loading = asyncio.create_task(load())
    changes: list[Change] = []
    for count in COUNTS * rounds:
        await asyncio.sleep(SETTLE)
        begin = time()
        await runtime.scale(jobs, JobStatus.PREPARED, shards=count)
        changes.append(Change(count, begin, time()))
    await asyncio.sleep(SETTLE)
    enough.set()
    await loading
    return changes, run_ids


async def longest_gaps(
    client: Client[Job, JobStatus], run_ids: list[str], changes: list[Change]
) -> list[float]:
    """Find the longest time around each change in which the scaled step wrote nothing.

    The times are the store's. They include the seconds before the call.
    """
    written: list[float] = []
    for run_id in run_ids:
        history = await client.handle(run_id).history()
        written += [entry.at.timestamp() for entry in history if entry.status is JobStatus.WORKED]
    written.sort()
    return [_gap_around(written, change) for change in changes]


def _gap_around(written: list[float], change: Change) -> float:
    first = bisect_left(written, change.begin - SETTLE / 2)
    gaps = [
        after - before
        for before, after in pairwise(written[first:])
        if before < change.end + SETTLE / 2
    ]
    return max(gaps, default=inf)


if __name__ == "__main__":
    asyncio.run(main())
