"""A driver in a process of its own: `python -m tests.ray.driver RECORDS RUNS [gated]`.

Deploys the parcels and feeds that many, a batch once the one before has ended. Started again, it
feeds none twice. A gated driver feeds as many as a line of its standard input says, and then waits
for the next line.
"""

import asyncio
import sys

from tests.ray.flows import Parcel, parcels
from workflow_ray import Runtime, Trigger

BATCH = 50


async def main(records: str, runs: int, *, gated: bool) -> None:
    limit = 0 if gated else runs
    async with Runtime.ray(parcels, records=records) as runtime:
        client = runtime.client(parcels)
        for first in range(0, runs, BATCH):
            while first >= limit:
                limit = int(await asyncio.to_thread(sys.stdin.readline))
            keys = [f"parcel-{number}" for number in range(first, min(first + BATCH, runs))]
            for handle, _ in await client.trigger_many(
                Trigger(key, Parcel(), idempotency_key=key) for key in keys
            ):
                await handle.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), gated="gated" in sys.argv[3:]))
