"""Shard counts changed under load: how long no run makes progress around each change.

python benchmarks/resharding.py --runtime ray --rounds 1
python benchmarks/resharding.py --records postgresql://... --events kafka://...
"""

import argparse
import asyncio
from bisect import bisect_left
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from time import time

from benchmarks.setting import report
from benchmarks.workload import Job, JobStatus, check, ended, feed, jobs
from workflow_ray import Client, Runtime

COUNTS = (8, 3, 5, 1)
ROUNDS = 3
LOAD = 150
"""Runs triggered at a time, and how many seconds lie between two times."""
PAUSE = 0.05
SETTLE = 1.5
"""Seconds of load before and after each change."""


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=["local", "ray"], default="local")
    parser.add_argument("--records", default=None, help="default: a new SQLite file")
    parser.add_argument("--events", default=None)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="times that the counts are gone through")
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    records = chosen.records or f"sqlite:///{mkdtemp(prefix='workflow-ray-benchmark-')}/benchmark.db"
    async with AsyncExitStack() as stack:
        runtime: Runtime
        if chosen.runtime == "ray":
            runtime = on_ray = await stack.enter_async_context(Runtime.ray(jobs, records=records, events=chosen.events))
            stack.push_async_callback(on_ray.down)
        else:
            runtime = await stack.enter_async_context(Runtime.local(jobs, records=records, events=chosen.events))
        changes, run_ids = await changed_under_load(runtime, chosen.rounds)
        client = runtime.client(jobs)
        await ended(client, len(run_ids))
        await check(client, run_ids)
        gaps = await longest_gaps(client, run_ids, [at for _, at in changes])
    measured: dict[str, object] = {
        "runtime": chosen.runtime,
        "runs": len(run_ids),
        "changes": len(changes),
        "gap_median_s": median(gaps),
        "gap_worst_s": max(gaps),
        "gaps_s": " ".join(f"{count}:{gap:.2f}" for (count, _), gap in zip(changes, gaps, strict=True)),
    }
    report(measured, chosen.json, records=records)


async def changed_under_load(runtime: Runtime, rounds: int) -> tuple[list[tuple[int, float]], list[str]]:
    """Each change with its time, and the runs that were triggered meanwhile."""
    client, enough, run_ids = runtime.client(jobs), asyncio.Event(), list[str]()

    async def load() -> None:
        number = 0
        while not enough.is_set():
            run_ids.extend(await feed(client, f"load-{number}", LOAD))
            number += 1
            await asyncio.sleep(PAUSE)

    loading = asyncio.create_task(load())
    changes: list[tuple[int, float]] = []
    for count in COUNTS * rounds:
        await asyncio.sleep(SETTLE)
        changes.append((count, time()))
        await runtime.scale(jobs, JobStatus.PREPARED, shards=count)
    await asyncio.sleep(SETTLE)
    enough.set()
    await loading
    return changes, run_ids


async def longest_gaps(client: Client[Job, JobStatus], run_ids: list[str], changes: list[float]) -> list[float]:
    """Of each change the longest time, in the seconds around it, in which the scaled step wrote nothing. By the store's times."""
    written: list[float] = []
    for run_id in run_ids:
        history = await client.handle(run_id).history()
        written += [entry.at.timestamp() for entry in history if entry.status is JobStatus.WORKED]
    written.sort()
    return [_gap_around(written, change) for change in changes]


def _gap_around(written: list[float], change: float) -> float:
    first, last = bisect_left(written, change - SETTLE / 2), bisect_left(written, change + 10)
    near = written[first:last]
    return max((after - before for before, after in pairwise(near) if before < change + SETTLE), default=10.0)


if __name__ == "__main__":
    asyncio.run(main())
