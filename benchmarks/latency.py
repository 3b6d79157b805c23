"""Measures how long one run at a time takes, from trigger to end, as the client sees it.

    python benchmarks/latency.py --runtime ray --runs 500
    python benchmarks/latency.py --callback --runtime ray --runs 500
    python benchmarks/latency.py --timeout --runs 50

With --callback, it measures the time from a callback to its answer, and beside it the time from the
trigger until the run waits for the callback: each is one write of the client and one function. With
--timeout, it measures how late timeouts are, by the store's clock: from the time at which one is
due until the transition that its function leads to.
"""

import argparse
import asyncio
import time

from benchmarks import floor
from benchmarks.setting import deploy_workload, options, percentile, report
from benchmarks.waiting import (
    AFTER,
    AlarmStatus,
    GateStatus,
    Ticket,
    Visit,
    admit,
    alarms,
    gates,
)
from benchmarks.workload import TRANSITIONS, Job, check, jobs

WARM_UP = 50
"""Runs that are not counted: after them every role has loaded its code."""
WARM_UP_ALARMS = 5
"""The same for --timeout, whose runs take long."""
VARIANTS = {
    "callback": "measure callbacks instead of runs",
    "timeout": "measure how late timeouts are instead of runs",
}


async def main() -> None:
    chosen = options(__doc__ or "", runs=500, variants=VARIANTS)
    match chosen.variant:
        case "callback":
            measured = await measure_callbacks(chosen)
        case "timeout":
            measured = await measure_timeouts(chosen)
        case _:
            measured = await measure_runs(chosen)
    report({"runtime": chosen.runtime, "runs": chosen.runs, **measured}, chosen.json)


async def measure_runs(chosen: argparse.Namespace) -> dict[str, object]:
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
    return {
        "transitions_per_second": TRANSITIONS * chosen.runs / (sum(took) / 1000),
        "p50_ms": percentile(took, 50),
        "p99_ms": percentile(took, 99),
        "bare_commit_ms": commit,
        "p50_in_bare_commits": percentile(took, 50) / commit,
    }


async def measure_callbacks(chosen: argparse.Namespace) -> dict[str, object]:
    """Call back one run at a time, each while it waits."""
    triggered: list[float] = []
    answered: list[float] = []
    async with deploy_workload(chosen.runtime, gates) as runtime:
        client = runtime.client(gates)
        for number in range(WARM_UP + chosen.runs):
            start = time.perf_counter()
            handle = await client.trigger(f"visit-{number}", Visit(number=0))
            await handle.wait_for(GateStatus.WAITING)
            waits = time.perf_counter()
            run = await handle.callback(admit, Ticket(number=number))
            end = time.perf_counter()
            if (run.status, run.data.number) != (GateStatus.PASSED, number):
                raise SystemExit(f"the callback has left {run!r} with {run.data!r}")
            triggered.append((waits - start) * 1000)
            answered.append((end - waits) * 1000)
    triggered, answered, commit = triggered[WARM_UP:], answered[WARM_UP:], floor.commit_ms()
    p50, p50_triggered = percentile(answered, 50), percentile(triggered, 50)
    return {
        "p50_ms": p50,
        "p99_ms": percentile(answered, 99),
        "p50_trigger_to_waiting_ms": p50_triggered,
        "p50_ratio": p50 / p50_triggered,
        "bare_commit_ms": commit,
        "p50_in_bare_commits": p50 / commit,
    }


async def measure_timeouts(chosen: argparse.Namespace) -> dict[str, object]:
    """Let one timeout at a time become due. Nothing else happens meanwhile."""
    late: list[float] = []
    async with deploy_workload(chosen.runtime, alarms) as runtime:
        client = runtime.client(alarms)
        for number in range(WARM_UP_ALARMS + chosen.runs):
            handle = await client.trigger(f"alarm-{number}", Visit(number=number))
            await handle.wait()
            entered, left = await handle.history()
            if left.status is not AlarmStatus.RUNG:
                raise SystemExit(f"run {handle.run_id} has not timed out: {left}")
            late.append(((left.at - entered.at).total_seconds() - AFTER) * 1000)
    late = late[WARM_UP_ALARMS:]
    if min(late) < 0:
        raise SystemExit(f"a timeout came {-min(late):.2f} ms too early")
    return {
        "timeout_after_ms": AFTER * 1000,
        "p50_late_ms": percentile(late, 50),
        "p99_late_ms": percentile(late, 99),
        "bare_commit_ms": floor.commit_ms(),
    }


if __name__ == "__main__":
    asyncio.run(main())
