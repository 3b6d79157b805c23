"""Measures how long transitions take while retention removes old runs, and how long before.

    python benchmarks/retention.py --runs 100000 --rate 1000
    python benchmarks/retention.py --records postgresql://user@host/database

It makes old, cancelled runs with two versions each, and then lets new runs take steps at a steady
rate: first without retention, then while retention removes the old ones. A transition takes from
one version of a run to the next one, by the store's clock.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

from benchmarks.setting import percentile, report
from benchmarks.workload import TRANSITIONS, Job, JobStatus
from workflow_ray import Cancel, Client, Retention, Run, RunState, Runtime, Trigger, Workflow

TICK = 0.05
"""Seconds between two batches of new runs."""
WARM_UP = 2.0
"""Seconds of a phase that are not counted."""
SAMPLE = 20
"""One run of so many has its history read."""
OLD = timedelta(seconds=0.1)
AT_ONCE = 100

JobClient: TypeAlias = Client[Job, JobStatus]
IsOver: TypeAlias = Callable[[], Awaitable[bool]]


def define(retention: Retention | None) -> Workflow[Job, JobStatus]:
    """Define the workload. Runs that are to fail are cancelled by their first step."""
    jobs = Workflow("jobs", Job, JobStatus, retention=retention)

    @jobs.step(JobStatus.QUEUED)
    async def prepare(run: Run[Job, JobStatus]) -> Literal[JobStatus.PREPARED] | Cancel:
        return Cancel("old") if run.data.fails else JobStatus.PREPARED

    @jobs.step(JobStatus.PREPARED)
    async def work(run: Run[Job, JobStatus]) -> Literal[JobStatus.WORKED]:
        run.data.steps += 1
        return JobStatus.WORKED

    @jobs.step(JobStatus.WORKED)
    async def finish(run: Run[Job, JobStatus]) -> Literal[JobStatus.DONE]:
        return JobStatus.DONE

    return jobs


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000, help="old runs (default: %(default)s)")
    parser.add_argument(
        "--rate", type=int, default=1000, help="transitions per second (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="of the phase before (default: %(default)s)"
    )
    parser.add_argument("--records", help="a URL (default: a new file of SQLite)")
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workflow-ray-benchmark-") as folder:
        records = chosen.records or f"sqlite:///{folder}/benchmark.db"
        async with opened(None, records) as client:
            await make_old(client, chosen.runs)
            before = await measure(client, "before", chosen.rate, time_is_over(chosen.seconds))
        async with opened(Retention(cancelled=OLD), records) as client:
            start = time.monotonic()
            during = await measure(client, "during", chosen.rate, all_removed(client))
            took = time.monotonic() - start
            after = await measure(client, "after", chosen.rate, time_is_over(chosen.seconds))
    p99 = percentile(before, 99)
    measured: dict[str, object] = {
        "old_runs": chosen.runs,
        "transitions_per_second": chosen.rate,
        "seconds_to_remove": took,
        "p50_before_ms": percentile(before, 50),
        "p50_during_ms": percentile(during, 50),
        "p50_after_ms": percentile(after, 50),
        "p99_before_ms": p99,
        "p99_during_ms": percentile(during, 99),
        "p99_after_ms": percentile(after, 99),
        "p99_during_to_before": percentile(during, 99) / p99,
    }
    report(measured, chosen.json, records=records)


@asynccontextmanager
async def opened(retention: Retention | None, records: str) -> AsyncGenerator[JobClient]:
    jobs = define(retention)
    async with Runtime.local(jobs, records=records) as runtime:
        yield runtime.client(jobs)


async def make_old(client: JobClient, runs: int) -> None:
    await client.trigger_many(
        Trigger(f"old-{number}", Job(number=number, fails=True), idempotency_key=f"old-{number}")
        for number in range(runs)
    )
    while await in_state(client, RunState.CANCELLED) < runs:  # noqa: ASYNC110  # no event tells it
        await asyncio.sleep(0.5)


async def measure(client: JobClient, name: str, rate: int, is_over: IsOver) -> list[float]:
    """Let new runs take steps at a steady rate until `is_over`.

    Returns:
        How long each transition of some of the runs took, in milliseconds.
    """
    run_ids: list[str] = []
    start, triggered = time.monotonic(), 0
    while not await is_over():
        since = time.monotonic() - start
        due = int(since * rate / TRANSITIONS) - triggered
        if due > 0:
            new: list[Trigger[Job, JobStatus]] = [
                Trigger(f"{name}-{triggered + n}", Job(number=n)) for n in range(due)
            ]
            handles = await client.trigger_many(new)
            triggered += due
            if since > WARM_UP:
                run_ids += [handle.run_id for handle, _ in handles]
        await asyncio.sleep(TICK)
    took = await transitions(client, run_ids[::SAMPLE])
    if not took:
        raise SystemExit(f"{name}: it was over within {WARM_UP} s; take more runs or seconds")
    return took


async def transitions(client: JobClient, run_ids: Sequence[str]) -> list[float]:
    """Return how long each transition of these runs took, in milliseconds."""
    took: list[float] = []
    for first in range(0, len(run_ids), AT_ONCE):
        handles = [client.handle(run_id) for run_id in run_ids[first : first + AT_ONCE]]
        await asyncio.gather(*(handle.wait() for handle in handles))
        for entries in await asyncio.gather(*(handle.history() for handle in handles)):
            took += [(b.at - a.at).total_seconds() * 1000 for a, b in pairwise(entries)]
    return took


def time_is_over(seconds: float) -> IsOver:
    end = time.monotonic() + WARM_UP + seconds

    async def is_over() -> bool:
        return time.monotonic() >= end

    return is_over


def all_removed(client: JobClient) -> IsOver:
    """Tell, every second, whether the old runs are gone."""
    asked_at, left = 0.0, 1

    async def is_over() -> bool:
        nonlocal asked_at, left
        if time.monotonic() >= asked_at + 1:
            left, asked_at = await in_state(client, RunState.CANCELLED), time.monotonic()
        return not left

    return is_over


async def in_state(client: JobClient, run_state: RunState) -> int:
    counts = await client.counts()
    return sum(runs for (_, state), runs in counts.items() if state is run_state)


if __name__ == "__main__":
    asyncio.run(main())
