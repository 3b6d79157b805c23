"""One run at a time: how long from trigger to finished, as the client sees it.

python benchmarks/latency.py --runtime ray --runs 500
"""

import asyncio
import time

from benchmarks import floor
from benchmarks.setting import deployed, options, percentile, report
from benchmarks.workload import TRANSITIONS, Job, check, jobs

WARM_UP = 50
"""Runs that aren't counted, so that every role has its code loaded."""


async def main() -> None:
    chosen = options(__doc__ or "", runs=500)
    took: list[float] = []
    run_ids: list[str] = []
    async with deployed(chosen.runtime) as runtime:
        client = runtime.client(jobs)
        for number in range(WARM_UP + chosen.runs):
            start = time.perf_counter()
            handle = await client.trigger(f"job-{number}", Job(number=number))
            await handle.wait()
            took.append((time.perf_counter() - start) * 1000)
            run_ids.append(handle.run_id)
        await check(client, run_ids)
    took, commit = took[WARM_UP:], floor.commit_ms()
    measured: dict[str, object] = {
        "runtime": chosen.runtime,
        "runs": chosen.runs,
        "transitions_per_second": TRANSITIONS * chosen.runs / (sum(took) / 1000),
        "p50_ms": percentile(took, 50),
        "p99_ms": percentile(took, 99),
        "bare_commit_ms": commit,
        "p50_in_bare_commits": percentile(took, 50) / commit,
    }
    report(measured, chosen.json)


if __name__ == "__main__":
    asyncio.run(main())
