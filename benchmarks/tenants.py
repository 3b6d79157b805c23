"""Measures how fair and how fast flow control admits the runs of two tenants under one limit.

    python benchmarks/tenants.py --runs 10000

One tenant has many runs waiting when the other one starts 10. The report says at which place among
all ends the last run of the small tenant ended: it should be among the first hundred.
"""

import argparse
import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from pydantic import BaseModel

from benchmarks.setting import report
from workflow_ray import Client, FlowControl, Run, Runtime, Status, Trigger, Workflow
from workflow_ray.records import Cause

SMALL = 10
FIRST = 100
"""The small tenant's last run should end among so many."""


class At(Status):
    QUEUED = 1
    DONE = 2


class Call(BaseModel):
    tenant: str


CallRun: TypeAlias = Run[Call, At]
calls = Workflow("calls", Call, At)
ENDED: list[str] = []
"""The tenants of the runs whose steps have ended, in order."""


@calls.step(At.QUEUED, flow=FlowControl(concurrency=10, key=lambda run: run.data.tenant))
async def answer(run: CallRun) -> Literal[At.DONE]:
    ENDED.append(run.data.tenant)
    return At.DONE


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="of the large tenant")
    parser.add_argument("--concurrency", type=int, default=10, help="the limit of both together")
    parser.add_argument("--records", default=None, help="a URL (default: a new SQLite file)")
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    if chosen.runs < 1 or chosen.concurrency < 1:
        parser.error("--runs and --concurrency must be at least 1")
    with TemporaryDirectory(prefix="workflow-ray-benchmark-") as folder:
        records = chosen.records or f"sqlite:///{folder}/benchmark.db"
        async with Runtime.local(calls, records=records) as runtime:
            measured = await measure(runtime.client(calls), chosen.runs, chosen.concurrency)
    report(measured, chosen.json)


async def measure(client: Client[Call, At], runs: int, concurrency: int) -> dict[str, object]:
    """Let the large tenant's runs wait, then start the small one's, and wait for all."""
    await client.set_limits(At.QUEUED, concurrency=1)
    large = await client.trigger_many(
        Trigger(f"large-{number}", Call(tenant="large")) for number in range(runs)
    )
    begun, before = time.perf_counter(), len(ENDED)
    small = await client.trigger_many(
        Trigger(f"small-{number}", Call(tenant="small")) for number in range(SMALL)
    )
    await client.set_limits(At.QUEUED, concurrency=concurrency)
    for handle, _ in small:
        await handle.wait()
    small_took = time.perf_counter() - begun
    place = max(at for at, tenant in enumerate(ENDED[before:], 1) if tenant == "small")
    for handle, _ in reversed(large):
        await handle.wait()
    took = time.perf_counter() - begun
    history = await small[-1][0].history()
    assert [entry.cause for entry in history] == [Cause.TRIGGER, Cause.ADMITTED, Cause.STEP]
    return {
        "runs_large": runs,
        "runs_small": SMALL,
        "concurrency": concurrency,
        "place_of_last_small": place,
        "is_among_first": place <= FIRST,
        "seconds_small": small_took,
        "admissions_per_second": (len(ENDED) - before) / took,
    }


if __name__ == "__main__":
    asyncio.run(main())
