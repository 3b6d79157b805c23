"""A driver in a process of its own: `python -m tests.ray.driver RECORDS RUNS`.

Deploys the parcels and feeds that many, a batch once the one before has ended. Started again, it feeds none twice.
"""

import asyncio
import sys

from tests.ray.flows import Parcel, parcels
from workflow_ray import Runtime, Trigger

BATCH = 50


async def main(records: str, runs: int) -> None:
    async with Runtime.ray(parcels, records=records) as runtime:
        client = runtime.client(parcels)
        for first in range(0, runs, BATCH):
            keys = [f"parcel-{number}" for number in range(first, min(first + BATCH, runs))]
            for handle, _ in await client.trigger_many(Trigger(key, Parcel(), idempotency_key=key) for key in keys):
                await handle.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
