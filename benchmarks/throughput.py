"""Many runs at once: how many transitions a second, and how long each run took from trigger to end.

python benchmarks/throughput.py --runtime ray --runs 20000
"""

import asyncio
import time

from benchmarks import floor
from benchmarks.setting import deployed, options, percentile, report
from benchmarks.workload import TRANSITIONS, check, ended, feed, jobs, times

WARM_UP = 50
"""Runs before the clock starts, so that every role has its code loaded."""


async def main() -> None:
    chosen = options(__doc__ or "", runs=20_000)
    async with deployed(chosen.runtime) as runtime:
        client = runtime.client(jobs)
        await feed(client, "warm-up", WARM_UP)
        await ended(client, WARM_UP)
        start = time.time()  # the store's clock is this machine's
        run_ids = await feed(client, "job", chosen.runs)
        fed = time.time()
        await ended(client, WARM_UP + chosen.runs)
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
