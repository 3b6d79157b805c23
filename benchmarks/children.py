"""Measures a run that starts many children in one step and waits until the last one has ended.

    python benchmarks/children.py --children 10000

It also measures the memory of the process, in which everything runs, after a parent of a tenth of
the children and after one of all. The blocks are those that Python has allocated: if their numbers
are equal, nothing is left of the children. The rest of the memory is mostly SQLite's page caches,
which grow with the file up to a limit.
"""

import argparse
import asyncio
import gc
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.setting import report
from benchmarks.waiting import Whole, WholeStatus, parts, wholes
from workflow_ray import Client, Runtime

WARM_UP = 10
"""Children of the run that is not counted: after it every role has loaded its code."""


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=10_000)
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    if chosen.children < 10:
        parser.error("--children must be at least 10")
    few, many = chosen.children // 10, chosen.children
    measured: dict[str, object] = {"children": many}
    with TemporaryDirectory(prefix="workflow-ray-benchmark-") as folder:
        records = f"sqlite:///{folder}/benchmark.db"
        async with Runtime.local(wholes, parts, records=records) as runtime:
            client = runtime.client(wholes)
            await seconds_of(client, WARM_UP)
            for children in (few, many):
                measured[f"seconds_{children}"] = await seconds_of(client, children)
                measured[f"rss_mib_{children}"] = rss_mib()
                measured[f"blocks_{children}"] = sys.getallocatedblocks()
                measured[f"peak_rss_mib_{children}"] = peak_rss_mib()
    report(measured, chosen.json)


async def seconds_of(client: Client[Whole, WholeStatus], children: int) -> float:
    """Return the seconds from the trigger until the parent has gone on after its last child."""
    start = time.perf_counter()
    handle = await client.trigger(f"whole-{children}", Whole(children=children))
    run = await handle.wait()
    took = time.perf_counter() - start
    if run.data.completed != children:
        raise SystemExit(f"{run.data.completed} of {children} children have completed")
    return took


def rss_mib() -> float:
    """Return the memory that the process has in RAM now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_rss_mib() -> float:
    """Return the most memory that the process has had in RAM."""
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    asyncio.run(main())
