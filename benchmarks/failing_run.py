"""Measures how much longer runs take when one of a thousand always fails.

    python benchmarks/failing_run.py --runtime local --runs 1000

Rounds with a failing run and rounds without one alternate on one deployment. A ratio near 1 means
that the failing run delays no other.
"""

import asyncio
import logging

from benchmarks.setting import deploy_workload, options, percentile, report
from benchmarks.workload import feed, jobs, times, wait_for_ends

ROUNDS = 6
"""Rounds of each kind; the first of each is not counted."""


async def main() -> None:
    chosen = options(__doc__ or "", runs=1000)
    # the failure is expected
    logging.getLogger("workflow_ray.roles.execution").setLevel(logging.ERROR)
    took: dict[bool, list[float]] = {False: [], True: []}
    finished = 0
    async with deploy_workload(chosen.runtime) as runtime:
        client = runtime.client(jobs)
        for number in range(ROUNDS):
            for failing in (False, True):
                name = f"round-{number}-{failing}"
                await feed(client, name, chosen.runs, fails=chosen.runs // 2 if failing else None)
                finished += chosen.runs - failing
                await wait_for_ends(client, finished)
                took[failing] += (await times(client, name))[1] if number else []
    measured: dict[str, object] = {
        "runtime": chosen.runtime,
        "runs": chosen.runs,
        "rounds": ROUNDS - 1,
    }
    for percent in (50, 99):
        alone, beside = percentile(took[False], percent), percentile(took[True], percent)
        measured |= {
            f"p{percent}_ms": alone,
            f"p{percent}_ms_beside_failing": beside,
            f"p{percent}_ratio": beside / alone,
        }
    report(measured, chosen.json)


if __name__ == "__main__":
    asyncio.run(main())
