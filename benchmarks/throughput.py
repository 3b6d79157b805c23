"""Measures transitions per second, and the time from trigger to end, with many runs at once.

python benchmarks/throughput.py --runtime ray --runs 20000
"""

import asyncio
import time

from benchmarks import floor
from benchmarks.setting import deploy_workload, options, percentile, report
from benchmarks.workload import TRANSITIONS, check, feed, jobs, times, wait_for_ends

WARM_UP = 50
"""Runs that are not counted: after them every role has loaded its code."""


async def main() -> None:
    chosen = options(__doc__ or "", runs=20_000)
    async with deploy_workload(chosen.runtime) as runtime:
        client = runtime.client(jobs)
        await feed(client, "warm-up", WARM_UP)
        await wait_for_ends(client, WARM_UP)
        start = time.time()  # the store uses the clock of this machine
        run_ids = await feed(client, "job", chosen.runs)
        fed = time.time()
        await wait_for_ends(client, WARM_UP + chosen.runs)
        end, took = await times(client, "job")
        await check(client, run_ids)
    rate, bare = (
        TRANSITIONS * chosen.runs / (end - start),
        floor.transitions_per_second(chosen.runs),
    )
    measured: dict[str, object] = {
        "runtime": chosen.runtime,
        "runs": chosen.runs,
        "transitions": TRANSITIONS * chosen.runs,
        "seconds": end - start,
        "seconds_to_trigger": fed - start,
        "transitions_per_second": rate,
        "bare_sqlite_per_second": bare,
        "share_of_bare_sqlite": rate / bare,
        "p50_ms": percentile(took, 50),
        "p99_ms": percentile(took, 99),
    }
    report(measured, chosen.json)


if __name__ == "__main__":
    asyncio.run(main())
