"""One run of a thousand always fails: how much longer do the others take?

    python benchmarks/failing_run.py --runtime local --runs 1000

Rounds with a failing run and without take turns on one deployment; a ratio near 1 says that it
delays nobody.
"""

import asyncio
import logging

from benchmarks.setting import deployed, options, percentile, report
from benchmarks.workload import ended, feed, jobs, times

ROUNDS = 6
"""Of each kind; the first of each isn't counted."""


async def main() -> None:
    chosen = options(__doc__ or "", runs=1000)
    # its failure is expected
    logging.getLogger("workflow_ray.roles.execution").setLevel(logging.ERROR)
    took: dict[bool, list[float]] = {False: [], True: []}
    finished = 0
    async with deployed(chosen.runtime) as runtime:
        client = runtime.client(jobs)
        for number in range(ROUNDS):
            for failing in (False, True):
                name = f"round-{number}-{failing}"
                await feed(client, name, chosen.runs, fails=chosen.runs // 2 if failing else None)
                finished += chosen.runs - failing
                await ended(client, finished)
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
