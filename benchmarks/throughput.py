"""Many runs at once: how many transitions a second, and how long each run took from trigger to end.

python benchmarks/throughput.py --runtime ray --runs 20000
"""

import asyncio
import time

from benchmarks.setting import deployed, options, percentile, report
from benchmarks.workload import TRANSITIONS, Job, JobStatus, check, jobs
from workflow_ray import Client, Trigger

WARM_UP = 50
"""Runs before the clock starts, so that every role has its code loaded."""
POLL = 0.05
"""Seconds between looks at how far the runs are."""


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
        runs = [run async for run in client.runs(status=JobStatus.DONE) if run.foreign_id.startswith("job")]
        await check(client, run_ids)
    end = max(run.updated_at.timestamp() for run in runs)
    took = [(run.updated_at - run.created_at).total_seconds() * 1000 for run in runs]
    measured: dict[str, object] = {
        "runtime": chosen.runtime,
        "runs": chosen.runs,
        "transitions": TRANSITIONS * chosen.runs,
        "seconds": end - start,
        "seconds_to_trigger": fed - start,
        "transitions_per_second": TRANSITIONS * chosen.runs / (end - start),
        "p50_ms": percentile(took, 50),
        "p99_ms": percentile(took, 99),
    }
    report(measured, chosen.json)


async def feed(client: Client[Job, JobStatus], name: str, runs: int) -> list[str]:
    triggered = await client.trigger_many(Trigger(f"{name}-{number}", Job(number=number)) for number in range(runs))
    return [handle.run_id for handle, _ in triggered]


async def ended(client: Client[Job, JobStatus], runs: int) -> None:
    """Wait until so many runs are finished. A look at the counts is one cheap query, so it hardly disturbs what it measures."""
    while await finished(client) < runs:  # noqa: ASYNC110  a wait for each run would cost more than what is measured
        await asyncio.sleep(POLL)


async def finished(client: Client[Job, JobStatus]) -> int:
    return sum(number for (_, run_state), number in (await client.counts()).items() if run_state.finished)


if __name__ == "__main__":
    asyncio.run(main())
