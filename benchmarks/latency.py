"""Measures the time from trigger to end, as the client sees it, with one run at a time.

python benchmarks/latency.py --runtime ray --runs 500
"""

import asyncio
import time

from benchmarks import floor
from benchmarks.setting import deploy_workload, options, percentile, report
from benchmarks.workload import TRANSITIONS, Job, check, jobs

WARM_UP = 50
"""Runs that are not counted: after them every role has loaded its code."""


async def main() -> None:
    chosen = options(__doc__ or "", runs=500)
    took: list[float] = []
    run_ids: list[str] = []
    async with deploy_workload(chosen.runtime) as runtime:
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
