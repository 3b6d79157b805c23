"""Measures what `run.once` costs: runs of one step that uses it, beside runs that do not.

python benchmarks/once.py --runs 2000
"""

import asyncio
import time
from collections.abc import Sequence

from benchmarks import floor
from benchmarks.charges import Charge, ChargeStatus, charges
from benchmarks.setting import deploy_workload, options, percentile, report
from workflow_ray import Client, Trigger

WARM_UP = 50
"""Runs that are not counted."""
ALONE = 300
"""Runs that are measured one at a time."""
CALLS = (0, 1, 3)
"""The calls of `once` in a step."""


async def alone(client: Client[Charge, ChargeStatus], calls: int) -> list[float]:
    """Return the milliseconds of runs, each of which begins when the one before it has ended."""
    took: list[float] = []
    for number in range(WARM_UP + ALONE):
        start = time.perf_counter()
        handle = await client.trigger(f"alone-{calls}-{number}", Charge(calls=calls))
        await handle.wait()
        took.append((time.perf_counter() - start) * 1000)
    return took[WARM_UP:]


async def together(client: Client[Charge, ChargeStatus], calls: int, runs: int) -> float:
    """Return the seconds that many runs take which are triggered at once."""
    triggers: Sequence[Trigger[Charge, ChargeStatus]] = [
        Trigger(f"together-{calls}-{number}", Charge(calls=calls)) for number in range(runs)
    ]
    start = time.perf_counter()
    handles = [handle for handle, _ in await client.trigger_many(triggers)]
    await asyncio.gather(*(handle.wait() for handle in handles))
    return time.perf_counter() - start


async def main() -> None:
    chosen = options(__doc__ or "", runs=2000)
    measured: dict[str, object] = {"runtime": chosen.runtime, "runs": chosen.runs}
    async with deploy_workload(chosen.runtime, charges) as runtime:
        client = runtime.client(charges)
        for calls in CALLS:
            measured[f"p50_ms_with_{calls}"] = percentile(await alone(client, calls), 50)
        for calls in CALLS:
            seconds = await together(client, calls, chosen.runs)
            measured[f"runs_per_second_with_{calls}"] = chosen.runs / seconds
    report({**measured, "bare_commit_ms": floor.commit_ms()}, chosen.json)


if __name__ == "__main__":
    asyncio.run(main())
